/* What augmentation draws: every place as likely as any other, and no option's draws moved by another option. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "augment_case.h"

/* A picture of 10x14 in a crop of 13x21: 4*8 places, each as likely as any other; everything around it is the mean and ignored. */
static void small_pictures_are_padded_at_every_place(void **state) {
    (void)state;
    enum { ROUNDS = 3200, PLACES = 32 };
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = 13;
    o.crop_w = 21;
    o.photometric = true;
    image picture = augment_case_image(10, 14, 3, 6, 256), label = augment_case_image(10, 14, 1, 7, 20);
    augment_output out = augment_case_output(13, 21);
    augment_scratch scratch = {0};
    int counts[PLACES] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment_case_run(&o, &picture, &label, round, &out, &scratch);
        int first = 0, ignored = 0;
        while (out.labels[first] == 255) first++;
        for (int i = 0; i < 13 * 21; i++) {
            if (out.labels[i] != 255) continue;
            ignored++;
            for (int c = 0; c < 3; c++) assert_int_equal(out.pixels[3 * i + c], (int)floor(255.0 * o.mean[c] + 0.5));
        }
        assert_int_equal(ignored, 13 * 21 - 10 * 14);
        const int top = first / 21, left = first % 21;
        assert_true(top <= 3 && left <= 7);
        for (int y = 0; y < 10; y++) assert_memory_equal(out.labels + (y + top) * 21 + left, label.data + y * 14, 14);
        counts[top * 8 + left]++;
    }
    double chi = 0.0;
    for (int i = 0; i < PLACES; i++) chi += pow(counts[i] - (double)ROUNDS / PLACES, 2.0) * PLACES / ROUNDS;
    assert_true(chi < PLACES - 1 + 5.0 * sqrt(2.0 * (PLACES - 1)));
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

/* A crop of 5x7 in 12x14: 8*8 places. Labels name their own row and column. */
static void crops_come_from_every_place(void **state) {
    (void)state;
    enum { ROUNDS = 6400, PLACES = 64 };
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = 5;
    o.crop_w = 7;
    image picture = augment_case_image(12, 14, 3, 8, 256), label = augment_case_image(12, 14, 1, 9, 2);
    for (int i = 0; i < 12 * 14; i++) label.data[i] = (uint8_t)i;
    augment_output out = augment_case_output(5, 7);
    augment_scratch scratch = {0};
    int counts[PLACES] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment_case_run(&o, &picture, &label, round, &out, &scratch);
        const int top = out.labels[0] / 14, left = out.labels[0] % 14;
        assert_true(top <= 7 && left <= 7);
        assert_int_equal(out.labels[5 * 7 - 1], (top + 4) * 14 + left + 6);
        counts[top * 8 + left]++;
    }
    double chi = 0.0;
    for (int i = 0; i < PLACES; i++) chi += pow(counts[i] - (double)ROUNDS / PLACES, 2.0) * PLACES / ROUNDS;
    assert_true(chi < PLACES - 1 + 5.0 * sqrt(2.0 * (PLACES - 1)));
    augment_scratch_free(&scratch);
    augment_case_free(&out);
    image_free(&picture);
    image_free(&label);
}

/* Switching flip on changes nothing but to mirror about half of the samples: place, scale and colours are drawn as before. */
static void flip_mirrors_half_and_changes_nothing_else(void **state) {
    (void)state;
    enum { ROUNDS = 1000 };
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = 24;
    o.crop_w = 30;
    o.scale_min = 0.5;
    o.scale_max = 1.5;
    o.photometric = true;
    augment_options flipping = o;
    flipping.flip = true;
    image picture = augment_case_image(25, 31, 3, 10, 256), label = augment_case_image(25, 31, 1, 11, 20);
    augment_output a = augment_case_output(24, 30), b = augment_case_output(24, 30);
    augment_scratch scratch = {0};
    int flipped = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment_case_run(&o, &picture, &label, round, &a, &scratch);
        augment_case_run(&flipping, &picture, &label, round, &b, &scratch);
        if (memcmp(a.labels, b.labels, 24 * 30) == 0) {
            assert_memory_equal(a.pixels, b.pixels, 24 * 30 * 3);
            continue;
        }
        assert_true(augment_case_is_mirror(&a, &b));
        flipped++;
    }
    assert_true(abs(flipped - ROUNDS / 2) < 5.0 * sqrt(ROUNDS / 4.0));
    augment_scratch_free(&scratch);
    augment_case_free(&a);
    augment_case_free(&b);
    image_free(&picture);
    image_free(&label);
}

