/*
 * Gradients of weights leave oneDNN's kernels in blocks of channels. Its own reorder to (O, I, k, k) runs at less than half of a copy's
 * speed; here a block is read from the nearest cache and written row by row.
 */
#include "backend/cpu/weights.h"

#include <stddef.h>

/* One block: rows of w are out of each other by row floats. */
static void from_block(const float *tile, int out, int in, int taps, int block, float *w, size_t row) {
    for (int o = 0; o < out; o++) {
        float *const to = w + (size_t)o * row;
        if (taps == 1) {
            for (int i = 0; i < in; i++) to[i] = tile[i * block + o];
            continue;
        }
        for (int i = 0; i < in; i++) {
            for (int t = 0; t < taps; t++) to[i * taps + t] = tile[(t * block + i) * block + o];
        }
    }
}

void weights_from_blocks(const float *blocks, int out, int in, int taps, int block, float *w) {
    const int across = (in + block - 1) / block, down = (out + block - 1) / block;
    const size_t row = (size_t)in * (size_t)taps, size = (size_t)block * (size_t)block * (size_t)taps;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < down * across; k++) {
        const int o = k / across * block, i = k % across * block;
        from_block(blocks + (size_t)k * size, out - o < block ? out - o : block, in - i < block ? in - i : block, taps, block,
                   w + (size_t)o * row + (size_t)i * (size_t)taps, row);
    }
}
