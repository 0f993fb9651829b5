/* Parts of images: the same pixels as the whole image's, whatever the kind of file; smaller JPEGs; and what is not looked at. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "data/image.h"
#include "jpeg_maker.h"
#include "png_maker.h"

static image_decoder *decoder;
static entrain_error err;

static int set_up(void **state) {
    (void)state;
    decoder = image_decoder_open();
    return decoder == NULL;
}

static int tear_down(void **state) {
    (void)state;
    image_decoder_close(decoder);
    return 0;
}

static image_part random_part(random_stream *r, int height, int width, int reduce) {
    image_part p = {.reduce = reduce};
    p.top = (int)random_below(r, (uint32_t)height);
    p.left = (int)random_below(r, (uint32_t)width);
    p.height = 1 + (int)random_below(r, (uint32_t)(height - p.top));
    p.width = 1 + (int)random_below(r, (uint32_t)(width - p.left));
    return p;
}

/* What was wanted lies in what came, and its pixels are those of the whole. */
static void assert_part(const image *whole, const image *out, const image_part *want, const image_part *got) {
    const size_t bytes = (size_t)whole->channels;
    assert_int_equal(got->reduce, want->reduce);
    assert_int_equal(out->height, got->height);
    assert_int_equal(out->width, got->width);
    assert_int_equal(out->channels, whole->channels);
    assert_true(got->top <= want->top && got->top + got->height >= want->top + want->height);
    assert_true(got->left <= want->left && got->left + got->width >= want->left + want->width);
    assert_true(got->top + got->height <= whole->height && got->left + got->width <= whole->width);
    for (int y = want->top; y < want->top + want->height; y++)
        assert_memory_equal(out->data + ((size_t)(y - got->top) * (size_t)out->width + (size_t)(want->left - got->left)) * bytes,
                            whole->data + ((size_t)y * (size_t)whole->width + (size_t)want->left) * bytes, (size_t)want->width * bytes);
}

static void check_parts(const image_source *from, bool label, int reduce, int rounds, uint64_t seed) {
    random_stream r = random_open(seed, RANDOM_TEST, 20);
    image whole = {0}, out = {0};
    image_part all = {.reduce = reduce, .height = (from->height + reduce - 1) / reduce, .width = (from->width + reduce - 1) / reduce}, got;
    assert_ok(image_decode_part(decoder, from, label, &all, &whole, &got, &err));
    assert_int_equal(whole.height, all.height);
    assert_int_equal(whole.width, all.width);
    if (reduce == 1) { /* the other way to all of it */
        assert_ok(label ? image_decode_label(decoder, from->bytes, from->size, "x", &out, &err)
                        : image_decode_rgb(decoder, from->bytes, from->size, "x", &out, &err));
        assert_memory_equal(out.data, whole.data, (size_t)whole.height * (size_t)whole.width * (size_t)whole.channels);
    }
    for (int round = 0; round < rounds; round++) {
        const image_part want = random_part(&r, all.height, all.width, reduce);
        assert_ok(image_decode_part(decoder, from, label, &want, &out, &got, &err));
        assert_part(&whole, &out, &want, &got);
    }
    image_free(&whole);
    image_free(&out);
}

static const jpeg_kind kinds[] = {{3, 1, 1, false, 0}, {3, 2, 2, false, 0}, {3, 2, 1, false, 0}, {3, 1, 2, false, 0}, {1, 1, 1, false, 0},
                                  {3, 2, 2, true, 0},  {3, 1, 1, true, 0},  {1, 1, 1, true, 0},  {3, 2, 2, false, 1}, {3, 2, 1, true, 2}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void jpeg_parts_are_exact(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 37}, {41, 1}, {16, 16}, {67, 93}, {130, 151}};
    for (size_t k = 0; k < KINDS; k++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            image picture = jpeg_picture(sizes[s][0], sizes[s][1], kinds[k].channels, k);
            image_source from = {.name = "x", .height = picture.height, .width = picture.width};
            uint8_t *bytes = NULL;
            jpeg_make(&picture, &kinds[k], &bytes, &from.size);
            from.bytes = bytes;
            assert_true(image_can_reduce(from.bytes, from.size));
            for (int reduce = 1; reduce <= 8; reduce *= 2) check_parts(&from, false, reduce, 25, 100 * k + s);
            free(bytes);
            image_free(&picture);
        }
    }
}

