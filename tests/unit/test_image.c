/* The image codecs: every kind of PNG and JPEG comes out as the pixels that went in, and nothing damaged comes out at all. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/random.h"
#include "check.h"
#include "data/image.h"
#include "png_maker.h"

static image_decoder *decoder;
static image out;
static entrain_error err;
static png_file file;

static int set_up(void **state) {
    (void)state;
    decoder = image_decoder_open();
    return decoder == NULL;
}

static int tear_down(void **state) {
    (void)state;
    image_decoder_close(decoder);
    image_free(&out);
    return 0;
}

/* Pixels without any pattern. */
static image noise(int height, int width, int channels) {
    const size_t n = (size_t)height * (size_t)width * (size_t)channels;
    image im = {.data = malloc(n), .height = height, .width = width, .channels = channels, .capacity = n};
    assert_non_null(im.data);
    random_stream r = random_open(3, RANDOM_TEST, n);
    for (size_t i = 0; i < n; i++) im.data[i] = (uint8_t)random_u32(&r);
    return im;
}

static void assert_pixels(const image *got, const image *want) {
    assert_int_equal(got->height, want->height);
    assert_int_equal(got->width, want->width);
    assert_int_equal(got->channels, want->channels);
    assert_memory_equal(got->data, want->data, (size_t)want->height * (size_t)want->width * (size_t)want->channels);
}

/* ---- what went in comes out ---- */

static void png_round_trip(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 7}, {5, 1}, {33, 17}, {64, 80}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int channels = 1; channels <= 3; channels += 2) {
            image im = noise(sizes[s][0], sizes[s][1], channels);
            uint8_t *bytes = NULL, *again = NULL;
            size_t size = 0, size_again = 0;
            int height = 0, width = 0;
            assert_ok(image_encode_png(&im, &bytes, &size, &err));
            assert_ok(image_encode_png(&im, &again, &size_again, &err));
            assert_int_equal(size, size_again);
            assert_memory_equal(bytes, again, size);
            assert_ok(image_probe(bytes, size, "x", &height, &width, &err));
            assert_int_equal(height, im.height);
            assert_int_equal(width, im.width);
            assert_ok(channels == 1 ? image_decode_label(decoder, bytes, size, "x", &out, &err)
                                    : image_decode_rgb(decoder, bytes, size, "x", &out, &err));
            assert_pixels(&out, &im);
            free(bytes);
            free(again);
            image_free(&im);
        }
}

/* A smooth picture survives JPEG nearly unchanged; 4:4:4 keeps even its single-pixel colours. */
static void jpeg_round_trip(void **state) {
    (void)state;
    image im = noise(37, 53, 3);
    for (int y = 0; y < im.height; y++)
        for (int x = 0; x < im.width; x++) {
            uint8_t *p = im.data + 3 * (y * im.width + x);
            p[0] = (uint8_t)(4 * x);
            p[1] = (uint8_t)(6 * y);
            p[2] = (uint8_t)(x % 2 == 0 ? 90 : 150);
        }
    uint8_t *bytes = NULL;
    size_t size = 0;
    int height = 0, width = 0, worst = 0;
    assert_ok(image_encode_jpeg(&im, 95, &bytes, &size, &err));
    assert_ok(image_probe(bytes, size, "x", &height, &width, &err));
    assert_int_equal(height, 37);
    assert_int_equal(width, 53);
    assert_ok(image_decode_rgb(decoder, bytes, size, "x", &out, &err));
    assert_int_equal(out.height, 37);
    assert_int_equal(out.width, 53);
    assert_int_equal(out.channels, 3);
    for (int i = 0; i < 37 * 53 * 3; i++) {
        const int off = abs(out.data[i] - im.data[i]);
        worst = off > worst ? off : worst;
    }
    assert_in_range(worst, 0, 16);
    free(bytes);
    image_free(&im);
}

static void only_known_channel_counts_are_encoded(void **state) {
    (void)state;
    image im = noise(4, 4, 2);
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(image_encode_png(&im, &bytes, &size, &err), ENTRAIN_DATA);
    im.channels = 1;
    assert_int_equal(image_encode_jpeg(&im, 90, &bytes, &size, &err), ENTRAIN_DATA);
    assert_null(bytes);
    image_free(&im);
}

/* ---- kinds of PNG, each against what the format's definition says ---- */

enum { SIDE = 16 };

static uint8_t packed(const uint8_t *rows, size_t stride, int depth, int x, int y) {
    const int bit = x * depth;
    return (uint8_t)(rows[(size_t)y * stride + (size_t)(bit / 8)] >> (8 - depth - bit % 8) & ((1 << depth) - 1));
}

