/* See augment_window.h. The convention of sampling stands in augment.c. */
#include "data/augment_window.h"

#include "base/simd.h"
#include "data/augment_internal.h"

enum { COLUMNS = 256 };

/* The taps of consecutive columns, an entry for each channel of each column so that the sampling loop is flat. */
typedef struct columns {
    int32_t left[COLUMNS * RGB], right[COLUMNS * RGB]; /* index into a source row of 3*width */
    float weight[COLUMNS * RGB];                       /* of right */
} columns;

/* value*factor + offset is the normalised pixel of a value in 0..255. */
typedef struct normalisation {
    double factor[RGB], offset[RGB];
} normalisation;

static void columns_fill(columns *c, const axis *a, int begin, int end) {
    for (int i = begin, k = 0; i < end; i++) {
        int first, second;
        float weight;
        axis_taps(a, i, &first, &second, &weight);
        for (int channel = 0; channel < RGB; channel++, k++) {
            c->left[k] = first * RGB + channel;
            c->right[k] = second * RGB + channel;
            c->weight[k] = weight;
        }
    }
}

SIMD_CLONES static void sample_row(const uint8_t *upper, const uint8_t *lower, float down, const columns *c, int n, float *out) {
    for (int i = 0; i < n; i++) {
        const float top_left = upper[c->left[i]], top_right = upper[c->right[i]];
        const float low_left = lower[c->left[i]], low_right = lower[c->right[i]];
        const float top = top_left + (top_right - top_left) * c->weight[i], bottom = low_left + (low_right - low_left) * c->weight[i];
        out[i] = top + (bottom - top) * down;
    }
}

/* In double: the result is the true value, rounded once. */
SIMD_CLONES static void normalise_row(const normalisation *norm, float *x, int pixels) {
    for (int i = 0; i < pixels; i++) {
        for (int channel = 0; channel < RGB; channel++) {
            const int k = RGB * i + channel;
            x[k] = (float)((double)x[k] * norm->factor[channel] + norm->offset[channel]);
        }
    }
}

static normalisation normalisation_make(const augment_options *o) {
    normalisation norm;
    for (int channel = 0; channel < RGB; channel++) {
        norm.factor[channel] = 1.0 / (255.0 * o->std[channel]);
        norm.offset[channel] = -o->mean[channel] / o->std[channel];
    }
    return norm;
}

/* Rows [begin,end) of the window. Columns go in blocks whose taps fit the stack: this can neither allocate nor fail. */
static void rows(const normalisation *norm, const image *picture, const augment_place *p, int begin, int end, float *pixels) {
    columns c;
    const axis down = axis_make(picture->height, p->scaled_h, p->scaled_h, 0.0, false);
    const axis across = axis_make(picture->width, p->scaled_w, p->scaled_w, 0.0, p->flip);
    const size_t stride = (size_t)picture->width * RGB;
    for (int left = 0; left < p->w; left += COLUMNS) {
        const int count = p->w - left < COLUMNS ? p->w - left : COLUMNS;
        columns_fill(&c, &across, p->x + left, p->x + left + count);
        for (int y = begin; y < end; y++) {
            float *row = pixels + ((size_t)y * (size_t)p->w + (size_t)left) * RGB, weight;
            int first, second;
            axis_taps(&down, p->y + y, &first, &second, &weight);
            sample_row(picture->data + (size_t)first * stride, picture->data + (size_t)second * stride, weight, &c, count * RGB, row);
            normalise_row(norm, row, count);
        }
    }
}

void augment_window(const augment_options *o, const image *picture, const augment_place *place, int threads, float *pixels) {
    const normalisation norm = normalisation_make(o);
    const int h = place->h, n = threads < h ? threads : h;
#pragma omp parallel for num_threads(n) schedule(static, 1)
    for (int t = 0; t < n; t++) rows(&norm, picture, place, (int)((int64_t)h * t / n), (int)((int64_t)h * (t + 1) / n), pixels);
}

void augment_plain(const augment_options *o, const image *picture, int out_h, int out_w, bool flip, float *pixels) {
    const augment_place whole = {.scaled_h = out_h, .scaled_w = out_w, .flip = flip, .h = out_h, .w = out_w};
    augment_window(o, picture, &whole, 1, pixels);
}
