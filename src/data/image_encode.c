/* Encoding PNG: one fixed setting of filter and level, so that equal pixels give equal bytes. */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/image_internal.h"

typedef struct png_sink {
    uint8_t *bytes;
    size_t size, capacity;
} png_sink;

static void on_error(png_structp png, png_const_charp message) {
    (void)message;
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png, (void)message;
}

static void write_bytes(png_structp png, png_bytep from, size_t count) {
    png_sink *s = png_get_io_ptr(png);
    if (s->size + count > s->capacity) {
        const size_t capacity = 2 * (s->size + count);
        uint8_t *bytes = realloc(s->bytes, capacity);
        if (bytes == NULL) png_error(png, "out of memory");
        s->bytes = bytes;
        s->capacity = capacity;
    }
    memcpy(s->bytes + s->size, from, count);
    s->size += count;
}

static void flush_nothing(png_structp png) {
    (void)png;
}

static void write_image(png_structp png, png_infop info, const image *im) {
    const bool grey = im->channels == 1;
    png_set_IHDR(png, info, (png_uint_32)im->width, (png_uint_32)im->height, 8, grey ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_filter(png, 0, grey ? PNG_FILTER_NONE : PNG_FILTER_SUB);
    png_set_compression_level(png, 6);
    png_write_info(png, info);
    const size_t row = (size_t)im->width * (size_t)im->channels;
    for (int y = 0; y < im->height; y++) png_write_row(png, im->data + (size_t)y * row);
    png_write_end(png, NULL);
}

entrain_status image_encode_png(const image *im, uint8_t **bytes, size_t *size, entrain_error *err) {
    png_sink sink = {0};
    *bytes = NULL;
    *size = 0;
    if (im->channels != 1 && im->channels != 3)
        return error_set(err, ENTRAIN_DATA, "an image of %d channels cannot be encoded as PNG; expected 1 or 3", im->channels);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    bool failed = info == NULL;
    if (!failed && setjmp(png_jmpbuf(png)) == 0) {
        png_set_write_fn(png, &sink, write_bytes, flush_nothing);
        write_image(png, info, im);
        *bytes = sink.bytes;
        *size = sink.size;
    }
    png_destroy_write_struct(&png, &info);
    if (*bytes != NULL) return ENTRAIN_OK;
    free(sink.bytes);
    return error_set(err, ENTRAIN_DEVICE, "out of memory for a PNG image of %dx%d", im->height, im->width);
}
