/*
 * The four sweeps of a normalisation layer over its maps: moments and reduce read them, affine and backward write one.
 *
 * The readers work on a grid of units (image, range of pixels, block of channels) that depends on the shape alone, never on the threads:
 * sums inside a unit are float over CHUNK pixels and double above, and the units of one (image, block) are put together in pixel
 * order. So results are the same bits for any number of threads. The writers have no order to keep and go row by row.
 *
 * Moments subtract a mean before they square: a chunk is read twice, first for its mean (from memory), then for its squares (from cache),
 * and chunks are merged as (count, mean, M2) by Chan's formula.
 */
#include "backend/cpu/cpu.h"
#include "base/simd.h"

enum {
    BLOCK = 128,    /* channels of a unit */
    CHUNK = 64,     /* pixels summed in float */
    UNITS = 64,     /* most units of a split grid: their partial results live on the stack */
    MIN_ROWS = 128, /* fewest pixels worth a unit of their own */
    GRAIN = 1 << 14 /* floats of a map that a writing task takes at once */
};

/* What a unit leaves: mean and M2 of its pixels (moments), or sum g and sum g (x - m) (reduce). */
typedef struct partial {
    double first[BLOCK], second[BLOCK];
} partial;

typedef struct grid {
    int blocks, splits; /* channel blocks; pixel ranges of an image */
    int units;          /* n * blocks * splits, block innermost, image outermost */
} grid;

typedef struct unit {
    int n, split, channel, width; /* image, pixel range, first channel, channels */
    int begin, end;               /* pixels */
} unit;

static int smaller(int a, int b) {
    return a < b ? a : b;
}

static grid grid_of(norm_dims d) {
    grid g = {.blocks = (d.c + BLOCK - 1) / BLOCK, .splits = 1};
    const int columns = d.n * g.blocks;
    if (columns > 0 && columns <= UNITS / 2) g.splits = smaller(UNITS / columns, (d.p + MIN_ROWS - 1) / MIN_ROWS);
    g.units = columns * g.splits;
    return g;
}

static unit unit_of(grid g, norm_dims d, int index) {
    const int block = index % g.blocks, split = index / g.blocks % g.splits;
    return (unit){.n = index / (g.blocks * g.splits),
                  .split = split,
                  .channel = block * BLOCK,
                  .width = smaller(BLOCK, d.c - block * BLOCK),
                  .begin = (int)((long)d.p * split / g.splits),
                  .end = (int)((long)d.p * (split + 1) / g.splits)};
}

static size_t at(norm_dims d, const unit *u) {
    return ((size_t)u->n * (size_t)d.p + (size_t)u->begin) * (size_t)d.c + (size_t)u->channel;
}

/* ---- moments ---- */

/* Merge (count, mean, M2) of further pixels into what `before` pixels gave. */
SIMD_CLONES static void merge_moments(partial *to, double before, const double *mean, const double *m2, double count, int width) {
    const double part = count / (before + count), cross = before * part;
#pragma omp simd
    for (int c = 0; c < width; c++) {
        const double delta = mean[c] - to->first[c];
        to->first[c] += part * delta;
        to->second[c] += m2[c] + cross * delta * delta;
    }
}

/* sum += x - shift, and square += (x - shift)^2 where wanted, over count (a constant: 1 or 4) rows. */
static inline __attribute__((always_inline)) void add_deviations(const float *x, size_t stride, int count, int width, const float *shift,
                                                                 float *sum, float *square, bool squared) {
#pragma omp simd
    for (int c = 0; c < width; c++) {
        float s = 0.0f, q = 0.0f;
        for (int i = 0; i < count; i++) {
            const float d = x[(size_t)i * stride + (size_t)c] - shift[c];
            s += d;
            q += d * d;
        }
        sum[c] += s;
        if (squared) square[c] += q;
    }
}

SIMD_CLONES static void chunk_moments(const float *x, size_t stride, int rows, int width, double *mean, double *m2) {
    float shift[BLOCK], sum[BLOCK], square[BLOCK];
    for (int c = 0; c < width; c++) {
        shift[c] = x[c];
        sum[c] = square[c] = 0.0f;
    }
    int i = 0;
    for (; i + 4 <= rows; i += 4) add_deviations(x + (size_t)i * stride, stride, 4, width, shift, sum, square, false);
    for (; i < rows; i++) add_deviations(x + (size_t)i * stride, stride, 1, width, shift, sum, square, false);
    const float inverse = 1.0f / (float)rows;
    for (int c = 0; c < width; c++) {
        shift[c] += sum[c] * inverse;
        sum[c] = 0.0f;
    }
    for (i = 0; i + 4 <= rows; i += 4) add_deviations(x + (size_t)i * stride, stride, 4, width, shift, sum, square, true);
    for (; i < rows; i++) add_deviations(x + (size_t)i * stride, stride, 1, width, shift, sum, square, true);
    /* The shift is the mean but for rounding; what is left of it stands in sum. */
    for (int c = 0; c < width; c++) {
        const double rest = (double)sum[c] / rows, m = (double)square[c] - rest * (double)sum[c];
        mean[c] = (double)shift[c] + rest;
        m2[c] = m > 0.0 ? m : 0.0;
    }
}

static void unit_moments(const float *x, norm_dims d, const unit *u, partial *out) {
    double mean[BLOCK], m2[BLOCK];
    const int rows = u->end - u->begin;
    for (int c = 0; c < u->width; c++) out->first[c] = out->second[c] = 0.0;
    for (int i = 0; i < rows; i += CHUNK) {
        const int count = smaller(CHUNK, rows - i);
        chunk_moments(x + at(d, u) + (size_t)i * (size_t)d.c, (size_t)d.c, count, u->width, mean, m2);
        merge_moments(out, i, mean, m2, count, u->width);
    }
}

