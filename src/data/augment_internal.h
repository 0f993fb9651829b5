/* What sampling a picture shares: the axes of an output, and what is decided about a sample before its bytes are decoded. */
#ifndef DATA_AUGMENT_INTERNAL_H
#define DATA_AUGMENT_INTERNAL_H

#include "base/random.h"
#include "data/loader.h"
#include "data/photometric.h"

enum { RGB = 3 };

/* One axis of the output: pixel i shows pixel i + shift of the scaled picture (out - 1 - i + shift where mirrored), which is there for i in
 * [begin, end). */
typedef struct axis {
    int source;  /* pixels of the stored picture */
    int decoded; /* of the picture that pixels are taken from: ceil(source / reduce) */
    int scaled, out, shift;
    int begin, end;
    bool mirror;
    double extent; /* source / reduce: what `scaled` pixels stretch over */
} axis;

/* place: uniform in [0,1). */
static inline axis axis_make(int source, int scaled, int out, double place, bool mirror) {
    axis a = {.source = source, .decoded = source, .scaled = scaled, .out = out, .mirror = mirror, .extent = source};
    const int room = scaled > out ? scaled - out : out - scaled;
    const int at = (int)(place * (room + 1.0));
    a.shift = scaled > out ? at : -at;
    const int begin = a.shift < 0 ? -a.shift : 0;
    const int end = scaled - a.shift < out ? scaled - a.shift : out;
    a.begin = mirror ? out - end : begin;
    a.end = mirror ? out - begin : end;
    return a;
}

static inline int axis_scaled(const axis *a, int i) {
    return (a->mirror ? a->out - 1 - i : i) + a->shift;
}

/* The two decoded pixels that output pixel i lies between, and the weight of the second. */
static inline void axis_taps(const axis *a, int i, int *first, int *second, float *weight) {
    const double at = (axis_scaled(a, i) + 0.5) * a->extent / a->scaled - 0.5;
    const double x = at < 0.0 ? 0.0 : at;
    const int last = a->decoded - 1, floor_x = (int)x < last ? (int)x : last;
    *first = floor_x;
    *second = floor_x < last ? floor_x + 1 : floor_x;
    *weight = floor_x < last ? (float)(x - floor_x) : 0.0f;
}

/* The stored pixel of output pixel i in a label map. In whole numbers, so that no rounding can move a label. */
static inline int axis_nearest(const axis *a, int i) {
    return (int)((2 * (int64_t)axis_scaled(a, i) + 1) * a->source / (2 * (int64_t)a->scaled));
}

/* Everything that is drawn for a sample, and so which parts of its image and label map are needed. */
typedef struct augment_plan {
    axis rows, columns;
    bool distort;
    photometric distortion;
    random_stream more; /* behind the draws that every sample takes */
    image_part picture, label;
} augment_plan;

/* A plan for a stored size. can_reduce: the image can be decoded smaller. */
void augment_draw(const augment_options *o, uint64_t seed, uint64_t position, int height, int width, int out_h, int out_w, bool can_reduce,
                  augment_plan *plan);
/* Whether the crop's place depends on the label map; then augment_choose, with all of it, comes before the image. */
bool augment_chooses(const augment_options *o);
void augment_choose(const augment_options *o, const image *label, augment_plan *plan);

/* pixels (rows.out,columns.out,3) and labels (rows.out,columns.out) of a plan, from pictures that hold these parts. */
typedef struct augment_input {
    const image *picture, *label;
    image_part picture_part, label_part;
} augment_input;
entrain_status augment_render(const augment_options *o, const augment_plan *plan, const augment_input *in, uint8_t *pixels, uint8_t *labels,
                              augment_scratch *scratch, entrain_error *err);

#endif
