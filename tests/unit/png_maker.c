/* libpng's writer into memory; any complaint of it fails the test. */
#include "png_maker.h"

#include <string.h>

#include "check.h"

static void put(png_structp png, png_bytep from, size_t count) {
    png_file *out = png_get_io_ptr(png);
    assert_true(out->size + count <= sizeof out->bytes);
    memcpy(out->bytes + out->size, from, count);
    out->size += count;
}

static void flush(png_structp png) {
    (void)png;
}

static void complain(png_structp png, png_const_charp message) {
    (void)png;
    fail_msg("libpng: %s", message);
}

static void add_palette(png_structp png, png_infop info, int depth) {
    png_color colors[256];
    png_byte alpha[256];
    for (int i = 0; i < 256; i++) {
        colors[i] = (png_color){(png_byte)(255 - i), (png_byte)(i / 2), (png_byte)(7 * i)};
        alpha[i] = (png_byte)i;
    }
    png_set_PLTE(png, info, colors, 1 << depth);
    png_set_tRNS(png, info, alpha, 1 << depth, NULL);
}

void png_make(png_file *out, int height, int width, int depth, int color, bool interlaced, const uint8_t *rows, size_t stride) {
    out->size = 0;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, complain, complain);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_set_write_fn(png, out, put, flush);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, color, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (color == PNG_COLOR_TYPE_PALETTE) add_palette(png, info, depth);
    png_write_info(png, info);
    const int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < height; y++) png_write_row(png, rows + (size_t)y * stride);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}
