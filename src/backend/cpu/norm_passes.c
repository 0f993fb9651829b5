/*
 * The two sweeps of a normalisation layer that read its maps, moments and reduce; norm_writes.c has those that write them.
 *
 * They work on a grid of units (image, range of pixels, block of channels) that depends on the shape alone, never on the threads: sums
 * inside a unit are float over CHUNK pixels and double above, and the units of one (image, block) are put together in pixel order.
 * So results are the same bits for any number of threads.
 *
 * Moments subtract a mean before they square: a chunk is read twice, first for its mean (from memory), then for its squares (from cache),
 * and chunks are merged as (count, mean, M2) by Chan's formula.
 */
#include "backend/cpu/cpu.h"
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
