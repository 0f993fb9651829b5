/* Bands of rows: windows are run when a band first needs them, and overwritten when none does any more. See fuse.h. */
#include "train/fuse.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/simd.h"
#include "train/fuse_internal.h"
#include "train/softmax.h"

typedef struct fusing {
    const fuse_plan *plan;
    const fuse_source *source;
    fuse_layout layout;
    float *memory;
    fuse_state states[FUSE_MAX_PASSES];
    int next[FUSE_MAX_PASSES]; /* row of windows of each pass to run next */
    int threads;
    uint8_t *labels;
    float *scores;
} fusing;

void fuse_memory_free(fuse_memory *m) {
    memory_free(m->floats);
    *m = (fuse_memory){0};
}

entrain_status fuse_out_of_memory(size_t floats, entrain_error *err) {
    return error_set(
        err, ENTRAIN_DEVICE,
        "not enough memory to evaluate: %.1f MiB more are needed. Use smaller eval.scales or eval.short_sides, or eval.mode slide.",
        (double)floats * sizeof(float) / 1048576.0);
}

static entrain_status reserve(fuse_memory *m, size_t floats, entrain_error *err) {
    if (floats <= m->capacity) return ENTRAIN_OK;
    fuse_memory_free(m);
    m->floats = memory_reserve(floats * sizeof(float));
    if (m->floats == NULL) return fuse_out_of_memory(floats, err);
    m->capacity = floats;
    return ENTRAIN_OK;
}

/* ---- before ---- */

static fuse_tap *taps_make(int n, int m, bool mirrored) {
    fuse_tap *taps = malloc((size_t)n * sizeof *taps);
    for (int j = 0; j < n && taps != NULL; j++) taps[j] = fuse_tap_make(n, m, mirrored ? n - 1 - j : j);
    return taps;
}

static int *covers_make(const fuse_pass *pass) {
    int *covers = calloc((size_t)pass->w, sizeof *covers);
    for (int c = 0; c < pass->columns && covers != NULL; c++) {
        const int left = fuse_window_start(pass->w, pass->window_w, pass->step_x, c);
        for (int x = left; x < left + pass->window_w; x++) covers[x]++;
    }
    return covers;
}

static bool states_make(fusing *f) {
    const fuse_plan *p = f->plan;
    bool made = true;
    for (int i = 0; i < p->count; i++) {
        const fuse_pass *pass = &p->passes[i];
        fuse_state *s = &f->states[i];
        *s = (fuse_state){.pass = pass, .slots = f->memory + f->layout.slots[i]};
        s->across = taps_make(p->width, p->direct ? pass->logits_w : pass->w, pass->flip);
        if (s->across == NULL) made = false;
        if (p->direct) continue;
        s->window_across = taps_make(pass->window_w, pass->logits_w, false);
        s->covers = covers_make(pass);
        if (s->window_across == NULL || s->covers == NULL) made = false;
    }
    return made;
}

static void states_free(fusing *f) {
    for (int i = 0; i < f->plan->count; i++) {
        free(f->states[i].across);
        free(f->states[i].window_across);
        free(f->states[i].covers);
    }
}

/* ---- windows ---- */

/* (pixels,classes) to (pixels,padded). */
static void pad(const float *from, size_t pixels, int classes, int padded, float *to) {
    for (size_t i = 0; i < pixels; i++) {
        memcpy(to, from, (size_t)classes * sizeof *to);
        for (int k = classes; k < padded; k++) to[k] = SOFTMAX_NONE;
        from += classes;
        to += padded;
    }
}

/* Whether all are numbers: a sum of zeros, unless one is none. */
SIMD_CLONES static bool all_finite(const float *values, size_t count) {
    float lanes[FUSE_LANES] = {0};
    size_t i = 0;
    for (; i + FUSE_LANES <= count; i += FUSE_LANES)
        for (size_t l = 0; l < FUSE_LANES; l++) lanes[l] += values[i + l] * 0.0f;
    for (; i < count; i++) lanes[0] += values[i] * 0.0f;
    float sum = 0.0f;
    for (size_t l = 0; l < FUSE_LANES; l++) sum += lanes[l];
    return sum == 0.0f;
}

