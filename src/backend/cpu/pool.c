/*
 * Max pooling and global average pooling.
 *
 * Max pooling keeps, for each output, which tap of its window won (row-major number of the tap, the first of equals; a NaN wins over any
 * number), as PyTorch does. Its backward pass gathers: each input looks at the windows it lies in, in a fixed order, so that windows may
 * overlap without two threads adding to one place.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/simd.h"

/* One window shape over one map. */
typedef struct window {
    int h, w, c, oh, ow;
    int kernel, stride, padding;
} window;

/* One output row: y and argmax (OW,C) from one image x (H,W,C). */
SIMD_CLONES static void maxpool_row(const float *x, const window *k, int oy, float *restrict y, uint8_t *restrict argmax) {
    const size_t c = (size_t)k->c;
    for (int ox = 0; ox < k->ow; ox++, y += c, argmax += c) {
        bool first = true;
        for (int ky = 0; ky < k->kernel; ky++) {
            const int iy = oy * k->stride - k->padding + ky;
            if (iy < 0 || iy >= k->h) continue;
            for (int kx = 0; kx < k->kernel; kx++) {
                const int ix = ox * k->stride - k->padding + kx;
                if (ix < 0 || ix >= k->w) continue;
                const float *restrict v = x + ((size_t)iy * (size_t)k->w + (size_t)ix) * c;
                const uint8_t tap = (uint8_t)(ky * k->kernel + kx);
                if (first) {
                    memcpy(y, v, c * sizeof *y);
                    memset(argmax, tap, c);
                    first = false;
                    continue;
                }
                for (size_t i = 0; i < c; i++) {
                    const bool wins = !(v[i] <= y[i]) && y[i] == y[i]; /* larger, or the first NaN */
                    y[i] = wins ? v[i] : y[i];
                    argmax[i] = wins ? tap : argmax[i];
                }
            }
        }
    }
}

/* One input row: dx (W,C) from one image's dy and argmax (OH,OW,C). */
SIMD_CLONES static void maxpool_backward_row(const float *dy, const uint8_t *argmax, const window *k, int iy, float *restrict dx) {
    const size_t c = (size_t)k->c;
    for (int ix = 0; ix < k->w; ix++, dx += c) {
        memset(dx, 0, c * sizeof *dx);
        for (int ky = k->kernel - 1; ky >= 0; ky--) { /* downwards, so that windows come in row-major order */
            const int top = iy + k->padding - ky;
            if (top < 0 || top % k->stride != 0 || top / k->stride >= k->oh) continue;
            for (int kx = k->kernel - 1; kx >= 0; kx--) {
                const int left = ix + k->padding - kx;
                if (left < 0 || left % k->stride != 0 || left / k->stride >= k->ow) continue;
                const size_t at = ((size_t)(top / k->stride) * (size_t)k->ow + (size_t)(left / k->stride)) * c;
                const uint8_t tap = (uint8_t)(ky * k->kernel + kx);
                const float *restrict g = dy + at;
                const uint8_t *restrict winner = argmax + at;
                for (size_t i = 0; i < c; i++) dx[i] += winner[i] == tap ? g[i] : 0.0f;
            }
        }
    }
}

void cpu_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax) {
    const window k = {x->h, x->w, x->c, y->h, y->w, kernel, stride, padding};
    const size_t in = (size_t)x->h * (size_t)x->w * (size_t)x->c, row = (size_t)y->w * (size_t)y->c;
    const int rows = y->n * y->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        maxpool_row(x->data + (size_t)(r / k.oh) * in, &k, r % k.oh, y->data + (size_t)r * row, argmax + (size_t)r * row);
    }
}

void cpu_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx) {
    const window k = {dx->h, dx->w, dx->c, dy->h, dy->w, kernel, stride, padding};
    const size_t out = (size_t)dy->h * (size_t)dy->w * (size_t)dy->c, row = (size_t)dx->w * (size_t)dx->c;
    const int rows = dx->n * dx->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(dx) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        const size_t image = (size_t)(r / k.h) * out;
        maxpool_backward_row(dy->data + image, argmax + image, &k, r % k.h, dx->data + (size_t)r * row);
    }
}

/* ---- global average pooling: work is shared out by image and by group of LANES channels ---- */

enum { LANES = 64 };

/* y = mean over p places of `lanes` channels; x's places lie `stride` floats apart. */
SIMD_CLONES static void mean_lanes(const float *x, size_t p, size_t stride, int lanes, float *y) {
    double sum[LANES] = {0.0};
    for (size_t i = 0; i < p; i++, x += stride) {
        for (int c = 0; c < lanes; c++) sum[c] += (double)x[c];
    }
    for (int c = 0; c < lanes; c++) y[c] = (float)(sum[c] / (double)p);
}

/* dx = dy / p at each of p places. */
SIMD_CLONES static void spread_lanes(const float *dy, size_t p, size_t stride, int lanes, float *dx) {
    float share[LANES];
    for (int c = 0; c < lanes; c++) share[c] = (float)((double)dy[c] / (double)p);
    for (size_t i = 0; i < p; i++) memcpy(dx + i * stride, share, (size_t)lanes * sizeof *dx);
}

void cpu_global_pool_forward(backend *be, const tensor *x, tensor *y) {
    const size_t p = (size_t)x->h * (size_t)x->w, c = (size_t)x->c;
    const int groups = (x->c + LANES - 1) / LANES, parts = x->n * groups;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (int k = 0; k < parts; k++) {
        const int first = k % groups * LANES, lanes = x->c - first < LANES ? x->c - first : LANES;
        const size_t n = (size_t)(k / groups);
        mean_lanes(x->data + n * p * c + (size_t)first, p, c, lanes, y->data + n * c + (size_t)first);
    }
}

void cpu_global_pool_backward(backend *be, const tensor *dy, tensor *dx) {
    const size_t p = (size_t)dx->h * (size_t)dx->w, c = (size_t)dx->c;
    const int groups = (dx->c + LANES - 1) / LANES, parts = dx->n * groups;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(dx) >= CPU_PARALLEL_MIN) schedule(static)
    for (int k = 0; k < parts; k++) {
        const int first = k % groups * LANES, lanes = dx->c - first < LANES ? dx->c - first : LANES;
        const size_t n = (size_t)(k / groups);
        spread_lanes(dy->data + n * c + (size_t)first, p, c, lanes, dx->data + n * p * c + (size_t)first);
    }
}
