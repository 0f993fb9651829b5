/*
 * Bilinear upsampling, softmax cross-entropy and their gradient in one pass, without the large map.
 *
 * The label rows whose upper neighbour is logits row i form segment i. A segment touches the two logits rows i and i+1 alone, so it sums
 * its gradient into two rows of its own; afterwards row i of the gradient is the upper sum of segment i plus the lower sum of segment
 * i-1. Segments run in parallel, no two threads add to one place, and every sum has one order whatever the number of threads.
 *
 * Inside a segment each label row is a mix of the two logits rows (made once: `mixed`, one logits row wide) and each pixel a mix of two
 * of its columns. Rows in the workspace have their channels padded to LANES, with logits so small that they vanish, and one more column,
 * so that the hot loops have neither a remainder nor an edge.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/cpu/bilinear.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
#include "base/memory.h"
#include "base/simd.h"

enum { LANES = 16 };
static const float VANISHING = -1e30f; /* the padding's logits */

/* Sizes of one call and its parts of the workspace. */
typedef struct loss_plan {
    int n, h, w, c, label_h, label_w;
    int lanes;             /* c padded to LANES */
    size_t row;            /* floats of one padded row: (w + 1) x lanes */
    size_t thread_floats;  /* one thread's memory: mixed row, its gradient, one pixel */
    bilinear_tap *columns; /* (label_w) */
    int *first_row;        /* (h + 1) first label row of each segment */
    loss_sums *sums;       /* (n h) of each segment */
    float *upper, *lower;  /* (n h, row) gradient of each segment */
    float *threads;        /* (threads, thread_floats) */
    size_t bytes;
} loss_plan;

static void *carve(unsigned char *base, size_t *used, size_t bytes) {
    void *p = base != NULL ? base + *used : NULL;
    *used += memory_round(bytes);
    return p;
}

static loss_plan plan_of(const backend *be, const tensor *logits, int label_h, int label_w, void *workspace) {
    loss_plan p = {.n = logits->n, .h = logits->h, .w = logits->w, .c = logits->c, .label_h = label_h, .label_w = label_w};
    const size_t segments = (size_t)p.n * (size_t)p.h;
    p.lanes = (p.c + LANES - 1) / LANES * LANES;
    p.row = (size_t)(p.w + 1) * (size_t)p.lanes;
    p.thread_floats = 2 * p.row + (size_t)p.lanes;
    p.columns = carve(workspace, &p.bytes, (size_t)label_w * sizeof *p.columns);
    p.first_row = carve(workspace, &p.bytes, (size_t)(p.h + 1) * sizeof *p.first_row);
    p.sums = carve(workspace, &p.bytes, segments * sizeof *p.sums);
    p.upper = carve(workspace, &p.bytes, segments * p.row * sizeof(float));
    p.lower = carve(workspace, &p.bytes, segments * p.row * sizeof(float));
    p.threads = carve(workspace, &p.bytes, (size_t)be->threads * p.thread_floats * sizeof(float));
    return p;
}

size_t cpu_upsample_loss_workspace(backend *be, const tensor *logits, int label_h, int label_w) {
    return plan_of(be, logits, label_h, label_w, NULL).bytes;
}

/* NOLINTBEGIN(clang-analyzer-core.NullDereference): only a plan without memory, made to learn its size, has no tables. */
static void fill_tables(const loss_plan *p) {
    for (int x = 0; x < p->label_w; x++) p->columns[x] = bilinear_at(x, p->w, p->label_w);
    int y = 0;
    for (int i = 0; i < p->h; i++) {
        while (y < p->label_h && bilinear_at(y, p->h, p->label_h).i0 < i) y++;
        p->first_row[i] = y;
    }
    p->first_row[p->h] = p->label_h;
}
/* NOLINTEND(clang-analyzer-core.NullDereference) */

/* ---- one label row ---- */

/*
 * exp(x) for x <= 0 within 2e-7 relative, in a form that compilers vectorise (a call of expf would stop them); NaN stays NaN. Below -80 it
 * is 0: products with smaller numbers would be denormal, which processors are slow at. x = n ln 2 + r with |r| <= ln 2 / 2: Taylor to the
 * seventh power, whose rest is 5e-9, times 2^n. Adding 1.5 x 2^23 rounds to the integer n and leaves it in the low bits.
 */
