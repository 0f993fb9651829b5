/* Sizes of passes, places of windows and the memory for them: see fuse.h. */
#include <math.h>
#include <string.h>

#include "train/fuse.h"
#include "train/fuse_internal.h"

static int scaled(double factor, int side) {
    const double n = round(factor * side);
    return n < 1.0 ? 1 : (int)n;
}

/* The shorter side as asked, the longer one to match and rounded half up; or, where that is too long, the longer one at the cap. */
static void short_side(int wanted, int cap, int h, int w, fuse_pass *out) {
    const int64_t least = h < w ? h : w, most = h < w ? w : h;
    int64_t a = wanted, b = (2 * wanted * most + least) / (2 * least);
    if (cap > 0 && wanted * most > cap * least) {
        a = (2 * cap * least + most) / (2 * most);
        b = cap;
    }
    if (a < 1) a = 1;
    if (b > INT32_MAX / 4) b = INT32_MAX / 4; /* no memory holds it: whoever makes the network says so */
    out->h = (int)(h < w ? a : b);
    out->w = (int)(h < w ? b : a);
}

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int windows(int side, int window, int step) {
    return side <= window ? 1 : ceil_div(side - window, step) + 1;
}

int fuse_window_start(int side, int window, int step, int index) {
    const int64_t at = (int64_t)index * step;
    return at + window <= side ? (int)at : side - window;
}

/* crop: (0,0) for whole images. */
static void place_windows(const config *c, const int crop[2], const int stride[2], fuse_pass *p) {
    p->window_h = crop[0] > 0 && crop[0] < p->h ? crop[0] : p->h;
    p->window_w = crop[1] > 0 && crop[1] < p->w ? crop[1] : p->w;
    p->step_y = stride[0];
    p->step_x = stride[1];
    p->rows = windows(p->h, p->window_h, p->step_y);
    p->columns = windows(p->w, p->window_w, p->step_x);
    p->logits_h = ceil_div(p->window_h, c->model.output_stride);
    p->logits_w = ceil_div(p->window_w, c->model.output_stride);
}

void fuse_rows_needed(const fuse_plan *p, const fuse_pass *pass, int begin, int end, int *first, int *last) {
    const int top = fuse_tap_make(p->height, pass->h, begin).first, bottom = fuse_tap_make(p->height, pass->h, end - 1).second;
    int f = 0, l = pass->rows;
    while (fuse_window_start(pass->h, pass->window_h, pass->step_y, f) + pass->window_h <= top) f++;
    while (fuse_window_start(pass->h, pass->window_h, pass->step_y, l - 1) > bottom) l--;
    *first = f;
    *last = l;
}

static int most_rows(const fuse_plan *p, const fuse_pass *pass) {
    int most = 1, first = 0, last = 0;
    for (int y = 0; y < p->height && pass->rows > 1; y += p->band) {
        fuse_rows_needed(p, pass, y, y + p->band < p->height ? y + p->band : p->height, &first, &last);
        if (last - first > most) most = last - first;
    }
    return most;
}

void fuse_plan_make(const config *c, int classes, int image_h, int image_w, int height, int width, fuse_plan *out) {
    int crop[2], stride[2];
    const int sizes = c->eval.short_sides.count > 0 ? c->eval.short_sides.count : c->eval.scales.count, each = c->eval.flip ? 2 : 1;
    memset(out, 0, sizeof *out);
    out->height = height;
    out->width = width;
    out->classes = classes;
    out->padded = ceil_div(classes, FUSE_LANES) * FUSE_LANES;
    const int64_t rows = FUSE_BAND_BYTES / ((int64_t)width * out->padded * (int64_t)sizeof(float));
    out->band = rows > FUSE_BAND ? FUSE_BAND : rows < FUSE_BAND_LEAST ? FUSE_BAND_LEAST : (int)rows;
    out->direct = !config_windows(c, crop, stride);
    for (int i = 0; i < sizes * each && i < FUSE_MAX_PASSES; i++) {
        fuse_pass *p = &out->passes[out->count++];
        if (c->eval.short_sides.count > 0) {
            short_side((int)c->eval.short_sides.values[i / each], c->eval.max_side, image_h, image_w, p);
        } else {
            p->h = scaled(c->eval.scales.values[i / each], image_h);
            p->w = scaled(c->eval.scales.values[i / each], image_w);
        }
        p->flip = i % each == 1;
        place_windows(c, crop, stride, p);
        p->resident = most_rows(out, p);
    }
}

/* ---- memory ---- */

static size_t logits_floats(const fuse_plan *p, const fuse_pass *pass, int channels) {
    (void)p;
    return (size_t)pass->logits_h * (size_t)pass->logits_w * (size_t)channels;
}

size_t fuse_slot_floats(const fuse_plan *p, const fuse_pass *pass) {
    return (size_t)pass->columns * logits_floats(p, pass, p->padded);
}

void fuse_layout_make(const fuse_plan *p, int threads, fuse_layout *out) {
    size_t widest = 0, widest_logits = 0, window = 0, at = 0;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < p->count; i++) {
        const fuse_pass *pass = &p->passes[i];
        const size_t dense = logits_floats(p, pass, p->classes), row = (size_t)pass->w, logits_row = (size_t)pass->logits_w;
        out->slots[i] = at;
        at += (size_t)pass->resident * fuse_slot_floats(p, pass);
        if (dense > window) window = dense;
        if (row > widest && !p->direct) widest = row;
        if (logits_row > widest_logits) widest_logits = logits_row;
    }
    const size_t c = (size_t)p->padded, blended = widest > widest_logits ? widest : widest_logits;
    out->window = at;
    at += (window + 15) / 16 * 16;
    out->sums = at;
    at += (size_t)p->band * (size_t)p->width * c;
    out->scratch = at;
    /* a thread's: an output row, two rows of a sliding pass, and what is blended from two rows of either kind */
    out->cache = (size_t)p->width * c;
    out->blend = out->cache + 2 * widest * c;
    out->each = (out->blend + blended * c + 15) / 16 * 16;
    out->floats = at + (size_t)threads * out->each;
}

size_t fuse_bytes(const fuse_plan *p, int threads) {
    fuse_layout layout;
    fuse_layout_make(p, threads, &layout);
    size_t taps = 0;
    for (int i = 0; i < p->count; i++) taps += (size_t)p->width + (size_t)p->passes[i].window_w + (size_t)p->passes[i].w;
    return layout.floats * sizeof(float) + taps * sizeof(fuse_tap);
}
