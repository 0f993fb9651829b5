/* What augment.h's functions should give, computed plainly in double: draw, resize the whole picture, crop, mirror, distort. */
#ifndef AUGMENT_REFERENCE_H
#define AUGMENT_REFERENCE_H

#include "data/loader.h"

/* The draws of one sample, taken in the documented order. */
typedef struct reference_draws {
    double scale, vertical, horizontal;
    bool flip;
    double brightness, contrast, saturation, hue;
    bool contrast_first;
} reference_draws;
reference_draws reference_draw(const augment_options *o, uint64_t seed, uint64_t position);

/* With cat_max_ratio below 1, of draws by reference_draw: the place that the label map leads to. All pixels of the crop are counted.
 * Returns the number of places looked at. */
int reference_choose(const augment_options *o, uint64_t seed, uint64_t position, const image *picture, const image *label, int out_h,
                     int out_w, reference_draws *d);

/* pixels (out_h,out_w,3) in units of 0..255, not rounded; labels (out_h,out_w). */
void reference_augment(const augment_options *o, const image *picture, const image *label, const reference_draws *d, int out_h, int out_w,
                       double *pixels, uint8_t *labels);
/* Resize to (h,w) in units of 0..255: resized (h,w,3). */
void reference_resize(const image *picture, int h, int w, double *resized);
/* One pixel, in units of 0..255. */
void reference_distort(const reference_draws *d, double rgb[3]);

#endif