/* A smaller decode shows the mean of reduce x reduce pixels, but for what JPEG loses. At 1/8 a colour that two pixels share along
 * one axis only is shared by two of the small ones, without smoothing. */
static void smaller_is_the_mean(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        image picture = jpeg_picture(96, 128, kinds[k].channels, k), whole = {0}, small = {0};
        image_source from = {.name = "x", .height = 96, .width = 128};
        uint8_t *bytes = NULL;
        jpeg_make(&picture, &kinds[k], &bytes, &from.size);
        from.bytes = bytes;
        assert_ok(image_decode_rgb(decoder, bytes, from.size, "x", &whole, &err));
        for (int reduce = 2; reduce <= 8; reduce *= 2) {
            const image_part all = {.reduce = reduce, .height = 96 / reduce, .width = 128 / reduce};
            image_part got;
            double total = 0.0;
            assert_ok(image_decode_part(decoder, &from, false, &all, &small, &got, &err));
            for (int i = 0; i < small.height * small.width * 3; i++) {
                const int y = i / 3 / small.width, x = i / 3 % small.width, c = i % 3;
                int sum = 0;
                for (int j = 0; j < reduce * reduce; j++)
                    sum += whole.data[((y * reduce + j / reduce) * 128 + x * reduce + j % reduce) * 3 + c];
                const int off = abs(sum / (reduce * reduce) - small.data[i]);
                if (off > (reduce == 8 ? 32 : 12)) print_error("kind %zu, 1/%d, pixel %d: %d apart\n", k, reduce, i, off);
                assert_true(off <= (reduce == 8 ? 32 : 12));
                total += off;
            }
            assert_true(total / (small.height * small.width * 3) < (reduce == 8 ? 10.0 : 3.0)); /* half a pixel's shift would be more */
        }
        free(bytes);
        image_free(&picture);
        image_free(&whole);
        image_free(&small);
    }
}

static void png_parts_are_exact(void **state) {
    (void)state;
    static const int forms[][3] = {/* colour type, bits, whether it is a label map */
                                   {PNG_COLOR_TYPE_GRAY, 8, 1},    {PNG_COLOR_TYPE_GRAY, 1, 1}, {PNG_COLOR_TYPE_PALETTE, 8, 1},
                                   {PNG_COLOR_TYPE_PALETTE, 4, 1}, {PNG_COLOR_TYPE_RGB, 8, 0},  {PNG_COLOR_TYPE_RGB, 16, 0},
                                   {PNG_COLOR_TYPE_GRAY, 16, 0},   {PNG_COLOR_TYPE_GRAY, 8, 0}, {PNG_COLOR_TYPE_RGB_ALPHA, 8, 0}};
    static const int sizes[][2] = {{1, 1}, {1, 16}, {16, 1}, {16, 16}, {40, 24}};
    static png_file file;
    image data = jpeg_picture(64, 64, 8, 3);
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (int interlaced = 0; interlaced <= 1; interlaced++) {
                const int h = sizes[s][0], w = sizes[s][1];
                png_make(&file, h, w, forms[k][1], forms[k][0], interlaced == 1, data.data, 192);
                const image_source from = {.bytes = file.bytes, .size = file.size, .name = "x", .height = h, .width = w};
                assert_false(image_can_reduce(file.bytes, file.size));
                check_parts(&from, forms[k][2] == 1, 1, 10, 10 * k + s);
            }
        }
    }
    image_free(&data);
}

