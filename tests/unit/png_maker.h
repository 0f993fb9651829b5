/* PNG files of any kind for tests, made through libpng directly. */
#ifndef PNG_MAKER_H
#define PNG_MAKER_H

#include <png.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct png_file {
    uint8_t bytes[1 << 16];
    size_t size;
} png_file;

/* rows: packed as PNG stores them, `stride` bytes each. A palette of 256 made-up colours is added for palette files, with transparency. */
void png_make(png_file *out, int height, int width, int depth, int color, bool interlaced, const uint8_t *rows, size_t stride);

#endif
