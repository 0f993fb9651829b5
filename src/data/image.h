/* Encoded images to pixels and back, by libjpeg-turbo and libpng. */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"

/* Pixels, rows top to bottom, channels interleaved. data is owned: it grows as needed and is reused from one decode to the next. */
typedef struct image {
    uint8_t *data; /* (height, width, channels) */
    int height, width, channels;
    size_t capacity;
} image;

void image_free(image *im);

/* Decoder with its scratch memory; one a thread. Decoding allocates nothing once the scratch has grown to the largest image's need (PNG),
 * or only inside libjpeg-turbo (JPEG). */
typedef struct image_decoder image_decoder;
image_decoder *image_decoder_open(void);
void image_decoder_close(image_decoder *d);

/* Size of an encoded image (PNG or JPEG, told by its first bytes). name: for messages. ENTRAIN_DATA. */
entrain_status image_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err);
/* Decode to RGB, 8 bits (grey is spread, alpha dropped, 16 bits reduced). */
entrain_status image_decode_rgb(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err);
/* Decode a label map: an 8-bit single-channel or palette PNG; the palette's indices are the values. */
entrain_status image_decode_label(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err);

/* A part of a picture: of the stored one, or of that made `reduce` times smaller, which has ceil(stored / reduce) pixels along each axis
 * and shows at its pixel x the mean of the stored pixels x * reduce to (x + 1) * reduce - 1, nearly. */
typedef struct image_part {
    int reduce; /* 1; a JPEG can also be decoded with 2, 4 and 8 */
    int top, left, height, width;
} image_part;

/* An encoded image whose size is known beforehand. */
typedef struct image_source {
    const uint8_t *bytes;
    size_t size;
    const char *name;  /* for messages */
    int height, width; /* that it must have */
} image_source;

/* Whether image_decode_part takes a `reduce` above 1. */
bool image_can_reduce(const uint8_t *bytes, size_t size);
/*
 * Decode at least the wanted part, the same pixels that decoding the whole would give; out holds what `got` says, which contains `want` and
 * is no more than the decoder had to make anyway. Damage is found in what is decoded: nothing behind its last row is looked at.
 * label: a label map, as image_decode_label; otherwise RGB. ENTRAIN_DATA also for an image of another size than its source says.
 */
entrain_status image_decode_part(image_decoder *d, const image_source *source, bool label, const image_part *want, image *out,
                                 image_part *got, entrain_error *err);

/* Encode 1 or 3 channels as PNG into newly allocated bytes; the caller frees them. Deterministic. */
entrain_status image_encode_png(const image *im, uint8_t **bytes, size_t *size, entrain_error *err);
/* Encode RGB as JPEG, 4:4:4. */
entrain_status image_encode_jpeg(const image *im, int quality, uint8_t **bytes, size_t *size, entrain_error *err);

/* Whole files; written beside, synced and renamed, so a file is complete or absent. */
entrain_status file_read(const char *path, uint8_t **bytes, size_t *size, entrain_error *err);
entrain_status file_write(const char *path, const void *bytes, size_t size, entrain_error *err);
/* mkdir -p. */
entrain_status file_make_folder(const char *path, entrain_error *err);

#endif
