/* JPEG files of every kind, made with libjpeg itself. */
#ifndef JPEG_MAKER_H
#define JPEG_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/image.h"

typedef struct jpeg_kind {
    int channels;             /* 1: grey, 3: RGB, 4: CMYK */
    int horizontal, vertical; /* pixels that share a colour difference: 1 or 2 */
    bool progressive;
    int restart_rows; /* a restart marker every so many rows of blocks; 0: none */
} jpeg_kind;

/* Picture with channels as the kind says; new bytes, freed by the caller. */
void jpeg_make(const image *picture, const jpeg_kind *kind, uint8_t **bytes, size_t *size);

/* Slow waves with a little noise, like a photograph's; free with image_free. */
image jpeg_picture(int height, int width, int channels, uint64_t seed);

#endif
