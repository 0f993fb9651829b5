/*
 * Random scale, crop, flip and photometric distortion of one training sample, in one pass over the output: every output pixel is sampled
 * straight from the decoded picture, so the scaled picture never exists. Pixels are rounded to bytes: a quarter of what floats would be to
 * carry to the device, which normalises them.
 *
 * Conventions
 * - The scaled picture has round(scale * size) pixels along each axis, at least 1. Its pixel j lies at (j + 0.5) * source / scaled - 0.5 in
 * the source, held inside the picture: PyTorch's interpolate with align_corners=false and that output size. Two taps an axis whatever the
 * scale: a picture made much smaller than half is not smoothed first, as in PyTorch without antialias; at exactly 1/2 each pixel is the
 * mean of 2x2.
 * - Labels take the source pixel floor((j + 0.5) * source / scaled): "nearest-exact".
 * - Along each axis the crop stands at a uniformly drawn place of the scaled picture; where the scaled picture is smaller, it stands at a
 * uniformly drawn place of the crop, and the rest is the mean with label 255.
 * - Draws, always all of them in this order, one uniform each: scale, vertical place, horizontal place, flip, photometric distortion
 * (nine). So switching one option on or off leaves what the others draw as it was.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/simd.h"
#include "data/loader.h"
#include "data/photometric.h"

enum { RGB = 3, PLAIN_COLUMNS = 256 };

/* One axis of the output: pixel i shows pixel i + shift of the scaled picture (out - 1 - i + shift where mirrored), which is there for i in
 * [begin, end). */
typedef struct axis {
    int source, scaled, out, shift;
    int begin, end;
    bool mirror;
} axis;

/* The taps of consecutive output columns, an entry for each channel of each column so that the sampling loop is flat. */
typedef struct columns {
    int32_t *left, *right; /* (3*columns) index into a source row of 3*width */
    float *weight;         /* (3*columns) of right */
} columns;

/* value*factor + offset is the normalised pixel of a value in 0..255. */
typedef struct normalisation {
    double factor[RGB], offset[RGB];
} normalisation;

/* place: uniform in [0,1). */
static axis axis_make(int source, int scaled, int out, double place, bool mirror) {
    axis a = {.source = source, .scaled = scaled, .out = out, .mirror = mirror};
    const int room = scaled > out ? scaled - out : out - scaled;
    const int at = (int)(place * (room + 1.0));
    a.shift = scaled > out ? at : -at;
    const int begin = a.shift < 0 ? -a.shift : 0;
    const int end = scaled - a.shift < out ? scaled - a.shift : out;
    a.begin = mirror ? out - end : begin;
    a.end = mirror ? out - begin : end;
    return a;
}

static int axis_scaled(const axis *a, int i) {
    return (a->mirror ? a->out - 1 - i : i) + a->shift;
}

/* The two source pixels that output pixel i lies between, and the weight of the second. */
static void axis_taps(const axis *a, int i, int *first, int *second, float *weight) {
    const double at = (axis_scaled(a, i) + 0.5) * a->source / a->scaled - 0.5;
    const double x = at < 0.0 ? 0.0 : at;
    const int floor_x = (int)x;
    *first = floor_x;
    *second = floor_x + 1 < a->source ? floor_x + 1 : floor_x;
    *weight = (float)(x - floor_x);
}

/* In whole numbers, so that no rounding can move a label. */
static int axis_nearest(const axis *a, int i) {
    return (int)((2 * (int64_t)axis_scaled(a, i) + 1) * a->source / (2 * (int64_t)a->scaled));
}

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