static inline __attribute__((always_inline)) float exp_negative(float x) {
    const float shift = 12582912.0f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float_bits shifted = {.f = x * 1.44269504f + shift};
    const float n = shifted.f - shift;
    const float r = (x - n * ln2_high) - n * ln2_low;
    float e = 1.0f / 5040.0f;
    e = e * r + 1.0f / 720.0f;
    e = e * r + 1.0f / 120.0f;
    e = e * r + 1.0f / 24.0f;
    e = e * r + 1.0f / 6.0f;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    const float_bits power = {.u = (shifted.u << 23) + 0x3F800000u}, product = {.f = e * power.f};
    const float_bits kept = {.u = product.u & (0u - (uint32_t) !(x < -80.0f))}; /* without a branch */
    return kept.f;
}

/*
 * A number for each float that is ordered as the floats are (NaN beyond either infinity), and back: the maximum of integers is vectorised
 * by every compiler, that of floats by few.
 */
static inline __attribute__((always_inline)) int32_t order_of(float x) {
    const float_bits b = {.f = x};
    return (int32_t)(b.u ^ ((0u - (b.u >> 31)) >> 1));
}

static inline __attribute__((always_inline)) float float_of(int32_t order) {
    const uint32_t u = (uint32_t)order;
    const float_bits b = {.u = u ^ ((0u - (u >> 31)) >> 1)};
    return b.f;
}

/* mixed (w+1, lanes) = (1 - f) row0 + f row1, both (w, c); padding filled in. */
SIMD_CLONES static void mix_rows(const float *row0, const float *row1, float f, const loss_plan *p, float *restrict mixed) {
    const int c = p->c, lanes = p->lanes;
    for (int x = 0; x < p->w; x++, row0 += c, row1 += c, mixed += lanes) {
        for (int i = 0; i < c; i++) mixed[i] = row0[i] + f * (row1[i] - row0[i]);
        for (int i = c; i < lanes; i++) mixed[i] = VANISHING;
    }
    memcpy(mixed, mixed - lanes, (size_t)lanes * sizeof *mixed);
}

static inline __attribute__((always_inline)) bool first_largest(const float *z, int lanes, float largest, int label) {
    int before = 0;
#pragma omp simd reduction(| : before)
    for (int i = 0; i < lanes; i++) before |= (int)(z[i] == largest) & (int)(i < label);
    return z[label] == largest && !before;
}

/* One label row: adds to sums and, where grad is not NULL, sets grad (w+1, lanes) to the gradient of `mixed`. z: one pixel's lanes. */
SIMD_CLONES static void loss_row(const loss_plan *p, const float *mixed, const uint8_t *labels, const float *class_weights, float *grad,
                                 float *restrict z, loss_sums *sums) {
    const int lanes = p->lanes;
    if (grad != NULL) memset(grad, 0, p->row * sizeof *grad);
    for (int x = 0; x < p->label_w; x++) {
        const int label = labels[x];
        if (label >= p->c) continue; /* 255, and what the loader should have refused */
        const float f = p->columns[x].f;
        const size_t at = (size_t)p->columns[x].i0 * (size_t)lanes;
        const float *restrict l = mixed + at, *restrict r = l + lanes;

        int32_t top = INT32_MIN;
#pragma omp simd reduction(max : top)
        for (int i = 0; i < lanes; i++) {
            z[i] = l[i] + f * (r[i] - l[i]);
            const int32_t order = order_of(z[i]);
            top = order > top ? order : top;
        }
        const float largest = float_of(top);
        const float own = z[label] - largest, weight = class_weights != NULL ? class_weights[label] : 1.0f;
        sums->correct += first_largest(z, lanes, largest, label);
        float total = 0.0f;
#pragma omp simd reduction(+ : total)
        for (int i = 0; i < lanes; i++) {
            z[i] = exp_negative(z[i] - largest);
            total += z[i];
        }
        sums->loss += (double)weight * (double)(logf(total) - own);
        sums->valid++;
        if (grad == NULL) continue;

        float *restrict gl = grad + at, *restrict gr = gl + lanes;
        const float share = weight / total;
#pragma omp simd
        for (int i = 0; i < lanes; i++) {
            const float g = share * z[i] - weight * (float)(i == label);
            gl[i] += (1.0f - f) * g;
            gr[i] += f * g;
        }
    }
}

