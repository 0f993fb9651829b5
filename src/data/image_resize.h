/* Images in another size: for packers, not for augmentation. */
#ifndef DATA_IMAGE_RESIZE_H
#define DATA_IMAGE_RESIZE_H

#include "data/image.h"

/* Scratch memory of image_resize, reused. */
typedef struct image_resizer {
    image rows;      /* the image after the horizontal pass */
    int32_t *taps;   /* weights of one pass, then where they begin */
    size_t capacity; /* of taps */
} image_resizer;

void image_resizer_free(image_resizer *r);

/*
 * Pillow's LANCZOS: a separable windowed sinc of 3 lobes, stretched by the factor of the reduction (so that nothing aliases), columns
 * first, in the same fixed point arithmetic. from: 1 or 3 channels. ENTRAIN_DEVICE: out of memory.
 */
entrain_status image_resize(image_resizer *r, const image *from, int height, int width, image *to, entrain_error *err);
/* The nearest pixel's value, pixels' centres at halves: for label maps of one channel. */
entrain_status image_resize_nearest(const image *from, int height, int width, image *to, entrain_error *err);

#endif
