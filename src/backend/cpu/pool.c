/*
 * Max pooling and global average pooling.
 *
 * Max pooling keeps, for each output, which tap of its window won (row-major number of the tap, the first of equals; a NaN wins over any
 * number), as PyTorch does. Its backward pass gathers: each input looks at the windows it lies in, in a fixed order, so that windows may
 * overlap without two threads adding to one place.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
#include "base/simd.h"

/* One window shape over one map. */
typedef struct window {
    int h, w, c, oh, ow;
    int kernel, stride, padding;
} window;

enum { LANES = 64 }; /* channels at a time: their sums and winners stay in registers and the first cache */

/* Lanes of one output pixel: the window's largest elements and their taps. */
static ALWAYS_INLINE void max_lanes(const void *x, const window *k, int oy, int ox, size_t first, int lanes, float *best, uint8_t *taps,
                                    dtype type) {
    bool found = false;
    for (int ky = 0; ky < k->kernel; ky++) {
        const int iy = oy * k->stride - k->padding + ky;
        if (iy < 0 || iy >= k->h) continue;
        for (int kx = 0; kx < k->kernel; kx++) {
            const int ix = ox * k->stride - k->padding + kx;
            if (ix < 0 || ix >= k->w) continue;
            const size_t at = ((size_t)iy * (size_t)k->w + (size_t)ix) * (size_t)k->c + first;
            const uint8_t tap = (uint8_t)(ky * k->kernel + kx);
#pragma omp simd
            for (int i = 0; i < lanes; i++) {
                const float v = element_load(x, at + (size_t)i, type);
                const bool wins = !found || (!(v <= best[i]) && best[i] == best[i]); /* larger, or the first NaN */
                best[i] = wins ? v : best[i];
                taps[i] = wins ? tap : taps[i];
            }
            found = true;
        }
    }
}

/* One output row: y and argmax (OW,C) from one image x (H,W,C). */
static ALWAYS_INLINE void max_row(const void *x, const window *k, int oy, void *y, uint8_t *argmax, dtype type) {
    float best[LANES];
    uint8_t taps[LANES];
    for (int ox = 0; ox < k->ow; ox++) {
        for (int first = 0; first < k->c; first += LANES) {
            const int lanes = k->c - first < LANES ? k->c - first : LANES;
            const size_t to = (size_t)ox * (size_t)k->c + (size_t)first;
            memset(best, 0, sizeof best);
            memset(taps, 0, sizeof taps);
            max_lanes(x, k, oy, ox, (size_t)first, lanes, best, taps, type);
            for (int i = 0; i < lanes; i++) element_store(y, to + (size_t)i, best[i], type);
            memcpy(argmax + to, taps, (size_t)lanes);
        }
    }
}

/* Lanes of one input pixel: the gradients of the windows that it won, in row-major order. */
static ALWAYS_INLINE void gather_lanes(const void *dy, const uint8_t *argmax, const window *k, int iy, int ix, size_t first, int lanes,
                                       float *sum, dtype type) {
    for (int ky = k->kernel - 1; ky >= 0; ky--) { /* downwards, so that windows come in row-major order */
        const int top = iy + k->padding - ky;
        if (top < 0 || top % k->stride != 0 || top / k->stride >= k->oh) continue;
        for (int kx = k->kernel - 1; kx >= 0; kx--) {
            const int left = ix + k->padding - kx;
            if (left < 0 || left % k->stride != 0 || left / k->stride >= k->ow) continue;
            const size_t at = ((size_t)(top / k->stride) * (size_t)k->ow + (size_t)(left / k->stride)) * (size_t)k->c + first;
            const uint8_t tap = (uint8_t)(ky * k->kernel + kx);
#pragma omp simd
            for (int i = 0; i < lanes; i++) {
                const float g = element_load(dy, at + (size_t)i, type);
                sum[i] += argmax[at + (size_t)i] == tap ? g : 0.0f;
            }
        }
    }
}

/* One input row: dx (W,C) from one image's dy and argmax (OH,OW,C). */
static ALWAYS_INLINE void gather_row(const void *dy, const uint8_t *argmax, const window *k, int iy, void *dx, dtype type) {
    float sum[LANES];
    for (int ix = 0; ix < k->w; ix++) {
        for (int first = 0; first < k->c; first += LANES) {
            const int lanes = k->c - first < LANES ? k->c - first : LANES;
            memset(sum, 0, sizeof sum);
            gather_lanes(dy, argmax, k, iy, ix, (size_t)first, lanes, sum, type);
            for (int i = 0; i < lanes; i++) element_store(dx, (size_t)ix * (size_t)k->c + (size_t)(first + i), sum[i], type);
        }
    }
}