/* upper += (1 - f) grad, lower += f grad. */
SIMD_CLONES static void share_row(const float *restrict grad, float f, size_t count, float *restrict upper, float *restrict lower) {
    for (size_t i = 0; i < count; i++) {
        upper[i] += (1.0f - f) * grad[i];
        lower[i] += f * grad[i];
    }
}

/* ---- all of them ---- */

static void loss_segment(const loss_plan *p, size_t segment, const float *logits, const uint8_t *labels, const float *class_weights,
                         bool gradient, float *memory) {
    const size_t image = segment / (size_t)p->h, in_row = (size_t)p->w * (size_t)p->c;
    const int i = (int)(segment % (size_t)p->h);
    float *const mixed = memory, *const row_grad = memory + p->row, *const z = row_grad + p->row;
    float *const upper = p->upper + segment * p->row, *const lower = p->lower + segment * p->row;
    if (gradient) {
        memset(upper, 0, p->row * sizeof *upper);
        memset(lower, 0, p->row * sizeof *lower);
    }
    loss_sums sums = {0};
    for (int y = p->first_row[i]; y < p->first_row[i + 1]; y++) {
        const bilinear_tap t = bilinear_at(y, p->h, p->label_h);
        const float *const row0 = logits + segment * in_row, *const row1 = row0 + (size_t)(t.i1 - t.i0) * in_row;
        mix_rows(row0, row1, t.f, p, mixed);
        loss_row(p, mixed, labels + (image * (size_t)p->label_h + (size_t)y) * (size_t)p->label_w, class_weights,
                 gradient ? row_grad : NULL, z, &sums);
        if (gradient) share_row(row_grad, t.f, p->row, upper, lower);
    }
    p->sums[segment] = sums;
}

/* Row i of the gradient: the padding dropped, the upper sum of its own segment and the lower sum of the one above. */
static void combine_row(const loss_plan *p, size_t segment, void *out, dtype type) {
    const float *upper = p->upper + segment * p->row;
    const float *lower = segment % (size_t)p->h > 0 ? p->lower + (segment - 1) * p->row : NULL;
    for (int x = 0; x < p->w; x++, upper += p->lanes) {
        const size_t at = (size_t)x * (size_t)p->c;
        for (int i = 0; i < p->c; i++) element_store(out, at + (size_t)i, lower == NULL ? upper[i] : upper[i] + lower[i], type);
        if (lower != NULL) lower += p->lanes;
    }
}

void cpu_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w, const float *class_weights,
                       const tensor *dlogits, loss_sums *sums, void *workspace) {
    const loss_plan p = plan_of(be, logits, label_h, label_w, workspace);
    const size_t segments = (size_t)p.n * (size_t)p.h, in_row = (size_t)p.w * (size_t)p.c;
    const size_t work = (size_t)p.n * (size_t)label_h * (size_t)label_w * (size_t)p.c;
    fill_tables(&p);
#pragma omp parallel for num_threads(be->threads) if (work >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t s = 0; s < segments; s++) {
        loss_segment(&p, s, logits->data, labels, class_weights, dlogits != NULL,
                     p.threads + (size_t)omp_get_thread_num() * p.thread_floats);
    }
    *sums = (loss_sums){0};
    for (size_t s = 0; s < segments; s++) {
        sums->loss += p.sums[s].loss;
        sums->valid += p.sums[s].valid;
        sums->correct += p.sums[s].correct;
    }
    if (dlogits == NULL) return;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(logits) >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t s = 0; s < segments; s++) combine_row(&p, s, element_to(dlogits->data, s * in_row, dlogits->type), dlogits->type);
}