static void check_grey(int depth, bool interlaced) {
    image data = noise(SIDE, SIDE, 1);
    const size_t stride = SIDE * (size_t)depth / 8;
    png_make(&file, SIDE, SIDE, depth, PNG_COLOR_TYPE_GRAY, interlaced, data.data, stride);
    assert_ok(image_decode_rgb(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE; i++) {
        const int value = packed(data.data, stride, depth, i % SIDE, i / SIDE) * 255 / ((1 << depth) - 1);
        for (int k = 0; k < 3; k++) assert_int_equal(out.data[3 * i + k], value);
    }
    assert_ok(image_decode_label(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE; i++) assert_int_equal(out.data[i], packed(data.data, stride, depth, i % SIDE, i / SIDE));
    image_free(&data);
}

static void check_palette(int depth, bool interlaced) {
    image data = noise(SIDE, SIDE, 1);
    const size_t stride = SIDE * (size_t)depth / 8;
    png_make(&file, SIDE, SIDE, depth, PNG_COLOR_TYPE_PALETTE, interlaced, data.data, stride);
    assert_ok(image_decode_label(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE; i++) assert_int_equal(out.data[i], packed(data.data, stride, depth, i % SIDE, i / SIDE));
    assert_ok(image_decode_rgb(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE; i++) {
        const int v = packed(data.data, stride, depth, i % SIDE, i / SIDE);
        assert_int_equal(out.data[3 * i], 255 - v);
        assert_int_equal(out.data[3 * i + 1], v / 2);
        assert_int_equal(out.data[3 * i + 2], 7 * v % 256);
    }
    image_free(&data);
}

static void grey_and_palette(void **state) {
    (void)state;
    for (int depth = 1; depth <= 8; depth *= 2)
        for (int interlaced = 0; interlaced <= 1; interlaced++) {
            check_grey(depth, interlaced == 1);
            check_palette(depth, interlaced == 1);
        }
}

static void alpha_is_dropped_and_16_bits_reduced(void **state) {
    (void)state;
    image data = noise(SIDE, SIDE, 8);
    png_make(&file, SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB_ALPHA, true, data.data, SIDE * 4);
    assert_ok(image_decode_rgb(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE; i++) assert_memory_equal(out.data + 3 * i, data.data + 4 * i, 3);

    png_make(&file, SIDE, SIDE, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, data.data, SIDE * 2);
    assert_ok(image_decode_rgb(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE * 3; i++) assert_int_equal(out.data[i], data.data[2 * (i / 3)]);

    png_make(&file, SIDE, SIDE, 16, PNG_COLOR_TYPE_RGB, false, data.data, SIDE * 6);
    assert_ok(image_decode_rgb(decoder, file.bytes, file.size, "x", &out, &err));
    for (int i = 0; i < SIDE * SIDE * 3; i++) {
        const int value = data.data[2 * i] << 8 | data.data[2 * i + 1];
        assert_int_equal(out.data[i], (value * 255 + 32895) >> 16); /* the nearest of 256 levels */
    }
    image_free(&data);
}

static void other_files_are_no_labels(void **state) {
    (void)state;
    image data = noise(SIDE, SIDE, 8);
    static const int kinds[][2] = {
        {PNG_COLOR_TYPE_RGB, 8}, {PNG_COLOR_TYPE_GRAY, 16}, {PNG_COLOR_TYPE_GRAY_ALPHA, 8}, {PNG_COLOR_TYPE_RGB_ALPHA, 8}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        png_make(&file, SIDE, SIDE, kinds[k][1], kinds[k][0], false, data.data, SIDE * 8);
        assert_int_equal(image_decode_label(decoder, file.bytes, file.size, "street.png", &out, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "street.png"));
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    data.channels = 3;
    assert_ok(image_encode_jpeg(&data, 90, &bytes, &size, &err));
    assert_int_equal(image_decode_label(decoder, bytes, size, "street.jpg", &out, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "street.jpg"));
    free(bytes);
    image_free(&data);
}

/* ---- damage ---- */

static void not_an_image(void **state) {
    (void)state;
    int height, width;
    static const uint8_t text[] = "GIF89a and so on, long enough for a header";
    assert_int_equal(image_decode_rgb(decoder, text, sizeof text, "a.gif", &out, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "a.gif"));
    assert_int_equal(image_decode_rgb(decoder, text, 0, "empty", &out, &err), ENTRAIN_DATA);
    assert_int_equal(image_probe(text, sizeof text, "a.gif", &height, &width, &err), ENTRAIN_DATA);
}

/* However many bytes are missing at the end: an error, never a half-grey picture. */
static void truncation_is_found(void **state) {
    (void)state;
    image im = noise(24, 31, 3);
    uint8_t *files[2] = {NULL, NULL};
    size_t sizes[2];
    assert_ok(image_encode_png(&im, &files[0], &sizes[0], &err));
    assert_ok(image_encode_jpeg(&im, 90, &files[1], &sizes[1], &err));
    for (int f = 0; f < 2; f++) {
        assert_ok(image_decode_rgb(decoder, files[f], sizes[f], "x", &out, &err));
        for (size_t length = 0; length + 1 < sizes[f]; length += 1 + length / 16) {
            uint8_t *part = malloc(length + 1); /* apart, so that reading beyond it is noticed */
            assert_non_null(part);
            memcpy(part, files[f], length);
            assert_int_equal(image_decode_rgb(decoder, part, length, "x", &out, &err), ENTRAIN_DATA);
            free(part);
            assert_ok(image_decode_rgb(decoder, files[f], sizes[f], "x", &out, &err)); /* the decoder is none the worse */
        }
        /* All of the picture's data but the very last bytes. */
        assert_int_equal(image_decode_rgb(decoder, files[f], sizes[f] - 2, "x", &out, &err), ENTRAIN_DATA);
        free(files[f]);
    }
    image_free(&im);
}

/* Changed bytes: an error or some picture, but no crash; in PNG's pixel data always an error. */
static void damage_is_survived(void **state) {
    (void)state;
    image im = noise(16, 16, 3);
    uint8_t *files[2] = {NULL, NULL};
    size_t sizes[2];
    int errors[2] = {0, 0};
    assert_ok(image_encode_png(&im, &files[0], &sizes[0], &err));
    assert_ok(image_encode_jpeg(&im, 90, &files[1], &sizes[1], &err));
    random_stream r = random_open(4, RANDOM_TEST, 0);
    for (int round = 0; round < 1000; round++) {
        const int f = round % 2;
        const size_t at = random_below(&r, (uint32_t)sizes[f]);
        const uint8_t old = files[f][at], flip = (uint8_t)(1 + random_below(&r, 255));
        files[f][at] = old ^ flip;
        const entrain_status status = image_decode_rgb(decoder, files[f], sizes[f], "x", &out, &err);
        assert_true(status == ENTRAIN_OK || status == ENTRAIN_DATA);
        if (f == 0 && at >= 41 && at < sizes[0] - 12) assert_int_equal(status, ENTRAIN_DATA);
        errors[f] += status == ENTRAIN_DATA;
        files[f][at] = old;
    }
    assert_true(errors[0] > 400 && errors[1] > 20);
    assert_ok(image_decode_rgb(decoder, files[0], sizes[0], "x", &out, &err));
    assert_pixels(&out, &im);
    free(files[0]);
    free(files[1]);
    image_free(&im);
}

/* A tiny file that claims to be enormous is refused before memory is taken for it. */
static void sizes_have_a_limit(void **state) {
    (void)state;
    static const uint32_t sides[][2] = {{32769, 8}, {8, 32769}, {0, 8}, {8, 0}, {0x80000000u, 8}};
    image im = noise(8, 8, 1);
    int height, width;
    for (size_t k = 0; k < sizeof sides / sizeof sides[0]; k++) {
        png_make(&file, 8, 8, 8, PNG_COLOR_TYPE_GRAY, false, im.data, 8);
        png_save_uint_32(file.bytes + 16, sides[k][0]);
        png_save_uint_32(file.bytes + 20, sides[k][1]);
        png_save_uint_32(file.bytes + 29, (png_uint_32)crc32(0, file.bytes + 12, 17));
        assert_int_equal(image_probe(file.bytes, file.size, "big.png", &height, &width, &err), ENTRAIN_DATA);
        assert_int_equal(image_decode_rgb(decoder, file.bytes, file.size, "big.png", &out, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "big.png"));
    }
    image_free(&im);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_round_trip),
        cmocka_unit_test(jpeg_round_trip),
        cmocka_unit_test(only_known_channel_counts_are_encoded),
        cmocka_unit_test(grey_and_palette),
        cmocka_unit_test(alpha_is_dropped_and_16_bits_reduced),
        cmocka_unit_test(other_files_are_no_labels),
        cmocka_unit_test(not_an_image),
        cmocka_unit_test(truncation_is_found),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(sizes_have_a_limit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