/* Neither format is read behind the last wanted row; what stands before it must be there. */
static void the_rest_is_not_read(void **state) {
    (void)state;
    image picture = jpeg_picture(160, 120, 3, 5), out = {0};
    uint8_t *files[2] = {NULL, NULL};
    size_t sizes[2];
    jpeg_make(&picture, &kinds[1], &files[0], &sizes[0]);
    assert_ok(image_encode_png(&picture, &files[1], &sizes[1], &err));
    const image_part want = {.reduce = 1, .top = 10, .left = 20, .height = 30, .width = 40}, last = {1, 159, 0, 1, 120};
    image_part got;
    for (int f = 0; f < 2; f++) {
        for (int percent = 5; percent <= 95; percent += 5) {
            const size_t length = sizes[f] * (size_t)percent / 100;
            uint8_t *part = malloc(length); /* apart, so that reading beyond it is noticed */
            assert_non_null(part);
            memcpy(part, files[f], length);
            const image_source from = {.bytes = part, .size = length, .name = "street", .height = 160, .width = 120};
            const entrain_status status = image_decode_part(decoder, &from, false, &want, &out, &got, &err);
            if (percent >= 60) assert_int_equal(status, ENTRAIN_OK);
            if (percent <= 10) assert_int_equal(status, ENTRAIN_DATA);
            assert_int_equal(image_decode_part(decoder, &from, false, &last, &out, &got, &err), ENTRAIN_DATA);
            assert_non_null(strstr(err.text, "street"));
            free(part);
        }
        free(files[f]);
    }
    image_free(&picture);
    image_free(&out);
}

static void refusals(void **state) {
    (void)state;
    image picture = jpeg_picture(20, 30, 3, 6), out = {0};
    image_source from = {.name = "ink", .height = 20, .width = 30};
    const image_part all = {.reduce = 1, .height = 20, .width = 30};
    image_part got;
    uint8_t *bytes = NULL;
    jpeg_make(&picture, &kinds[0], &bytes, &from.size);
    from.bytes = bytes;
    from.height = 21;
    assert_int_equal(image_decode_part(decoder, &from, false, &all, &out, &got, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "20x30"));
    assert_non_null(strstr(err.text, "21x30"));
    from.height = 20;
    assert_int_equal(image_decode_part(decoder, &from, true, &all, &out, &got, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "label map must be a PNG"));
    assert_ok(image_decode_part(decoder, &from, false, &all, &out, &got, &err));
    free(bytes);
    image_free(&picture);
    image_free(&out);
}

/* Light is what black leaves of what each colour's ink leaves. libjpeg writes CMYK with Adobe's mark: its numbers are what is left. */
static void ink_becomes_light(void **state) {
    (void)state;
    image picture = jpeg_picture(20, 30, 4, 6), out = {0};
    image_source from = {.name = "ink", .height = 20, .width = 30};
    const image_part all = {.reduce = 1, .height = 20, .width = 30};
    image_part got;
    uint8_t *bytes = NULL;
    for (int adobe = 1; adobe >= 0; adobe--) {
        jpeg_make(&picture, &(jpeg_kind){4, 1, 1, false, 0}, &bytes, &from.size);
        from.bytes = bytes;
        for (size_t i = 0; adobe == 0 && i + 5 < from.size; i++)
            if (memcmp(bytes + i, "Adobe", 5) == 0) memcpy(bytes + i, "adobe", 5); /* another program's mark */
        assert_ok(image_decode_part(decoder, &from, false, &all, &out, &got, &err));
        assert_int_equal(out.channels, 3);
        for (size_t i = 0; i < 20 * 30; i++) {
            const uint8_t *p = picture.data + 4 * i;
            for (size_t c = 0; c < 3; c++) {
                const int colour = adobe ? p[c] : 255 - p[c], black = adobe ? p[3] : 255 - p[3];
                assert_in_range(out.data[3 * i + c] + 12 - colour * black / 255, 0, 24); /* JPEG's own loss */
            }
        }
        free(bytes);
    }
    image_free(&picture);
    image_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ink_becomes_light),   cmocka_unit_test(jpeg_parts_are_exact), cmocka_unit_test(smaller_is_the_mean),
        cmocka_unit_test(png_parts_are_exact), cmocka_unit_test(the_rest_is_not_read), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
