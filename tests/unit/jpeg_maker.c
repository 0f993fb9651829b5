/* An error of libjpeg ends the program: it would be the test's own. */
#include "jpeg_maker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
/* needs stdio.h before it */
#include <jpeglib.h>

#include "base/random.h"

void jpeg_make(const image *picture, const jpeg_kind *kind, uint8_t **bytes, size_t *size) {
    static const J_COLOR_SPACE spaces[] = {JCS_UNKNOWN, JCS_GRAYSCALE, JCS_UNKNOWN, JCS_RGB, JCS_CMYK};
    struct jpeg_compress_struct s;
    struct jpeg_error_mgr errors;
    s.err = jpeg_std_error(&errors);
    jpeg_create_compress(&s);
    unsigned long length = 0;
    *bytes = NULL;
    jpeg_mem_dest(&s, bytes, &length);
    s.image_height = (JDIMENSION)picture->height;
    s.image_width = (JDIMENSION)picture->width;
    s.input_components = kind->channels;
    s.in_color_space = spaces[kind->channels];
    jpeg_set_defaults(&s);
    jpeg_set_quality(&s, 90, TRUE);
    s.comp_info[0].h_samp_factor = kind->horizontal;
    s.comp_info[0].v_samp_factor = kind->vertical;
    s.restart_in_rows = kind->restart_rows;
    if (kind->progressive) jpeg_simple_progression(&s);
    jpeg_start_compress(&s, TRUE);
    for (int y = 0; y < picture->height; y++) {
        JSAMPROW row = picture->data + (size_t)y * (size_t)picture->width * (size_t)picture->channels;
        (void)jpeg_write_scanlines(&s, &row, 1);
    }
    jpeg_finish_compress(&s);
    jpeg_destroy_compress(&s);
    *size = length;
}

image jpeg_picture(int height, int width, int channels, uint64_t seed) {
    const size_t n = (size_t)height * (size_t)width * (size_t)channels;
    image im = {.data = malloc(n), .height = height, .width = width, .channels = channels, .capacity = n};
    if (im.data == NULL) abort();
    random_stream r = random_open(seed, RANDOM_TEST, 7);
    const double fx = random_range(&r, 0.02, 0.09), fy = random_range(&r, 0.02, 0.09);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                im.data[((size_t)y * (size_t)width + (size_t)x) * (size_t)channels + (size_t)c] =
                    (uint8_t)(125.0 + 100.0 * sin(fx * x + c) * cos(fy * y - 2 * c) + (double)random_below(&r, 9));
    return im;
}
