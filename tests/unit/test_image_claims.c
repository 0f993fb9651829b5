/* Images that lie about themselves: no memory is taken for what they claim, and nothing of one image gets into the next. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

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

/* A small picture as JPEG; the caller frees it. */
static uint8_t *small_jpeg(size_t *size) {
    static uint8_t pixels[32 * 48 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i / 50);
    const image im = {.data = pixels, .height = 32, .width = 48, .channels = 3};
    uint8_t *bytes = NULL;
    assert_ok(image_encode_jpeg(&im, 90, &bytes, size, &err));
    return bytes;
}

/* Where the segment with this marker begins. */
static uint8_t *segment(uint8_t *bytes, size_t size, uint8_t marker) {
    uint8_t *at = bytes + 2;
    while (at + 4 < bytes + size && at[1] != marker) at += 2 + (at[2] << 8 | at[3]);
    assert_int_equal(at[1], marker);
    return at;
}

static void assert_refused(const uint8_t *bytes, size_t size, const char *text) {
    assert_int_equal(image_decode_rgb(decoder, bytes, size, "liar", &out, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "liar"));
    assert_non_null(strstr(err.text, text));
}

static void no_memory_for_claims(void **state) {
    (void)state;
    static const uint8_t pixels[64];
    size_t size = 0;
    uint8_t *jpeg = small_jpeg(&size), *frame = segment(jpeg, size, 0xC0);
    frame[5] = frame[7] = 0x7F; /* height and width */
    assert_refused(jpeg, size, "claims");
    free(jpeg);
    png_make(&file, 8, 8, 8, PNG_COLOR_TYPE_GRAY, false, pixels, 8);
    png_save_uint_32(file.bytes + 16, 32000);
    png_save_uint_32(file.bytes + 20, 32000);
    png_save_uint_32(file.bytes + 29, (png_uint_32)crc32(0, file.bytes + 12, 17));
    assert_refused(file.bytes, file.size, "claims");
    assert_int_equal(out.capacity, 0);
}

/* What is large and true is taken: one colour, in as few bytes as the format allows. */
static void dense_images_are_taken(void **state) {
    (void)state;
    const int height = 4200, width = 4100; /* more than are let pass unasked */
    image im = {.data = calloc((size_t)height * (size_t)width, 3), .height = height, .width = width, .channels = 3};
    assert_non_null(im.data);
    for (int channels = 1; channels <= 3; channels += 2) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        im.channels = channels;
        assert_ok(image_encode_png(&im, &bytes, &size, &err));
        assert_ok(image_decode_rgb(decoder, bytes, size, "black", &out, &err));
        free(bytes);
        if (channels == 1) continue;
        assert_ok(image_encode_jpeg(&im, 1, &bytes, &size, &err));
        assert_ok(image_decode_rgb(decoder, bytes, size, "black", &out, &err));
        free(bytes);
    }
    free(im.data);
}

/* A JPEG without quantisers is damaged, whatever was decoded before it. */
static void tables_are_not_inherited(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *jpeg = small_jpeg(&size);
    assert_ok(image_decode_rgb(decoder, jpeg, size, "sound", &out, &err));
    for (int i = 0; i < 2; i++) segment(jpeg, size, 0xDB)[1] = 0xFE; /* a comment now */
    assert_refused(jpeg, size, "JPEG");
    free(jpeg);
}

/* The header says fewer rows than the stream holds: one of the two is wrong. */
static void surplus_rows_are_found(void **state) {
    (void)state;
    static const uint8_t pixels[8 * 8];
    png_make(&file, 8, 8, 8, PNG_COLOR_TYPE_GRAY, false, pixels, 8);
    assert_ok(image_decode_label(decoder, file.bytes, file.size, "sound", &out, &err));
    png_save_uint_32(file.bytes + 20, 7);
    png_save_uint_32(file.bytes + 29, (png_uint_32)crc32(0, file.bytes + 12, 17));
    assert_refused(file.bytes, file.size, "PNG");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_for_claims),
        cmocka_unit_test(dense_images_are_taken),
        cmocka_unit_test(tables_are_not_inherited),
        cmocka_unit_test(surplus_rows_are_found),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