static entrain_status run_row(fusing *f, int index, int r, entrain_error *err) {
    const fuse_plan *p = f->plan;
    const fuse_pass *pass = &p->passes[index];
    const size_t pixels = (size_t)pass->logits_h * (size_t)pass->logits_w;
    float *logits = f->memory + f->layout.window;
    float *slot = f->memory + f->layout.slots[index] + (size_t)(r % pass->resident) * fuse_slot_floats(p, pass);
    for (int c = 0; c < pass->columns; c++) {
        const fuse_window window = {.pass = pass,
                                    .y = fuse_window_start(pass->h, pass->window_h, pass->step_y, r),
                                    .x = fuse_window_start(pass->w, pass->window_w, pass->step_x, c)};
        const entrain_status status = f->source->run(f->source->context, &window, logits, err);
        if (status != ENTRAIN_OK) return status;
        if (!all_finite(logits, pixels * (size_t)p->classes))
            return error_set(
                err, ENTRAIN_NONFINITE,
                "the network's scores are not finite numbers: the weights of the checkpoint are not, or grew too large. Use an "
                "earlier checkpoint, or train.precision fp32.");
        pad(logits, pixels, p->classes, p->padded, slot + (size_t)c * pixels * (size_t)p->padded);
    }
    return ENTRAIN_OK;
}

static entrain_status run_windows(fusing *f, int begin, int end, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    for (int i = 0; i < f->plan->count; i++) {
        int first = 0, last = 0;
        fuse_rows_needed(f->plan, &f->plan->passes[i], begin, end, &first, &last);
        for (; f->next[i] < last && status == ENTRAIN_OK; f->next[i]++) status = run_row(f, i, f->next[i], err);
    }
    return status;
}

/* ---- rows ---- */

static void finish_row(const fusing *f, int y, const float *row) {
    const fuse_plan *p = f->plan;
    const size_t width = (size_t)p->width, classes = (size_t)p->classes;
    if (f->labels != NULL) softmax_argmax(row, width, p->classes, p->padded, f->labels + (size_t)y * width);
    for (size_t x = 0; f->scores != NULL && x < width; x++)
        memcpy(f->scores + ((size_t)y * width + x) * classes, row + x * (size_t)p->padded, classes * sizeof *row);
}

/* The rows [begin,end) of the band that begins at `band`, by one thread. Pass by pass, because rows of a pass serve several of the output.
 */
static void make_rows(const fusing *f, int band, int begin, int end, float *own) {
    const fuse_plan *p = f->plan;
    const size_t width = (size_t)p->width, values = width * (size_t)p->padded;
    float *sums = f->memory + f->layout.sums + (size_t)(begin - band) * values;
    if (p->count > 1) memset(sums, 0, (size_t)(end - begin) * values * sizeof *sums);
    for (int i = 0; i < p->count; i++) {
        int cached[2] = {-1, -1};
        for (int y = begin; y < end; y++) {
            fuse_row(p, &f->layout, &f->states[i], y, own, cached, own);
            if (p->count == 1)
                finish_row(f, y, own);
            else
                softmax_add(own, width, p->padded, sums + (size_t)(y - begin) * values);
        }
    }
    for (int y = begin; y < end && p->count > 1; y++) {
        float *row = sums + (size_t)(y - begin) * values;
        softmax_divide(row, values, (float)p->count);
        finish_row(f, y, row);
    }
}

static void make_band(const fusing *f, int begin, int end) {
    const int rows = end - begin, threads = f->threads < rows ? f->threads : rows;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++)
        make_rows(f, begin, begin + rows * t / threads, begin + rows * (t + 1) / threads,
                  f->memory + f->layout.scratch + (size_t)t * f->layout.each);
}

entrain_status fuse_run(const fuse_plan *p, const fuse_source *source, int threads, fuse_memory *memory, uint8_t *labels, float *scores,
                        entrain_error *err) {
    fusing f = {.plan = p, .source = source, .threads = threads, .labels = labels, .scores = scores};
    fuse_layout_make(p, threads, &f.layout);
    entrain_status status = reserve(memory, f.layout.floats, err);
    if (status != ENTRAIN_OK) return status;
    f.memory = memory->floats;
    if (!states_make(&f)) status = error_set(err, ENTRAIN_DEVICE, "out of memory for an evaluation of %dx%d pixels", p->height, p->width);
    for (int y = 0; y < p->height && status == ENTRAIN_OK; y += p->band) {
        const int end = y + p->band < p->height ? y + p->band : p->height;
        status = run_windows(&f, y, end, err);
        if (status == ENTRAIN_OK) make_band(&f, y, end);
    }
    states_free(&f);
    return status;
}