static void store_moments(norm_dims d, const unit *u, const partial *p, float *m, float *v) {
    const size_t to = (size_t)u->n * (size_t)d.c + (size_t)u->channel;
    for (int c = 0; c < u->width; c++) {
        m[to + (size_t)c] = (float)p->first[c];
        v[to + (size_t)c] = (float)(p->second[c] / d.p);
    }
}

void cpu_norm_moments(backend *be, const float *x, norm_dims d, float *m, float *v) {
    const grid g = grid_of(d);
    partial parts[UNITS]; /* used where g.splits > 1 */
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (int i = 0; i < g.units; i++) {
        const unit u = unit_of(g, d, i);
        partial mine, *out = g.splits > 1 ? &parts[i] : &mine;
        unit_moments(x, d, &u, out);
        if (g.splits == 1) store_moments(d, &u, out, m, v);
    }
    if (g.splits == 1) return;
    for (int i = 0; i < g.units; i++) {
        const unit u = unit_of(g, d, i);
        partial *first = &parts[i - u.split * g.blocks];
        if (u.split > 0) merge_moments(first, u.begin, parts[i].first, parts[i].second, u.end - u.begin, u.width);
        if (u.split == g.splits - 1) store_moments(d, &u, first, m, v);
    }
}

/* ---- reduce ---- */

static inline __attribute__((always_inline)) void add_gradients(const float *dy, const float *y, const float *x, size_t stride, int count,
                                                                int width, const float *m, float *s1, float *s2, bool masked) {
#pragma omp simd
    for (int c = 0; c < width; c++) {
        float s = 0.0f, q = 0.0f;
        for (int i = 0; i < count; i++) {
            const size_t e = (size_t)i * stride + (size_t)c;
            const float whole = dy[e], g = masked ? (y[e] > 0.0f ? whole : 0.0f) : whole;
            s += g;
            q += g * (x[e] - m[c]);
        }
        s1[c] += s;
        s2[c] += q;
    }
}

static inline __attribute__((always_inline)) void reduce_rows(const float *dy, const float *y, const float *x, size_t stride, int rows,
                                                              int width, const float *m, partial *out, bool masked) {
    float s1[BLOCK], s2[BLOCK];
    for (int c = 0; c < width; c++) s1[c] = s2[c] = 0.0f;
    int i = 0;
    for (; i + 4 <= rows; i += 4) {
        const size_t e = (size_t)i * stride;
        add_gradients(dy + e, masked ? y + e : NULL, x + e, stride, 4, width, m, s1, s2, masked);
    }
    for (; i < rows; i++) {
        const size_t e = (size_t)i * stride;
        add_gradients(dy + e, masked ? y + e : NULL, x + e, stride, 1, width, m, s1, s2, masked);
    }
    for (int c = 0; c < width; c++) {
        out->first[c] += (double)s1[c];
        out->second[c] += (double)s2[c];
    }
}

SIMD_CLONES static void reduce_masked(const float *dy, const float *y, const float *x, size_t stride, int rows, int width, const float *m,
                                      partial *out) {
    reduce_rows(dy, y, x, stride, rows, width, m, out, true);
}

SIMD_CLONES static void reduce_plain(const float *dy, const float *x, size_t stride, int rows, int width, const float *m, partial *out) {
    reduce_rows(dy, NULL, x, stride, rows, width, m, out, false);
}

static void unit_reduce(const float *dy, const float *y, const float *x, norm_dims d, const unit *u, const float *m, partial *out) {
    const float *mean = m + (size_t)u->n * (size_t)d.c + (size_t)u->channel;
    const int rows = u->end - u->begin;
    for (int c = 0; c < u->width; c++) out->first[c] = out->second[c] = 0.0;
    for (int i = 0; i < rows; i += CHUNK) {
        const int count = smaller(CHUNK, rows - i);
        const size_t e = at(d, u) + (size_t)i * (size_t)d.c;
        if (y != NULL)
            reduce_masked(dy + e, y + e, x + e, (size_t)d.c, count, u->width, mean, out);
        else
            reduce_plain(dy + e, x + e, (size_t)d.c, count, u->width, mean, out);
    }
}

static void store_sums(norm_dims d, const unit *u, const partial *p, float *s1, float *s2) {
    const size_t to = (size_t)u->n * (size_t)d.c + (size_t)u->channel;
    for (int c = 0; c < u->width; c++) {
        s1[to + (size_t)c] = (float)p->first[c];
        s2[to + (size_t)c] = (float)p->second[c];
    }
}

void cpu_norm_reduce(backend *be, const float *dy, const float *y, const float *x, norm_dims d, const float *m, float *s1, float *s2) {
    const grid g = grid_of(d);
    partial parts[UNITS];
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (int i = 0; i < g.units; i++) {
        const unit u = unit_of(g, d, i);
        partial mine, *out = g.splits > 1 ? &parts[i] : &mine;
        unit_reduce(dy, y, x, d, &u, m, out);
        if (g.splits == 1) store_sums(d, &u, out, s1, s2);
    }
    if (g.splits == 1) return;
    for (int i = 0; i < g.units; i++) {
        const unit u = unit_of(g, d, i);
        partial *first = &parts[i - u.split * g.blocks];
        for (int c = 0; u.split > 0 && c < u.width; c++) {
            first->first[c] += parts[i].first[c];
            first->second[c] += parts[i].second[c];
        }
        if (u.split == g.splits - 1) store_sums(d, &u, first, s1, s2);
    }
}

/* ---- affine and backward ---- */

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
