/* One row of the output from one pass: see fuse.h. Rows are (pixels, padded): the loops over channels have whole vectors. */
#include <string.h>

#include "base/simd.h"
#include "train/fuse_internal.h"

/* to = a + (b - a) weight */
SIMD_CLONES static void blend(const float *restrict a, const float *restrict b, float weight, size_t values, float *restrict to) {
    for (size_t i = 0; i < values; i++) to[i] = a[i] + (b[i] - a[i]) * weight;
}

/* Each pixel from two of `from`. */
SIMD_CLONES static void stretch(const float *restrict from, const fuse_tap *taps, int pixels, size_t channels, float *restrict to) {
    for (int x = 0; x < pixels; x++) {
        const float *a = from + (size_t)taps[x].first * channels, *b = from + (size_t)taps[x].second * channels;
        const float weight = taps[x].weight;
        for (size_t k = 0; k < channels; k++) to[k] = a[k] + (b[k] - a[k]) * weight;
        to += channels;
    }
}

/* The same, added. */
SIMD_CLONES static void stretch_add(const float *restrict from, const fuse_tap *taps, int pixels, size_t channels, float *restrict to) {
    for (int x = 0; x < pixels; x++) {
        const float *a = from + (size_t)taps[x].first * channels, *b = from + (size_t)taps[x].second * channels;
        const float weight = taps[x].weight;
        for (size_t k = 0; k < channels; k++) to[k] += a[k] + (b[k] - a[k]) * weight;
        to += channels;
    }
}

/* Each pixel divided by the windows that cover it: covers across, times `rows` of windows. */
SIMD_CLONES static void divide_by_covers(float *row, const int *covers, int rows, int pixels, size_t channels) {
    for (int x = 0; x < pixels; x++) {
        const float count = (float)(covers[x] * rows);
        for (size_t k = 0; k < channels; k++) row[k] /= count;
        row += channels;
    }
}

/* Row y of m rows seen as n: two rows blended into `to`, or the row itself where the second has no weight. */
static const float *blended(const float *rows, size_t row_floats, fuse_tap tap, float *to) {
    const float *a = rows + (size_t)tap.first * row_floats;
    if (tap.weight == 0.0f) return a;
    blend(a, rows + (size_t)tap.second * row_floats, tap.weight, row_floats, to);
    return to;
}

/* Row y of a sliding pass: the mean of the windows there. row (w,padded); scratch: a row of logits. */
static void pass_row(const fuse_plan *p, const fuse_state *s, int y, float *scratch, float *row) {
    const fuse_pass *pass = s->pass;
    const size_t channels = (size_t)p->padded, logits_row = (size_t)pass->logits_w * channels;
    const size_t window_floats = (size_t)pass->logits_h * logits_row, slot = fuse_slot_floats(p, pass);
    int rows = 0, first = 0;
    memset(row, 0, (size_t)pass->w * channels * sizeof *row);
    while (fuse_window_start(pass->h, pass->window_h, pass->step_y, first) + pass->window_h <= y) first++;
    for (int r = first; r < pass->rows; r++) {
        const int top = fuse_window_start(pass->h, pass->window_h, pass->step_y, r);
        if (top > y) break;
        const fuse_tap down = fuse_tap_make(pass->window_h, pass->logits_h, y - top);
        for (int c = 0; c < pass->columns; c++) {
            const float *window = s->slots + (size_t)(r % pass->resident) * slot + (size_t)c * window_floats;
            const int left = fuse_window_start(pass->w, pass->window_w, pass->step_x, c);
            stretch_add(blended(window, logits_row, down, scratch), s->window_across, pass->window_w, channels,
                        row + (size_t)left * channels);
        }
        rows++;
    }
    divide_by_covers(row, s->covers, rows, pass->w, channels);
}

/* Rows of the pass stay in the cache until they are needed no more: row y in place y % 2. */
static const float *cached_row(const fuse_plan *p, const fuse_layout *l, const fuse_state *s, int y, float *own, int cached[2]) {
    float *row = own + l->cache + (size_t)(y % 2) * ((l->blend - l->cache) / 2);
    if (cached[y % 2] != y) pass_row(p, s, y, own + l->blend, row);
    cached[y % 2] = y;
    return row;
}

void fuse_row(const fuse_plan *p, const fuse_layout *l, const fuse_state *s, int y, float *own, int cached[2], float *row) {
    const fuse_pass *pass = s->pass;
    const size_t channels = (size_t)p->padded;
    float *scratch = own + l->blend;
    const float *from;
    if (p->direct) {
        from = blended(s->slots, (size_t)pass->logits_w * channels, fuse_tap_make(p->height, pass->logits_h, y), scratch);
    } else {
        const fuse_tap down = fuse_tap_make(p->height, pass->h, y);
        from = cached_row(p, l, s, down.first, own, cached);
        if (down.weight != 0.0f) {
            const float *below = cached_row(p, l, s, down.second, own, cached);
            blend(from, below, down.weight, (size_t)pass->w * channels, scratch);
            from = scratch;
        }
    }
    stretch(from, s->across, p->width, channels, row);
}
