/* The order of weights: from oneDNN's blocks to a checkpoint's. For dnnl.c. */
#ifndef BACKEND_CPU_WEIGHTS_H
#define BACKEND_CPU_WEIGHTS_H

/* blocks (O/block, I/block, taps, block of I, block of O), both numbers of channels rounded up -> w (O, I, taps). */
void weights_from_blocks(const float *blocks, int out, int in, int taps, int block, float *w);

#endif
