/* What the image codecs share. */
#ifndef DATA_IMAGE_INTERNAL_H
#define DATA_IMAGE_INTERNAL_H

#include "data/image.h"

enum { IMAGE_MAX_SIDE = 32768 };

struct image_decoder {
    char *pool; /* memory for libpng, given back whole after each image */
    size_t pool_size, pool_used;
    size_t pool_wanted; /* what the last image would have needed in all */
};

/* Give the image this shape, growing its memory. */
entrain_status image_reshape(image *im, int height, int width, int channels, const char *name, entrain_error *err);
bool image_is_png(const uint8_t *bytes, size_t size);
bool image_is_jpeg(const uint8_t *bytes, size_t size);

/*
 * ENTRAIN_DATA where a header claims more pixels than the file's `size` bytes can hold; densest: pixels that one byte can stand for. Images
 * that take little memory may claim what they like: their decoder finds out.
 */
entrain_status image_check_claim(const char *name, int height, int width, size_t size, int densest, entrain_error *err);
/* ENTRAIN_DATA where the image has another size than its source says. */
entrain_status image_check_size(const image_source *source, int height, int width, entrain_error *err);

/* image_png.c. label: keep one channel, palette indices as they are; otherwise RGB. want NULL: all of it, and any size will do. */
entrain_status png_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err);
entrain_status png_decode(image_decoder *d, const image_source *from, bool label, const image_part *want, image *out, image_part *got,
                          entrain_error *err);
/* image_jpeg.c */
entrain_status jpeg_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err);
entrain_status jpeg_decode(const image_source *from, const image_part *want, image *out, image_part *got, entrain_error *err);

#endif
