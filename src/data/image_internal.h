/* What the image codecs share. */
#ifndef DATA_IMAGE_INTERNAL_H
#define DATA_IMAGE_INTERNAL_H

#include <stdbool.h>

#include "data/image.h"

enum { IMAGE_MAX_SIDE = 32768 };

struct image_decoder {
    void *jpeg; /* turbojpeg's handle */
    char *pool; /* memory for libpng, given back whole after each image */
    size_t pool_size, pool_used;
    size_t pool_wanted; /* what the last image would have needed in all */
};

/* Give the image this shape, growing its memory. */
entrain_status image_reshape(image *im, int height, int width, int channels, const char *name, entrain_error *err);
bool image_is_png(const uint8_t *bytes, size_t size);
bool image_is_jpeg(const uint8_t *bytes, size_t size);

/* image_png.c. label: keep one channel, palette indices as they are; otherwise RGB. */
entrain_status png_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err);
entrain_status png_decode(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, bool label, image *out,
                          entrain_error *err);
/* image_jpeg.c */
entrain_status jpeg_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err);
entrain_status jpeg_decode(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err);
void jpeg_close(image_decoder *d);

#endif
