/* data.cat_max_ratio: which of the drawn places a crop takes. */
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

enum { CROP_H = 16, CROP_W = 20 };

static augment_options options(double ratio) {
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = CROP_H;
    o.crop_w = CROP_W;
    o.scale_min = 0.5;
    o.scale_max = 2.0;
    o.flip = true;
    o.cat_max_ratio = ratio;
    return o;
}

/* Mostly class 0 and ignored pixels, with an island of other classes: many places fail. */
static image islands(int h, int w) {
    image label = augment_case_image(h, w, 1, 40, 4);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t *p = label.data + (size_t)y * (size_t)w + (size_t)x;
            if (y % 7 == 3)
                *p = 255;
            else if (y > h / 3 || x > w / 3)
                *p = 0;
        }
    return label;
}

static void takes_the_reference_s_place(void **state) {
    (void)state;
    image picture = augment_case_image(40, 60, 3, 41, 256), label = islands(40, 60);
    augment_output out = augment_case_output(CROP_H, CROP_W);
    augment_scratch scratch = {0};
    const augment_options o = options(0.75);
    static double pixels[CROP_H * CROP_W * 3];
    static uint8_t labels[CROP_H * CROP_W];
    int looked[11] = {0};
    for (uint64_t position = 0; position < 600; position++) {
        reference_draws d = reference_draw(&o, AUGMENT_CASE_SEED, position);
        looked[reference_choose(&o, AUGMENT_CASE_SEED, position, &picture, &label, CROP_H, CROP_W, &d)]++;
        reference_augment(&o, &picture, &label, &d, CROP_H, CROP_W, pixels, labels);
        augment_case_run(&o, &picture, &label, position, &out, &scratch);
        assert_memory_equal(out.labels, labels, sizeof labels);
        for (int i = 0; i < CROP_H * CROP_W * 3; i++) assert_true(fabs(out.pixels[i] - pixels[i]) <= 0.5 + 1e-4);
    }
    for (int place = 1; place <= 10; place++) assert_true(looked[place] > 0); /* every case came up */
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

/* With 1, or 0 as an option that was never set, it is off. Where the first place is good, everything is as if it were. */
static void other_draws_stay(void **state) {
    (void)state;
    image picture = augment_case_image(40, 60, 3, 42, 256), label = augment_case_image(40, 60, 1, 43, 4), one = islands(40, 60);
    augment_output a = augment_case_output(CROP_H, CROP_W), b = augment_case_output(CROP_H, CROP_W);
    augment_scratch scratch = {0};
    augment_options off = options(1.0), never = options(0.0), on = options(0.75);
    off.photometric = never.photometric = on.photometric = true;
    memset(one.data, 3, 40 * 60); /* one class: no place is good, the last is taken */
    int moved = 0;
    for (uint64_t position = 0; position < 200; position++) {
        augment_case_run(&off, &picture, &label, position, &a, &scratch);
        augment_case_run(&on, &picture, &label, position, &b, &scratch);
        assert_memory_equal(a.pixels, b.pixels, CROP_H * CROP_W * 3);
        assert_memory_equal(a.labels, b.labels, CROP_H * CROP_W);
        augment_case_run(&never, &picture, &one, position, &a, &scratch);
        augment_case_run(&off, &picture, &one, position, &b, &scratch);
        assert_memory_equal(a.pixels, b.pixels, CROP_H * CROP_W * 3);
        augment_case_run(&on, &picture, &one, position, &b, &scratch);
        moved += memcmp(a.pixels, b.pixels, CROP_H * CROP_W * 3) != 0;
    }
    assert_true(moved > 150);
    augment_scratch_free(&scratch);
    augment_case_free(&a);
    augment_case_free(&b);
    image_free(&picture);
    image_free(&label);
    image_free(&one);
}

/* A large crop is counted on a grid: what is taken is within a little of the ratio. */
static void large_crops_are_counted_on_a_grid(void **state) {
    (void)state;
    enum { SIDE = 400 };
    image picture = augment_case_image(900, 900, 3, 44, 256), label = augment_case_image(900, 900, 1, 45, 4);
    for (int i = 0; i < 900 * 900; i++)
        if (i % 900 > 300 && i / 900 > 200) label.data[i] = 0;
    augment_options o = options(0.75);
    o.crop_h = o.crop_w = SIDE;
    o.scale_min = o.scale_max = 1.0;
    augment_output out = augment_case_output(SIDE, SIDE);
    augment_scratch scratch = {0};
    int good = 0;
    for (uint64_t position = 0; position < 30; position++) {
        augment_case_run(&o, &picture, &label, position, &out, &scratch);
        int zeros = 0;
        for (int i = 0; i < SIDE * SIDE; i++) zeros += out.labels[i] == 0;
        good += zeros < 0.77 * SIDE * SIDE;
    }
    assert_true(good >= 25); /* without a choice it would be about half of them */
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_reference_s_place),
        cmocka_unit_test(other_draws_stay),
        cmocka_unit_test(large_crops_are_counted_on_a_grid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
