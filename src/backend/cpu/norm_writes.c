/*
 * The two sweeps of a normalisation layer that write maps, affine and backward: row by row (the C floats of a pixel), each element by
 * itself, so that outputs may lie over inputs. What is optional is a constant of one of several variants of the same loop.
 */
#include "backend/cpu/cpu.h"
#include "base/simd.h"

enum { GRAIN = 1 << 14 }; /* floats of a map that a task takes at once */

/* Rows [begin, end) of one image, as a task of a writing sweep: image n's rows in ranges of about GRAIN floats. */
typedef struct range {
    size_t element, row; /* offset into the map; into (N,C) */
    int rows;
} range;

static int ranges_of(norm_dims d) {
    const long pieces = ((long)d.p * d.c + GRAIN - 1) / GRAIN;
    return pieces < d.p ? (int)pieces : d.p;
}

static range range_of(norm_dims d, int ranges, long task) {
    const long n = task / ranges, piece = task % ranges;
    const long begin = (long)d.p * piece / ranges, end = (long)d.p * (piece + 1) / ranges;
    return (range){.element = (size_t)(n * d.p + begin) * (size_t)d.c, .row = (size_t)n * (size_t)d.c, .rows = (int)(end - begin)};
}

static inline __attribute__((always_inline)) void affine_rows(const float *x, int rows, int width, const float *m, const float *a,
                                                              const float *b, const float *residual, float *y, bool added, bool relu) {
    for (int i = 0; i < rows; i++) {
        const size_t at_row = (size_t)i * (size_t)width;
        const float *from = x + at_row, *plus = added ? residual + at_row : NULL;
        float *to = y + at_row;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            float value = a[c] * (from[c] - m[c]) + b[c];
            if (added) value += plus[c];
            if (relu) value = value > 0.0f ? value : 0.0f;
            to[c] = value;
        }
    }
}

typedef void affine_function(const float *x, int rows, int width, const float *m, const float *a, const float *b, const float *residual,
                             float *y);
#define AFFINE(name, added, relu)                                                                                                          \
    SIMD_CLONES static void name(const float *x, int rows, int width, const float *m, const float *a, const float *b,                      \
                                 const float *residual, float *y) {                                                                        \
        affine_rows(x, rows, width, m, a, b, residual, y, added, relu);                                                                    \
    }
AFFINE(affine_plain, false, false)
AFFINE(affine_relu, false, true)
AFFINE(affine_added, true, false)
AFFINE(affine_added_relu, true, true)

void cpu_norm_affine(backend *be, const float *x, norm_dims d, const float *m, const float *a, const float *b, const float *residual,
                     bool relu, float *y) {
    affine_function *const with_residual = relu ? affine_added_relu : affine_added, *const without = relu ? affine_relu : affine_plain;
    affine_function *const rows = residual != NULL ? with_residual : without;
    const int ranges = ranges_of(d);
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (long task = 0; task < (long)d.n * ranges; task++) {
        const range r = range_of(d, ranges, task);
        const float *plus = residual != NULL ? residual + r.element : NULL;
        rows(x + r.element, r.rows, d.c, m + r.row, a + r.row, b + r.row, plus, y + r.element);
    }
}

/* (C) rows of one image for the backward sweep. */
typedef struct slopes {
    const float *a, *m, *dm, *dv;
    float inverse; /* 1/P */
} slopes;

static inline __attribute__((always_inline)) void backward_rows(const float *dy, const float *y, const float *x, int rows, int width,
                                                                slopes s, float *dx, float *dresidual, bool masked, bool residual) {
    const float *const a = s.a, *const m = s.m, *const dm = s.dm, *const dv = s.dv;
    const float inverse = s.inverse;
    for (int i = 0; i < rows; i++) {
        const size_t at_row = (size_t)i * (size_t)width;
        const float *gradient = dy + at_row, *output = masked ? y + at_row : NULL, *from = x + at_row;
        float *to = dx + at_row, *aside = residual ? dresidual + at_row : NULL;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            const float whole = gradient[c], g = masked ? (output[c] > 0.0f ? whole : 0.0f) : whole;
            const float centred = from[c] - m[c];
            if (residual) aside[c] = g;
            to[c] = a[c] * g + inverse * (dm[c] + 2.0f * dv[c] * centred);
        }
    }
}

typedef void backward_function(const float *dy, const float *y, const float *x, int rows, int width, slopes s, float *dx, float *dresidual);
#define BACKWARD(name, masked, residual)                                                                                                   \
    SIMD_CLONES static void name(const float *dy, const float *y, const float *x, int rows, int width, slopes s, float *dx,                \
                                 float *dresidual) {                                                                                       \
        backward_rows(dy, y, x, rows, width, s, dx, dresidual, masked, residual);                                                          \
    }
BACKWARD(backward_plain, false, false)
BACKWARD(backward_masked, true, false)
BACKWARD(backward_residual, false, true)
BACKWARD(backward_masked_residual, true, true)

void cpu_norm_backward(backend *be, const float *dy, const float *y, const float *x, norm_dims d, const float *a, const float *m,
                       const float *dm, const float *dv, float *dx, float *dresidual) {
    backward_function *const with_residual = y != NULL ? backward_masked_residual : backward_residual;
    backward_function *const without = y != NULL ? backward_masked : backward_plain;
    backward_function *const rows = dresidual != NULL ? with_residual : without;
    const int ranges = ranges_of(d);
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (long task = 0; task < (long)d.n * ranges; task++) {
        const range r = range_of(d, ranges, task);
        const slopes s = {a + r.row, m + r.row, dm + r.row, dv + r.row, 1.0f / (float)d.p};
        rows(dy + r.element, y != NULL ? y + r.element : NULL, x + r.element, r.rows, d.c, s, dx + r.element,
             dresidual != NULL ? dresidual + r.element : NULL);
    }
}
