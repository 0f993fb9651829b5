/* Augmentation and plain resizing against a plain double computation (augment_reference.h). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "augment_case.h"
#include "augment_reference.h"
#include "base/random.h"

static int between(random_stream *r, int low, int high) {
    return low + (int)random_below(r, (uint32_t)(high - low + 1));
}

/* Random options for a picture; sizes 1 and crops both smaller and larger than the picture come up. */
static augment_options random_options(random_stream *r, const image *picture, augment_output *out) {
    augment_options o = AUGMENT_CASE_OFF;
    const bool crop = random_below(r, 4) != 0;
    o.crop_h = crop ? between(r, 1, 60) : 0;
    o.crop_w = crop ? between(r, 1, 60) : 0;
    o.scale_min = random_range(r, 0.2, 1.5);
    o.scale_max = random_below(r, 3) == 0 ? o.scale_min : o.scale_min + random_uniform(r);
    o.flip = random_below(r, 2) == 0;
    o.photometric = random_below(r, 2) == 0;
    for (int c = 0; c < 3; c++) {
        o.mean[c] = random_range(r, 0.3, 0.6);
        o.std[c] = random_range(r, 0.2, 0.3);
    }
    *out = augment_case_output(crop ? o.crop_h : picture->height, crop ? o.crop_w : picture->width);
    return o;
}

static void everything_off_is_the_stored_pixels(void **state) {
    (void)state;
    image picture = augment_case_image(37, 53, 3, 1, 256), label = augment_case_image(37, 53, 1, 2, 20);
    augment_output out = augment_case_output(37, 53);
    augment_scratch scratch = {0};
    for (uint64_t position = 0; position < 3; position++) {
        augment_case_run(&AUGMENT_CASE_OFF, &picture, &label, position, &out, &scratch);
        assert_memory_equal(out.pixels, picture.data, 37 * 53 * 3);
        assert_memory_equal(out.labels, label.data, 37 * 53);
    }
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

static void half_scale_is_the_mean_of_two_by_two(void **state) {
    (void)state;
    augment_options o = AUGMENT_CASE_OFF;
    o.scale_min = o.scale_max = 0.5;
    o.crop_h = 16;
    o.crop_w = 20;
    image picture = augment_case_image(32, 40, 3, 3, 256), label = augment_case_image(32, 40, 1, 4, 20);
    augment_output out = augment_case_output(16, 20);
    augment_scratch scratch = {0};
    augment_case_run(&o, &picture, &label, 0, &out, &scratch);
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 20; x++) {
            for (int c = 0; c < 3; c++) {
                const uint8_t *p = picture.data + (2 * y * 40 + 2 * x) * 3 + c;
                const double mean = (p[0] + p[3] + p[120] + p[123]) / 4.0;
                assert_int_equal(out.pixels[(y * 20 + x) * 3 + c], (int)floor(mean + 0.5));
            }
            assert_int_equal(out.labels[y * 20 + x], label.data[(2 * y + 1) * 40 + 2 * x + 1]);
        }
    }
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

static void agrees_with_the_plain_computation(void **state) {
    (void)state;
    random_stream r = random_open(5, RANDOM_TEST, 1);
    augment_scratch scratch = {0};
    for (uint64_t round = 0; round < 400; round++) {
        const int h = between(&r, 1, 50), w = between(&r, 1, 50);
        image picture = augment_case_image(h, w, 3, round, 256), label = augment_case_image(h, w, 1, round + 1000, 256);
        augment_output out;
        const augment_options o = random_options(&r, &picture, &out);
        const size_t n = (size_t)out.h * (size_t)out.w;
        double *pixels = malloc(n * 3 * sizeof *pixels);
        uint8_t *labels = malloc(n);
        assert_true(pixels != NULL && labels != NULL);
        augment_case_run(&o, &picture, &label, round, &out, &scratch);
        const reference_draws d = reference_draw(&o, AUGMENT_CASE_SEED, round);
        reference_augment(&o, &picture, &label, &d, out.h, out.w, pixels, labels);
        assert_memory_equal(out.labels, labels, n);
        for (size_t i = 0; i < n * 3; i++) assert_true(fabs(out.pixels[i] - pixels[i]) <= 0.5 + (o.photometric ? 1e-3 : 1e-4));
        free(pixels);
        free(labels);
        augment_case_free(&out);
        image_free(&picture);
        image_free(&label);
    }
    augment_scratch_free(&scratch);
}

/* Whether one (h,w,3) is the other's mirror image, to the bit. */
static bool is_mirror(const float *a, const float *b, int h, int w) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++)
            if (memcmp(a + 3 * (y * w + x), b + 3 * (y * w + w - 1 - x), 3 * sizeof *a) != 0) return false;
    }
    return true;
}

/* Widths beyond one block of columns, smaller and larger sizes, and the picture's own. */
static void plain_is_resize_and_normalise(void **state) {
    (void)state;
    static const int sizes[][2] = {{40, 300}, {20, 150}, {1, 1}, {57, 700}, {40, 256}, {13, 257}};
    image picture = augment_case_image(40, 300, 3, 18, 256);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const int h = sizes[k][0], w = sizes[k][1];
        const size_t n = (size_t)h * (size_t)w;
        double *resized = malloc(n * 3 * sizeof *resized);
        float *a = malloc(n * 3 * sizeof *a), *b = malloc(n * 3 * sizeof *b);
        assert_true(resized != NULL && a != NULL && b != NULL);
        memset(a, 0xff, n * 3 * sizeof *a); /* NaN: whatever is left unwritten shows */
        memset(b, 0xff, n * 3 * sizeof *b);
        reference_resize(&picture, h, w, resized);
        augment_plain(&AUGMENT_CASE_OFF, &picture, h, w, false, a);
        augment_plain(&AUGMENT_CASE_OFF, &picture, h, w, true, b);
        for (size_t i = 0; i < n * 3; i++)
            assert_true(fabs((double)a[i] - (resized[i] / 255.0 - AUGMENT_CASE_OFF.mean[i % 3]) / AUGMENT_CASE_OFF.std[i % 3]) < 2e-6);
        assert_true(is_mirror(a, b, h, w));
        free(resized);
        free(a);
        free(b);
    }
    image_free(&picture);
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    image picture = augment_case_image(10, 12, 3, 30, 256), label = augment_case_image(10, 11, 1, 31, 20),
          right = augment_case_image(10, 12, 1, 32, 20);
    augment_output out = augment_case_output(10, 13);
    augment_scratch scratch = {0};
    entrain_error err = {0};
    augment_options o = AUGMENT_CASE_OFF;
    assert_int_equal(augment_sample(&o, &picture, &right, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "data.crop"));
    assert_non_null(strstr(err.text, "10x12"));
    o.crop_h = 10;
    o.crop_w = 13;
    assert_int_equal(augment_sample(&o, &picture, &label, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "10x11"));
    assert_int_equal(augment_sample(&o, &picture, &right, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_OK);
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
    image_free(&right);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_off_is_the_stored_pixels),
        cmocka_unit_test(half_scale_is_the_mean_of_two_by_two),
        cmocka_unit_test(agrees_with_the_plain_computation),
        cmocka_unit_test(plain_is_resize_and_normalise),
        cmocka_unit_test(wrong_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
