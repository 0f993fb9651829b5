/*
 * Random scale, crop, flip and photometric distortion of one training sample, decided here and carried out in augment_render.c. What is
 * drawn depends on nothing but seed, position and the stored size, so it is known before a byte is decoded, and only the part of the image
 * that the crop shows is: see image_decode_part.
 *
 * Conventions
 * - The scaled picture has round(scale * size) pixels along each axis, at least 1. Its pixel j lies at (j + 0.5) * source / scaled - 0.5 in
 * the source, held inside the picture: PyTorch's interpolate with align_corners=false and that output size. Two taps an axis whatever the
 * scale: a picture made much smaller than half is not smoothed first, as in PyTorch without antialias; at exactly 1/2 each pixel is the
 * mean of 2x2.
 * - A JPEG that becomes at most half as large is decoded at 1/2, 1/4 or 1/8, the smallest that still has at least the scaled picture's
 * pixels along both axes; the two taps are then taken from that, at the same places of the picture.
 * - Labels take the source pixel floor((j + 0.5) * source / scaled): "nearest-exact", always at full size.
 * - Along each axis the crop stands at a uniformly drawn place of the scaled picture; where the scaled picture is smaller, it stands at a
 * uniformly drawn place of the crop, and the rest is the mean with label 255.
 * - With cat_max_ratio below 1, up to PLACES places are drawn, and the first is taken where the most frequent class has less
 * than that part of the labelled pixels (so there are two classes at least); the last, if none is like that. Counted on a grid of the
 * crop's pixels, at least GRID along each axis (all, where there are fewer).
 * - Draws, always all of them in this order, one uniform each: scale, vertical place, horizontal place, flip, photometric distortion
 * (nine). So switching one option on or off leaves what the others draw as it was. Further places come after them, each vertical, then
 * horizontal.
 */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/augment_internal.h"

enum { PLACES = 10, GRID = 128, MAX_REDUCE = 8 };

static int scaled_size(int size, double scale) {
    const long n = lround(scale * size);
    return n < 1 ? 1 : (int)n;
}

static int reduced_size(int size, int reduce) {
    return (size + reduce - 1) / reduce;
}

static void axis_reduce(axis *a, int reduce) {
    a->decoded = reduced_size(a->source, reduce);
    a->extent = (double)a->source / reduce;
}

/* Decoded pixels [first, first + count) that the taps of an axis touch. */
static void axis_reach(const axis *a, int *first, int *count) {
    int begin, end, unused;
    float weight;
    axis_taps(a, a->mirror ? a->end - 1 : a->begin, &begin, &unused, &weight);
    axis_taps(a, a->mirror ? a->begin : a->end - 1, &unused, &end, &weight);
    *first = begin;
    *count = end - begin + 1;
}

static void set_parts(augment_plan *p) {
    axis_reach(&p->rows, &p->picture.top, &p->picture.height);
    axis_reach(&p->columns, &p->picture.left, &p->picture.width);
    p->label = (image_part){.reduce = 1, .width = p->columns.source};
    p->label.top = axis_nearest(&p->rows, p->rows.begin);
    p->label.height = axis_nearest(&p->rows, p->rows.end - 1) - p->label.top + 1;
}

void augment_draw(const augment_options *o, uint64_t seed, uint64_t position, int height, int width, int out_h, int out_w, bool can_reduce,
                  augment_plan *plan) {
    random_stream r = random_open(seed, RANDOM_AUGMENT, position);
    const double scale = random_range(&r, o->scale_min, o->scale_max);
    const double vertical = random_uniform(&r), horizontal = random_uniform(&r);
    const bool flip = random_uniform(&r) < 0.5 && o->flip;
    plan->distortion = photometric_draw(&r);
    plan->distort = o->photometric;
    plan->more = r;

    const int scaled_h = scaled_size(height, scale), scaled_w = scaled_size(width, scale);
    int reduce = 1;
    while (can_reduce && reduce < MAX_REDUCE && reduced_size(height, 2 * reduce) >= scaled_h && reduced_size(width, 2 * reduce) >= scaled_w)
        reduce *= 2;
    plan->rows = axis_make(height, scaled_h, out_h, vertical, false);
    plan->columns = axis_make(width, scaled_w, out_w, horizontal, flip);
    axis_reduce(&plan->rows, reduce);
    axis_reduce(&plan->columns, reduce);
    plan->picture.reduce = reduce;
    set_parts(plan);
}

/* ---- the place of the crop ---- */

bool augment_chooses(const augment_options *o) {
    return o->cat_max_ratio > 0.0 && o->cat_max_ratio < 1.0;
}

/* The same axis with its crop elsewhere. */
static void axis_move(axis *a, double place) {
    axis moved = axis_make(a->source, a->scaled, a->out, place, a->mirror);
    moved.decoded = a->decoded;
    moved.extent = a->extent;
    *a = moved;
}

/* Whether the crop shows classes enough: a single one, or none, is all of what is labelled. label: the whole map. */
static bool place_is_good(const image *label, const axis *rows, const axis *columns, double ratio) {
    int counts[256] = {0}, most = 0;
    int64_t total = 0;
    const int step_y = 1 + (rows->end - rows->begin) / (2 * GRID), step_x = 1 + (columns->end - columns->begin) / (2 * GRID);
    for (int y = rows->begin; y < rows->end; y += step_y) {
        const uint8_t *row = label->data + (size_t)axis_nearest(rows, y) * (size_t)label->width;
        for (int x = columns->begin; x < columns->end; x += step_x) counts[row[axis_nearest(columns, x)]]++;
    }
    for (int c = 0; c < SHARD_IGNORE; c++) {
        total += counts[c];
        most = counts[c] > most ? counts[c] : most;
    }
    return most < ratio * (double)total;
}

void augment_choose(const augment_options *o, const image *label, augment_plan *plan) {
    const bool fixed = plan->rows.scaled <= plan->rows.out && plan->columns.scaled <= plan->columns.out; /* it is all in the crop */
    for (int place = 1; !fixed && place < PLACES && !place_is_good(label, &plan->rows, &plan->columns, o->cat_max_ratio); place++) {
        axis_move(&plan->rows, random_uniform(&plan->more));
        axis_move(&plan->columns, random_uniform(&plan->more));
    }
    set_parts(plan);
}

/* ---- a sample that is decoded already ---- */

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
    const entrain_status status = check_sizes(o, picture, label, out_h, out_w, err);
    if (status != ENTRAIN_OK) return status;
    augment_plan plan;
    augment_draw(o, seed, position, picture->height, picture->width, out_h, out_w, false, &plan);
    if (augment_chooses(o)) augment_choose(o, label, &plan);
    const image_part all = {.reduce = 1, .height = picture->height, .width = picture->width};
    const augment_input in = {.picture = picture, .label = label, .picture_part = all, .label_part = all};
    return augment_render(o, &plan, &in, pixels, labels, scratch, err);
}
