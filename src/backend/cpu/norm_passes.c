/*
 * The two sweeps of a normalisation layer that read its maps, moments and reduce; norm_writes.c has those that write them.
 *
 * They work on a grid of units (image, range of pixels, block of channels) that depends on the shape alone, never on the threads: sums
 * inside a unit are float over CHUNK pixels and double above, and the units of one (image, block) are put together in pixel order.
 * So results are the same bits for any number of threads.
 *
 * Moments subtract a chunk's first pixel before they sum and square: that pixel is among the summed ones, so the chunk's variance is at
 * least its squared distance from the mean over CHUNK, and what cancels costs at most CHUNK roundings, whatever the mean. Chunks are
 * merged as (count, mean, M2) by Chan's formula.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
#include "base/simd.h"

enum {
    BLOCK = 128,   /* channels of a unit */
    CHUNK = 64,    /* pixels summed in float */
    UNITS = 64,    /* most units of a split grid: their partial results live on the stack */
    MIN_ROWS = 128 /* fewest pixels worth a unit of their own */
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

/* sum += x - shift, square += (x - shift)^2 over count (a constant: 1 or 4) rows. */
static ALWAYS_INLINE void add_deviations(const void *x, size_t stride, int count, int width, const float *shift, float *sum, float *square,
                                         dtype type) {
#pragma omp simd
    for (int c = 0; c < width; c++) {
        float s = 0.0f, q = 0.0f;
        for (int i = 0; i < count; i++) {
            const float d = element_load(x, (size_t)i * stride + (size_t)c, type) - shift[c];
            s += d;
            q += d * d;
        }
        sum[c] += s;
        square[c] += q;
    }
}

static ALWAYS_INLINE void chunk_rows(const void *x, size_t stride, int rows, int width, double *mean, double *m2, dtype type) {
    float shift[BLOCK], sum[BLOCK], square[BLOCK];
    for (int c = 0; c < width; c++) {
        shift[c] = element_load(x, (size_t)c, type);
        sum[c] = square[c] = 0.0f;
    }
    int i = 0;
    for (; i + 4 <= rows; i += 4) add_deviations(element_at(x, (size_t)i * stride, type), stride, 4, width, shift, sum, square, type);
    for (; i < rows; i++) add_deviations(element_at(x, (size_t)i * stride, type), stride, 1, width, shift, sum, square, type);
    const double inverse = 1.0 / rows;
    for (int c = 0; c < width; c++) {
        const double rest = (double)sum[c] * inverse, m = (double)square[c] - rest * (double)sum[c];
        mean[c] = (double)shift[c] + rest;
        m2[c] = m > 0.0 ? m : 0.0;
    }
}

SIMD_CLONES static void chunk_f32(const void *x, size_t stride, int rows, int width, double *mean, double *m2) {
    chunk_rows(x, stride, rows, width, mean, m2, F32);
}

SIMD_CLONES static void chunk_bf16(const void *x, size_t stride, int rows, int width, double *mean, double *m2) {
    chunk_rows(x, stride, rows, width, mean, m2, BF16);
}

static void chunk_moments(const void *x, size_t stride, int rows, int width, double *mean, double *m2, dtype type) {
    (type == BF16 ? chunk_bf16 : chunk_f32)(x, stride, rows, width, mean, m2);
}