SIMD_CLONES static void sample_row(const uint8_t *upper, const uint8_t *lower, float down, const int32_t *left, const int32_t *right,
                                   const float *weight, int n, float *out) {
    for (int i = 0; i < n; i++) {
        const float a = upper[left[i]], b = upper[right[i]], c = lower[left[i]], d = lower[right[i]];
        const float top = a + (b - a) * weight[i], bottom = c + (d - c) * weight[i];
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

/* The columns of output row y whose taps are in c: row (count,3), in 0..255. */
static void render_row(const image *picture, const axis *rows, const columns *c, int y, int count, float *row) {
    const size_t stride = (size_t)picture->width * RGB;
    int first, second;
    float down;
    axis_taps(rows, y, &first, &second, &down);
    sample_row(picture->data + (size_t)first * stride, picture->data + (size_t)second * stride, down, c->left, c->right, c->weight,
               count * RGB, row);
}

SIMD_CLONES static void round_row(const float *x, int n, uint8_t *out) {
    for (int i = 0; i < n; i++) out[i] = (uint8_t)(x[i] + 0.5f);
}

/* Every row that the picture reaches. distortion may be NULL; row: memory for one (out_w,3). pixels (out_h,out_w,3). */
static void render(const image *picture, const axis *rows, const axis *across, const columns *c, const photometric *distortion, float *row,
                   uint8_t *pixels) {
    const int count = across->end - across->begin;
    for (int y = rows->begin; y < rows->end; y++) {
        render_row(picture, rows, c, y, count, row);
        if (distortion != NULL) photometric_row(distortion, row, count);
        round_row(row, count * RGB, pixels + ((size_t)y * (size_t)across->out + (size_t)across->begin) * RGB);
    }
}

/* pixels (count,3) */
static void fill_with_mean(const augment_options *o, size_t count, uint8_t *pixels) {
    for (size_t i = 0; i < count; i++)
        for (size_t channel = 0; channel < RGB; channel++) pixels[RGB * i + channel] = (uint8_t)(255.0 * o->mean[channel] + 0.5);
}

/* labels (out_h,out_w); source_column (end-begin). */
static void render_labels(const image *label, const axis *rows, const axis *across, const int32_t *source_column, uint8_t *labels) {
    const int n = across->end - across->begin;
    for (int y = rows->begin; y < rows->end; y++) {
        const uint8_t *source = label->data + (size_t)axis_nearest(rows, y) * (size_t)label->width;
        uint8_t *row = labels + (size_t)y * (size_t)across->out + (size_t)across->begin;
        for (int i = 0; i < n; i++) row[i] = source[source_column[i]];
    }
}

void augment_scratch_free(augment_scratch *s) {
    memory_free(s->memory);
    *s = (augment_scratch){0};
}

static entrain_status scratch_reserve(augment_scratch *s, size_t bytes, entrain_error *err) {
    if (s->capacity >= bytes) return ENTRAIN_OK;
    augment_scratch_free(s);
    s->memory = memory_alloc(bytes);
    if (s->memory == NULL) return error_set(err, ENTRAIN_DEVICE, "Out of memory: %zu bytes for augmentation.", bytes);
    s->capacity = bytes;
    return ENTRAIN_OK;
}

static int scaled_size(int size, double scale) {
    const long n = lround(scale * size);
    return n < 1 ? 1 : (int)n;
}

static entrain_status check_sizes(const augment_options *o, const image *picture, const image *label, int out_h, int out_w,
                                  entrain_error *err) {
    if (picture->height != label->height || picture->width != label->width)
        return error_set(err, ENTRAIN_DATA,
                         "The image has %dx%d pixels (height x width), its label map %dx%d; they must agree. Pack the data set again.",
                         picture->height, picture->width, label->height, label->width);
    if (o->crop_h == 0 && (picture->height != out_h || picture->width != out_w))
        return error_set(
            err, ENTRAIN_DATA,
            "The image has %dx%d pixels (height x width), but without a crop every image must have %dx%d. Set data.crop to [height, width].",
            picture->height, picture->width, out_h, out_w);
    return ENTRAIN_OK;
}

entrain_status augment_sample(const augment_options *o, const image *picture, const image *label, uint64_t seed, uint64_t position,
                              int out_h, int out_w, uint8_t *pixels, uint8_t *labels, augment_scratch *scratch, entrain_error *err) {
    entrain_status status = check_sizes(o, picture, label, out_h, out_w, err);
    const size_t n = (size_t)out_w * RGB;
    if (status == ENTRAIN_OK) status = scratch_reserve(scratch, (4 * n + (size_t)out_w) * sizeof(int32_t), err);
    if (status != ENTRAIN_OK) return status;

    random_stream r = random_open(seed, RANDOM_AUGMENT, position);
    const double scale = random_range(&r, o->scale_min, o->scale_max);
    const double vertical = random_uniform(&r), horizontal = random_uniform(&r);
    const bool flip = random_uniform(&r) < 0.5 && o->flip;
    const photometric distortion = photometric_draw(&r);

    const axis rows = axis_make(picture->height, scaled_size(picture->height, scale), out_h, vertical, false);
    const axis across = axis_make(picture->width, scaled_size(picture->width, scale), out_w, horizontal, flip);
    const bool padded = rows.end - rows.begin < out_h || across.end - across.begin < out_w;
    if (padded) {
        fill_with_mean(o, (size_t)out_h * (size_t)out_w, pixels);
        memset(labels, SHARD_IGNORE, (size_t)out_h * (size_t)out_w);
    }

    int32_t *memory = scratch->memory;
    columns c = {.left = memory, .right = memory + n, .weight = (float *)(memory + 2 * n)};
    float *row = (float *)(memory + 3 * n);
    int32_t *source_column = memory + 4 * n;
    columns_fill(&c, &across, across.begin, across.end);
    for (int i = across.begin; i < across.end; i++) source_column[i - across.begin] = axis_nearest(&across, i);

    render(picture, &rows, &across, &c, o->photometric ? &distortion : NULL, row, pixels);
    render_labels(label, &rows, &across, source_column, labels);
    return ENTRAIN_OK;
}

/* Columns go in blocks whose taps fit the stack: this function can neither allocate nor fail. */
void augment_plain(const augment_options *o, const image *picture, int out_h, int out_w, bool flip, float *pixels) {
    int32_t left[PLAIN_COLUMNS * RGB], right[PLAIN_COLUMNS * RGB];
    float weight[PLAIN_COLUMNS * RGB];
    columns c = {.left = left, .right = right, .weight = weight};
    const axis rows = axis_make(picture->height, out_h, out_h, 0.0, false);
    const axis across = axis_make(picture->width, out_w, out_w, 0.0, flip);
    const normalisation norm = normalisation_make(o);
    for (int begin = 0; begin < out_w; begin += PLAIN_COLUMNS) {
        const int end = begin + PLAIN_COLUMNS < out_w ? begin + PLAIN_COLUMNS : out_w;
        columns_fill(&c, &across, begin, end);
        for (int y = 0; y < out_h; y++) {
            float *row = pixels + ((size_t)y * (size_t)out_w + (size_t)begin) * RGB;
            render_row(picture, &rows, &c, y, end - begin, row);
            normalise_row(&norm, row, end - begin);
        }
    }
}
