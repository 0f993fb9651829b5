/* Convolution as one matrix product over all taps of its window, for conv.c; the product itself is a 1x1 convolution of dnnl.c. */
#ifndef BACKEND_CPU_TAPS_H
#define BACKEND_CPU_TAPS_H

#include "backend/cpu/dnnl.h"

/* Whether this pass is faster so than by the implementation that oneDNN would take. */
bool taps_suit(const conv_desc *d, enum pass_kind kind, const char *implementation);
/* The product: from c_in channels to those of all taps, tap by tap. */
conv_desc taps_product(const conv_desc *d);

/* What a pass needs beside the product's workspace: its weights first, then its map. */
size_t taps_weight_bytes(const conv_desc *d);
size_t taps_map_bytes(const conv_desc *d, enum pass_kind kind);

/* w (O,I,k,k) -> all (k,k,O,I), and back. */
void taps_spread_weights(const conv_desc *d, const float *w, float *all);
void taps_gather_weights(const conv_desc *d, const float *all, float *w);
/* The product's map all (N,H,W,k,k,O), float32 -> y; bias may be NULL. */
void taps_sum(const conv_desc *d, const float *all, const float *bias, void *y);
/* dy -> its gradient, in d->type. */
void taps_spread(const conv_desc *d, const void *dy, void *all);
/* Sum of dy over pixels, in a fixed order. */
void taps_bias_gradient(const conv_desc *d, const void *dy, float *dbias);

#endif