static void unit_moments(const void *x, norm_dims d, const unit *u, partial *out) {
    double mean[BLOCK], m2[BLOCK];
    const int rows = u->end - u->begin;
    for (int c = 0; c < u->width; c++) out->first[c] = out->second[c] = 0.0;
    for (int i = 0; i < rows; i += CHUNK) {
        const int count = smaller(CHUNK, rows - i);
        chunk_moments(element_at(x, at(d, u) + (size_t)i * (size_t)d.c, d.type), (size_t)d.c, count, u->width, mean, m2, d.type);
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

void cpu_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v) {
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

/* Rows (C) of one image. */
typedef struct reduce_rows {
    const float *m, *a, *b;
} reduce_rows;

static ALWAYS_INLINE void add_gradients(const void *dy, const void *y, const void *x, size_t first, size_t stride, int count, int width,
                                        reduce_rows r, float *s1, float *s2, mask_kind kind, dtype type) {
    const float *const m = r.m, *const a = r.a, *const b = r.b;
#pragma omp simd
    for (int c = 0; c < width; c++) {
        float s = 0.0f, q = 0.0f;
        for (int i = 0; i < count; i++) {
            const size_t e = first + (size_t)i * stride + (size_t)c;
            const float centred = element_load(x, e, type) - m[c];
            float g = element_load(dy, e, type);
            if (kind == MASK_KEPT) g = element_load(y, e, type) > 0.0f ? g : 0.0f;
            if (kind == MASK_AGAIN) g = a[c] * centred + b[c] > 0.0f ? g : 0.0f;
            s += g;
            q += g * centred;
        }
        s1[c] += s;
        s2[c] += q;
    }
}

static ALWAYS_INLINE void reduce_chunk(const void *dy, const void *y, const void *x, size_t stride, int rows, int width, reduce_rows r,
                                       partial *out, mask_kind kind, dtype type) {
    float s1[BLOCK], s2[BLOCK];
    for (int c = 0; c < width; c++) s1[c] = s2[c] = 0.0f;
    int i = 0;
    for (; i + 4 <= rows; i += 4) add_gradients(dy, y, x, (size_t)i * stride, stride, 4, width, r, s1, s2, kind, type);
    for (; i < rows; i++) add_gradients(dy, y, x, (size_t)i * stride, stride, 1, width, r, s1, s2, kind, type);
    for (int c = 0; c < width; c++) {
        out->first[c] += (double)s1[c];
        out->second[c] += (double)s2[c];
    }
}

typedef void reduce_function(const void *dy, const void *y, const void *x, size_t stride, int rows, int width, reduce_rows r, partial *out);
#define REDUCE(name, kind, type)                                                                                                           \
    SIMD_CLONES static void name(const void *dy, const void *y, const void *x, size_t stride, int rows, int width, reduce_rows r,          \
                                 partial *out) {                                                                                           \
        reduce_chunk(dy, y, x, stride, rows, width, r, out, kind, type);                                                                   \
    }
REDUCE(reduce_none_f32, MASK_NONE, F32)
REDUCE(reduce_kept_f32, MASK_KEPT, F32)
REDUCE(reduce_again_f32, MASK_AGAIN, F32)
REDUCE(reduce_none_bf16, MASK_NONE, BF16)
REDUCE(reduce_kept_bf16, MASK_KEPT, BF16)
REDUCE(reduce_again_bf16, MASK_AGAIN, BF16)

static reduce_function *const REDUCTIONS[2][3] = {
    [F32] = {reduce_none_f32, reduce_kept_f32, reduce_again_f32}, [BF16] = {reduce_none_bf16, reduce_kept_bf16, reduce_again_bf16}};

static void unit_reduce(const void *dy, norm_mask mask, const void *x, norm_dims d, const unit *u, const float *m, partial *out) {
    const size_t row = (size_t)u->n * (size_t)d.c + (size_t)u->channel;
    const mask_kind kind = mask_kind_of(mask);
    const reduce_rows r = {m + row, kind == MASK_AGAIN ? mask.a + row : NULL, kind == MASK_AGAIN ? mask.b + row : NULL};
    const int rows = u->end - u->begin;
    for (int c = 0; c < u->width; c++) out->first[c] = out->second[c] = 0.0;
    for (int i = 0; i < rows; i += CHUNK) {
        const size_t e = at(d, u) + (size_t)i * (size_t)d.c;
        REDUCTIONS[d.type][kind](element_at(dy, e, d.type), kind == MASK_KEPT ? element_at(mask.y, e, d.type) : NULL,
                                 element_at(x, e, d.type), (size_t)d.c, smaller(CHUNK, rows - i), u->width, r, out);
    }
}

static void store_sums(norm_dims d, const unit *u, const partial *p, float *s1, float *s2) {
    const size_t to = (size_t)u->n * (size_t)d.c + (size_t)u->channel;
    for (int c = 0; c < u->width; c++) {
        s1[to + (size_t)c] = (float)p->first[c];
        s2[to + (size_t)c] = (float)p->second[c];
    }
}

void cpu_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2) {
    const grid g = grid_of(d);
    partial parts[UNITS];
#pragma omp parallel for num_threads(be->threads) schedule(static)
    for (int i = 0; i < g.units; i++) {
        const unit u = unit_of(g, d, i);
        partial mine, *out = g.splits > 1 ? &parts[i] : &mine;
        unit_reduce(dy, mask, x, d, &u, m, out);
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
