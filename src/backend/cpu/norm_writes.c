/*
 * The two sweeps of a normalisation layer that write maps, affine and backward: row by row (the C floats of a pixel), each element by
 * itself, so that outputs may lie over inputs. What is optional is a constant of one of several variants of the same loop.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
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

static ALWAYS_INLINE void affine_rows(const void *x, int rows, int width, const float *m, const float *a, const float *b,
                                      const void *residual, void *y, bool added, bool relu, dtype type) {
    for (int i = 0; i < rows; i++) {
        const size_t at_row = (size_t)i * (size_t)width;
        const void *from = element_at(x, at_row, type), *plus = added ? element_at(residual, at_row, type) : NULL;
        void *to = element_to(y, at_row, type);
#pragma omp simd
        for (int c = 0; c < width; c++) {
            float value = a[c] * (element_load(from, (size_t)c, type) - m[c]) + b[c];
            if (added) value += element_load(plus, (size_t)c, type);
            if (relu) value = value > 0.0f ? value : 0.0f;
            element_store(to, (size_t)c, value, type);
        }
    }
}

typedef void affine_function(const void *x, int rows, int width, const float *m, const float *a, const float *b, const void *residual,
                             void *y);
#define AFFINE(name, added, relu, type)                                                                                                    \
    SIMD_CLONES static void name(const void *x, int rows, int width, const float *m, const float *a, const float *b, const void *residual, \
                                 void *y) {                                                                                                \
        affine_rows(x, rows, width, m, a, b, residual, y, added, relu, type);                                                              \
    }
AFFINE(affine_plain_f32, false, false, F32)
AFFINE(affine_relu_f32, false, true, F32)
AFFINE(affine_added_f32, true, false, F32)
AFFINE(affine_added_relu_f32, true, true, F32)
AFFINE(affine_plain_bf16, false, false, BF16)
AFFINE(affine_relu_bf16, false, true, BF16)
AFFINE(affine_added_bf16, true, false, BF16)
AFFINE(affine_added_relu_bf16, true, true, BF16)

/* [type][residual][ReLU] */
static affine_function *const AFFINES[2][2][2] = {
    [F32] = {{affine_plain_f32, affine_relu_f32}, {affine_added_f32, affine_added_relu_f32}},
    [BF16] = {{affine_plain_bf16, affine_relu_bf16}, {affine_added_bf16, affine_added_relu_bf16}}};

void cpu_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                     bool relu, void *y) {
    affine_function *const rows = AFFINES[d.type][residual != NULL][relu];
    const int ranges = ranges_of(d);
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (long task = 0; task < (long)d.n * ranges; task++) {
        const range r = range_of(d, ranges, task);
        rows(element_at(x, r.element, d.type), r.rows, d.c, m + r.row, a + r.row, b + r.row,
             residual != NULL ? element_at(residual, r.element, d.type) : NULL, element_to(y, r.element, d.type));
    }
}

/* (C) rows of one image for the backward sweep. */
typedef struct slopes {
    const float *a, *b, *m, *dm, *dv; /* b only for a mask made again */
    float inverse;                    /* 1/P */
} slopes;

static ALWAYS_INLINE void backward_rows(const void *dy, const void *y, const void *x, int rows, int width, slopes s, void *dx,
                                        void *dresidual, mask_kind mask, bool residual, dtype type) {
    const float *const a = s.a, *const b = s.b, *const m = s.m, *const dm = s.dm, *const dv = s.dv;
    const float inverse = s.inverse;
    for (int i = 0; i < rows; i++) {
        const size_t at_row = (size_t)i * (size_t)width;
        const void *gradient = element_at(dy, at_row, type), *output = mask == MASK_KEPT ? element_at(y, at_row, type) : NULL;
        const void *from = element_at(x, at_row, type);
        void *to = element_to(dx, at_row, type), *aside = residual ? element_to(dresidual, at_row, type) : NULL;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            const size_t e = (size_t)c;
            const float centred = element_load(from, e, type) - m[c];
            float g = element_load(gradient, e, type);
            if (mask == MASK_KEPT) g = element_load(output, e, type) > 0.0f ? g : 0.0f;
            if (mask == MASK_AGAIN) g = a[c] * centred + b[c] > 0.0f ? g : 0.0f;
            if (residual) element_store(aside, e, g, type);
            element_store(to, e, a[c] * g + inverse * (dm[c] + 2.0f * dv[c] * centred), type);
        }
    }
}

typedef void backward_function(const void *dy, const void *y, const void *x, int rows, int width, slopes s, void *dx, void *dresidual);
#define BACKWARD(name, mask, residual, type)                                                                                               \
    SIMD_CLONES static void name(const void *dy, const void *y, const void *x, int rows, int width, slopes s, void *dx, void *dresidual) { \
        backward_rows(dy, y, x, rows, width, s, dx, dresidual, mask, residual, type);                                                      \
    }
BACKWARD(backward_none_f32, MASK_NONE, false, F32)
BACKWARD(backward_kept_f32, MASK_KEPT, false, F32)
BACKWARD(backward_again_f32, MASK_AGAIN, false, F32)
BACKWARD(backward_none_residual_f32, MASK_NONE, true, F32)
BACKWARD(backward_kept_residual_f32, MASK_KEPT, true, F32)
BACKWARD(backward_none_bf16, MASK_NONE, false, BF16)
BACKWARD(backward_kept_bf16, MASK_KEPT, false, BF16)
BACKWARD(backward_again_bf16, MASK_AGAIN, false, BF16)
BACKWARD(backward_none_residual_bf16, MASK_NONE, true, BF16)
BACKWARD(backward_kept_residual_bf16, MASK_KEPT, true, BF16)

/* [type][residual][mask]; with a residual y does not follow from the coefficients alone. */
static backward_function *const BACKWARDS[2][2][3] = {
    [F32] = {{backward_none_f32, backward_kept_f32, backward_again_f32}, {backward_none_residual_f32, backward_kept_residual_f32, NULL}},
    [BF16] = {{backward_none_bf16, backward_kept_bf16, backward_again_bf16},
              {backward_none_residual_bf16, backward_kept_residual_bf16, NULL}}};

void cpu_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                       const float *dm, const float *dv, void *dx, void *dresidual) {
    const mask_kind kind = mask_kind_of(mask);
    backward_function *const rows = BACKWARDS[d.type][dresidual != NULL][kind];
    const int ranges = ranges_of(d);
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (long task = 0; task < (long)d.n * ranges; task++) {
        const range r = range_of(d, ranges, task);
        const slopes s = {a + r.row, kind == MASK_AGAIN ? mask.b + r.row : NULL, m + r.row, dm + r.row, dv + r.row, 1.0f / (float)d.p};
        rows(element_at(dy, r.element, d.type), kind == MASK_KEPT ? element_at(mask.y, r.element, d.type) : NULL,
             element_at(x, r.element, d.type), r.rows, d.c, s, element_to(dx, r.element, d.type),
             dresidual != NULL ? element_to(dresidual, r.element, d.type) : NULL);
    }
}