/* Colours do not move the place, and a scale that is fixed does not change which samples are flipped or how they are coloured. */
static void other_options_do_not_shift_the_draws(void **state) {
    (void)state;
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = 24;
    o.crop_w = 30;
    o.scale_min = 0.5;
    o.scale_max = 1.5;
    o.flip = true;
    augment_options colours = o;
    colours.photometric = true;
    image picture = augment_case_image(25, 31, 3, 12, 256), label = augment_case_image(25, 31, 1, 13, 20);
    augment_output a = augment_case_output(24, 30), b = augment_case_output(24, 30);
    augment_scratch scratch = {0};
    int changed = 0;
    for (uint64_t round = 0; round < 200; round++) {
        augment_case_run(&o, &picture, &label, round, &a, &scratch);
        augment_case_run(&colours, &picture, &label, round, &b, &scratch);
        assert_memory_equal(a.labels, b.labels, 24 * 30);
        changed += memcmp(a.pixels, b.pixels, 24 * 30 * 3) != 0;
    }
    assert_true(changed > 170 && changed < 200); /* 1 in 16 draws no change at all */

    /* One even colour shows the distortion alone: the crop, the scale and the flip must not change it. */
    augment_options still = AUGMENT_CASE_OFF;
    still.photometric = true;
    for (int i = 0; i < 25 * 31; i++) memcpy(picture.data + 3 * i, (uint8_t[3]){200, 120, 40}, 3);
    augment_output whole = augment_case_output(25, 31);
    for (uint64_t round = 0; round < 200; round++) {
        augment_case_run(&colours, &picture, &label, round, &a, &scratch);
        augment_case_run(&still, &picture, &label, round, &whole, &scratch);
        int inside = 0;
        while (a.labels[inside] == 255) inside++;
        for (int c = 0; c < 3; c++) assert_int_equal(a.pixels[3 * inside + c], whole.pixels[c]);
    }
    augment_scratch_free(&scratch);
    augment_case_free(&a);
    augment_case_free(&b);
    augment_case_free(&whole);
    image_free(&picture);
    image_free(&label);
}

static void samples_depend_on_seed_and_position_alone(void **state) {
    (void)state;
    augment_options o = AUGMENT_CASE_OFF;
    o.crop_h = o.crop_w = 20;
    o.scale_min = 0.5;
    o.scale_max = 2.0;
    o.flip = o.photometric = true;
    image picture = augment_case_image(30, 40, 3, 14, 256), label = augment_case_image(30, 40, 1, 15, 20);
    image large = augment_case_image(90, 200, 3, 16, 256), large_label = augment_case_image(90, 200, 1, 17, 20);
    augment_output a = augment_case_output(20, 20), b = augment_case_output(20, 20);
    augment_scratch fresh = {0}, used = {0};
    augment_case_run(&o, &large, &large_label, 4, &b, &used);
    augment_case_run(&o, &picture, &label, 3, &a, &fresh);
    augment_case_run(&o, &picture, &label, 3, &b, &used);
    assert_memory_equal(a.pixels, b.pixels, 20 * 20 * 3);
    assert_memory_equal(a.labels, b.labels, 20 * 20);
    augment_case_run(&o, &picture, &label, 5, &b, &used);
    assert_true(memcmp(a.pixels, b.pixels, 20 * 20 * 3) != 0);
    entrain_error err;
    assert_int_equal(augment_sample(&o, &picture, &label, 12, 3, 20, 20, b.pixels, b.labels, &used, &err), ENTRAIN_OK);
    assert_true(memcmp(a.pixels, b.pixels, 20 * 20 * 3) != 0);
    augment_scratch_free(&fresh);
    augment_scratch_free(&used);
    augment_case_free(&a);
    augment_case_free(&b);
    image_free(&picture);
    image_free(&label);
    image_free(&large);
    image_free(&large_label);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pictures_are_padded_at_every_place),   cmocka_unit_test(crops_come_from_every_place),
        cmocka_unit_test(flip_mirrors_half_and_changes_nothing_else), cmocka_unit_test(other_options_do_not_shift_the_draws),
        cmocka_unit_test(samples_depend_on_seed_and_position_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