#define ROWS(suffix, type)                                                                                                                 \
    SIMD_CLONES static void max_row_##suffix(const void *x, const window *k, int oy, void *y, uint8_t *argmax) {                           \
        max_row(x, k, oy, y, argmax, type);                                                                                                \
    }                                                                                                                                      \
    SIMD_CLONES static void gather_row_##suffix(const void *dy, const uint8_t *argmax, const window *k, int iy, void *dx) {                \
        gather_row(dy, argmax, k, iy, dx, type);                                                                                           \
    }
ROWS(f32, F32)
ROWS(bf16, BF16)

void cpu_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax) {
    const window k = {x->h, x->w, x->c, y->h, y->w, kernel, stride, padding};
    const size_t in = (size_t)x->h * (size_t)x->w * (size_t)x->c, row = (size_t)y->w * (size_t)y->c;
    const int rows = y->n * y->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        (x->type == BF16 ? max_row_bf16 : max_row_f32)(element_at(x->data, (size_t)(r / k.oh) * in, x->type), &k, r % k.oh,
                                                       element_to(y->data, (size_t)r * row, x->type), argmax + (size_t)r * row);
    }
}

void cpu_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx) {
    const window k = {dx->h, dx->w, dx->c, dy->h, dy->w, kernel, stride, padding};
    const size_t out = (size_t)dy->h * (size_t)dy->w * (size_t)dy->c, row = (size_t)dx->w * (size_t)dx->c;
    const int rows = dx->n * dx->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(dx) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        const size_t image = (size_t)(r / k.h) * out;
        (dy->type == BF16 ? gather_row_bf16 : gather_row_f32)(element_at(dy->data, image, dy->type), argmax + image, &k, r % k.h,
                                                              element_to(dx->data, (size_t)r * row, dy->type));
    }
}

/* ---- global average pooling: work is shared out by image and by group of LANES channels ---- */

/* y = mean over p places of `lanes` channels; x's places lie `stride` elements apart. */
static ALWAYS_INLINE void mean_lanes(const void *x, size_t p, size_t stride, int lanes, void *y, dtype type) {
    double sum[LANES] = {0.0};
    for (size_t i = 0; i < p; i++) {
        for (int c = 0; c < lanes; c++) sum[c] += (double)element_load(x, i * stride + (size_t)c, type);
    }
    for (int c = 0; c < lanes; c++) element_store(y, (size_t)c, (float)(sum[c] / (double)p), type);
}

/* dx = dy / p at each of p places. */
static ALWAYS_INLINE void spread_lanes(const void *dy, size_t p, size_t stride, int lanes, void *dx, dtype type) {
    float share[LANES];
    for (int c = 0; c < lanes; c++) share[c] = (float)((double)element_load(dy, (size_t)c, type) / (double)p);
    for (size_t i = 0; i < p; i++) {
        for (int c = 0; c < lanes; c++) element_store(dx, i * stride + (size_t)c, share[c], type);
    }
}

#define GLOBAL(suffix, type)                                                                                                               \
    SIMD_CLONES static void mean_##suffix(const void *x, size_t p, size_t stride, int lanes, void *y) {                                    \
        mean_lanes(x, p, stride, lanes, y, type);                                                                                          \
    }                                                                                                                                      \
    SIMD_CLONES static void spread_##suffix(const void *dy, size_t p, size_t stride, int lanes, void *dx) {                                \
        spread_lanes(dy, p, stride, lanes, dx, type);                                                                                      \
    }
GLOBAL(f32, F32)
GLOBAL(bf16, BF16)

void cpu_global_pool_forward(backend *be, const tensor *x, tensor *y) {
    const size_t p = (size_t)x->h * (size_t)x->w, c = (size_t)x->c;
    const int groups = (x->c + LANES - 1) / LANES, parts = x->n * groups;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (int k = 0; k < parts; k++) {
        const int first = k % groups * LANES, lanes = x->c - first < LANES ? x->c - first : LANES;
        const size_t n = (size_t)(k / groups);
        (x->type == BF16 ? mean_bf16 : mean_f32)(element_at(x->data, n * p * c + (size_t)first, x->type), p, c, lanes,
                                                 element_to(y->data, n * c + (size_t)first, x->type));
    }
}

void cpu_global_pool_backward(backend *be, const tensor *dy, tensor *dx) {
    const size_t p = (size_t)dx->h * (size_t)dx->w, c = (size_t)dx->c;
    const int groups = (dx->c + LANES - 1) / LANES, parts = dx->n * groups;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(dx) >= CPU_PARALLEL_MIN) schedule(static)
    for (int k = 0; k < parts; k++) {
        const int first = k % groups * LANES, lanes = dx->c - first < LANES ? dx->c - first : LANES;
        const size_t n = (size_t)(k / groups);
        (dy->type == BF16 ? spread_bf16 : spread_f32)(element_at(dy->data, n * c + (size_t)first, dy->type), p, c, lanes,
                                                      element_to(dx->data, n * p * c + (size_t)first, dy->type));
    }
}
