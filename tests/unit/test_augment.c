/* Augmentation against a plain double computation (augment_reference.h), and the properties that the header and augment.c promise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "augment_reference.h"
#include "base/random.h"
#include "data/photometric.h"

static const augment_options OFF = {.scale_min = 1.0, .scale_max = 1.0, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};

static image make_image(int height, int width, int channels, uint64_t seed, uint32_t values) {
    const size_t n = (size_t)height * (size_t)width * (size_t)channels;
    image im = {.data = malloc(n), .height = height, .width = width, .channels = channels, .capacity = n};
    if (im.data == NULL) abort();
    random_stream r = random_open(seed, RANDOM_TEST, 0);
    for (size_t i = 0; i < n; i++) im.data[i] = (uint8_t)random_below(&r, values);
    return im;
}

static int between(random_stream *r, int low, int high) {
    return low + (int)random_below(r, (uint32_t)(high - low + 1));
}

/* One augmented sample with its own fresh memory. */
typedef struct output {
    int h, w;
    float *pixels;   /* (h,w,3) */
    uint8_t *labels; /* (h,w) */
} output;

static output make_output(int h, int w) {
    const size_t n = (size_t)h * (size_t)w;
    output out = {.h = h, .w = w, .pixels = malloc(n * 3 * sizeof(float)), .labels = malloc(n)};
    if (out.pixels == NULL || out.labels == NULL) abort();
    return out;
}

static void free_output(output *out) {
    free(out->pixels);
    free(out->labels);
}

static void augment(const augment_options *o, const image *picture, const image *label, uint64_t position, output *out,
                    augment_scratch *s) {
    entrain_error err;
    const size_t n = (size_t)out->h * (size_t)out->w;
    memset(out->pixels, 0xff, n * 3 * sizeof(float)); /* NaN: whatever is left unwritten shows */
    memset(out->labels, 77, n);
    assert_int_equal(augment_sample(o, picture, label, 11, position, out->h, out->w, out->pixels, out->labels, s, &err), ENTRAIN_OK);
}

static void everything_off_is_the_stored_pixels(void **state) {
    (void)state;
    image picture = make_image(37, 53, 3, 1, 256), label = make_image(37, 53, 1, 2, 20);
    output out = make_output(37, 53);
    augment_scratch scratch = {0};
    for (uint64_t position = 0; position < 3; position++) {
        augment(&OFF, &picture, &label, position, &out, &scratch);
        for (size_t i = 0; i < 37 * 53 * 3; i++) {
            const double expected = (picture.data[i] / 255.0 - OFF.mean[i % 3]) / OFF.std[i % 3];
            assert_true(fabs((double)out.pixels[i] - (double)(float)expected) <= 1e-6);
        }
        assert_memory_equal(out.labels, label.data, 37 * 53);
    }
    augment_scratch_free(&scratch);
    free_output(&out);
    image_free(&picture);
    image_free(&label);
}

static void half_scale_is_the_mean_of_two_by_two(void **state) {
    (void)state;
    augment_options o = OFF;
    o.scale_min = o.scale_max = 0.5;
    o.crop_h = 16;
    o.crop_w = 20;
    image picture = make_image(32, 40, 3, 3, 256), label = make_image(32, 40, 1, 4, 20);
    output out = make_output(16, 20);
    augment_scratch scratch = {0};
    augment(&o, &picture, &label, 0, &out, &scratch);
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 20; x++) {
            for (int c = 0; c < 3; c++) {
                const uint8_t *p = picture.data + (2 * y * 40 + 2 * x) * 3 + c;
                const double mean = (p[0] + p[3] + p[120] + p[123]) / 4.0;
                assert_true(fabs((double)out.pixels[(y * 20 + x) * 3 + c] - (mean / 255.0 - o.mean[c]) / o.std[c]) <= 1e-6);
            }
            assert_int_equal(out.labels[y * 20 + x], label.data[(2 * y + 1) * 40 + 2 * x + 1]);
        }
    }
    augment_scratch_free(&scratch);
    free_output(&out);
    image_free(&picture);
    image_free(&label);
}

/* Random options for a picture; sizes 1 and crops both smaller and larger than the picture come up. */
static augment_options random_options(random_stream *r, const image *picture, output *out) {
    augment_options o = OFF;
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
    *out = make_output(crop ? o.crop_h : picture->height, crop ? o.crop_w : picture->width);
    return o;
}

static void agrees_with_the_plain_computation(void **state) {
    (void)state;
    random_stream r = random_open(5, RANDOM_TEST, 1);
    augment_scratch scratch = {0};
    for (uint64_t round = 0; round < 400; round++) {
        const int h = between(&r, 1, 50), w = between(&r, 1, 50);
        image picture = make_image(h, w, 3, round, 256), label = make_image(h, w, 1, round + 1000, 256);
        output out;
        const augment_options o = random_options(&r, &picture, &out);
        const size_t n = (size_t)out.h * (size_t)out.w;
        double *pixels = malloc(n * 3 * sizeof *pixels);
        uint8_t *labels = malloc(n);
        assert_true(pixels != NULL && labels != NULL);
        augment(&o, &picture, &label, round, &out, &scratch);
        const reference_draws d = reference_draw(&o, 11, round);
        reference_augment(&o, &picture, &label, &d, out.h, out.w, pixels, labels);
        assert_memory_equal(out.labels, labels, n);
        for (size_t i = 0; i < n * 3; i++) assert_true(fabs((double)out.pixels[i] - pixels[i]) < (o.photometric ? 2e-5 : 2e-6));
        free(pixels);
        free(labels);
        free_output(&out);
        image_free(&picture);
        image_free(&label);
    }
    augment_scratch_free(&scratch);
}

/* A picture of 10x14 in a crop of 13x21: 4*8 places, each as likely as any other; everything around it is the mean and ignored. */
static void small_pictures_are_padded_at_every_place(void **state) {
    (void)state;
    enum { ROUNDS = 3200, PLACES = 32 };
    augment_options o = OFF;
    o.crop_h = 13;
    o.crop_w = 21;
    o.photometric = true;
    image picture = make_image(10, 14, 3, 6, 256), label = make_image(10, 14, 1, 7, 20);
    output out = make_output(13, 21);
    augment_scratch scratch = {0};
    int counts[PLACES] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment(&o, &picture, &label, round, &out, &scratch);
        int first = 0, ignored = 0;
        while (out.labels[first] == 255) first++;
        for (int i = 0; i < 13 * 21; i++) {
            if (out.labels[i] != 255) continue;
            ignored++;
            for (int c = 0; c < 3; c++) assert_true(out.pixels[3 * i + c] == 0.0f);
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
    free_output(&out);
    image_free(&picture);
    image_free(&label);
}

/* A crop of 5x7 in 12x14: 8*8 places. Labels name their own row and column. */
static void crops_come_from_every_place(void **state) {
    (void)state;
    enum { ROUNDS = 6400, PLACES = 64 };
    augment_options o = OFF;
    o.crop_h = 5;
    o.crop_w = 7;
    image picture = make_image(12, 14, 3, 8, 256), label = make_image(12, 14, 1, 9, 2);
    for (int i = 0; i < 12 * 14; i++) label.data[i] = (uint8_t)i;
    output out = make_output(5, 7);
    augment_scratch scratch = {0};
    int counts[PLACES] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment(&o, &picture, &label, round, &out, &scratch);
        const int top = out.labels[0] / 14, left = out.labels[0] % 14;
        assert_true(top <= 7 && left <= 7);
        assert_int_equal(out.labels[5 * 7 - 1], (top + 4) * 14 + left + 6);
        counts[top * 8 + left]++;
    }
    double chi = 0.0;
    for (int i = 0; i < PLACES; i++) chi += pow(counts[i] - (double)ROUNDS / PLACES, 2.0) * PLACES / ROUNDS;
    assert_true(chi < PLACES - 1 + 5.0 * sqrt(2.0 * (PLACES - 1)));
    augment_scratch_free(&scratch);
    free_output(&out);
    image_free(&picture);
    image_free(&label);
}

static bool is_mirror(const output *a, const output *b) {
    for (int y = 0; y < a->h; y++) {
        for (int x = 0; x < a->w; x++) {
            const int i = y * a->w + x, j = y * a->w + a->w - 1 - x;
            if (a->labels[i] != b->labels[j] || memcmp(a->pixels + 3 * i, b->pixels + 3 * j, 3 * sizeof(float)) != 0) return false;
        }
    }
    return true;
}

/* Switching flip on changes nothing but to mirror about half of the samples: place, scale and colours are drawn as before. */
static void flip_mirrors_half_and_changes_nothing_else(void **state) {
    (void)state;
    enum { ROUNDS = 1000 };
    augment_options o = OFF;
    o.crop_h = 24;
    o.crop_w = 30;
    o.scale_min = 0.5;
    o.scale_max = 1.5;
    o.photometric = true;
    augment_options flipping = o;
    flipping.flip = true;
    image picture = make_image(25, 31, 3, 10, 256), label = make_image(25, 31, 1, 11, 20);
    output a = make_output(24, 30), b = make_output(24, 30);
    augment_scratch scratch = {0};
    int flipped = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        augment(&o, &picture, &label, round, &a, &scratch);
        augment(&flipping, &picture, &label, round, &b, &scratch);
        if (memcmp(a.labels, b.labels, 24 * 30) == 0) {
            assert_memory_equal(a.pixels, b.pixels, 24 * 30 * 3 * sizeof(float));
            continue;
        }
        assert_true(is_mirror(&a, &b));
        flipped++;
    }
    assert_true(abs(flipped - ROUNDS / 2) < 5.0 * sqrt(ROUNDS / 4.0));
    augment_scratch_free(&scratch);
    free_output(&a);
    free_output(&b);
    image_free(&picture);
    image_free(&label);
}

/* Colours do not move the place, and a scale that is fixed does not change which samples are flipped or how they are coloured. */
static void other_options_do_not_shift_the_draws(void **state) {
    (void)state;
    augment_options o = OFF;
    o.crop_h = 24;
    o.crop_w = 30;
    o.scale_min = 0.5;
    o.scale_max = 1.5;
    o.flip = true;
    augment_options colours = o;
    colours.photometric = true;
    image picture = make_image(25, 31, 3, 12, 256), label = make_image(25, 31, 1, 13, 20);
    output a = make_output(24, 30), b = make_output(24, 30);
    augment_scratch scratch = {0};
    int changed = 0;
    for (uint64_t round = 0; round < 200; round++) {
        augment(&o, &picture, &label, round, &a, &scratch);
        augment(&colours, &picture, &label, round, &b, &scratch);
        assert_memory_equal(a.labels, b.labels, 24 * 30);
        changed += memcmp(a.pixels, b.pixels, 24 * 30 * 3 * sizeof(float)) != 0;
    }
    assert_true(changed > 170 && changed < 200); /* 1 in 16 draws no change at all */

    /* One even colour shows the distortion alone: the crop, the scale and the flip must not change it. */
    augment_options still = OFF;
    still.photometric = true;
    for (int i = 0; i < 25 * 31; i++) memcpy(picture.data + 3 * i, (uint8_t[3]){200, 120, 40}, 3);
    output whole = make_output(25, 31);
    for (uint64_t round = 0; round < 200; round++) {
        augment(&colours, &picture, &label, round, &a, &scratch);
        augment(&still, &picture, &label, round, &whole, &scratch);
        int inside = 0;
        while (a.labels[inside] == 255) inside++;
        for (int c = 0; c < 3; c++) assert_true(fabsf(a.pixels[3 * inside + c] - whole.pixels[c]) < 1e-5f);
    }
    augment_scratch_free(&scratch);
    free_output(&a);
    free_output(&b);
    free_output(&whole);
    image_free(&picture);
    image_free(&label);
}

static void samples_depend_on_seed_and_position_alone(void **state) {
    (void)state;
    augment_options o = OFF;
    o.crop_h = o.crop_w = 20;
    o.scale_min = 0.5;
    o.scale_max = 2.0;
    o.flip = o.photometric = true;
    image picture = make_image(30, 40, 3, 14, 256), label = make_image(30, 40, 1, 15, 20);
    image large = make_image(90, 200, 3, 16, 256), large_label = make_image(90, 200, 1, 17, 20);
    output a = make_output(20, 20), b = make_output(20, 20);
    augment_scratch fresh = {0}, used = {0};
    augment(&o, &large, &large_label, 4, &b, &used);
    augment(&o, &picture, &label, 3, &a, &fresh);
    augment(&o, &picture, &label, 3, &b, &used);
    assert_memory_equal(a.pixels, b.pixels, 20 * 20 * 3 * sizeof(float));
    assert_memory_equal(a.labels, b.labels, 20 * 20);
    augment(&o, &picture, &label, 5, &b, &used);
    assert_true(memcmp(a.pixels, b.pixels, 20 * 20 * 3 * sizeof(float)) != 0);
    entrain_error err;
    assert_int_equal(augment_sample(&o, &picture, &label, 12, 3, 20, 20, b.pixels, b.labels, &used, &err), ENTRAIN_OK);
    assert_true(memcmp(a.pixels, b.pixels, 20 * 20 * 3 * sizeof(float)) != 0);
    augment_scratch_free(&fresh);
    augment_scratch_free(&used);
    free_output(&a);
    free_output(&b);
    image_free(&picture);
    image_free(&label);
    image_free(&large);
    image_free(&large_label);
}

/* Widths beyond one block of columns, smaller and larger sizes, and the picture's own. */
static void plain_is_resize_and_normalise(void **state) {
    (void)state;
    static const int sizes[][2] = {{40, 300}, {20, 150}, {1, 1}, {57, 700}, {40, 256}, {13, 257}};
    image picture = make_image(40, 300, 3, 18, 256);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const int h = sizes[k][0], w = sizes[k][1];
        const size_t n = (size_t)h * (size_t)w;
        double *resized = malloc(n * 3 * sizeof *resized);
        assert_non_null(resized);
        output a = make_output(h, w), b = make_output(h, w);
        memset(a.pixels, 0xff, n * 3 * sizeof(float));
        memset(b.pixels, 0xff, n * 3 * sizeof(float));
        memset(a.labels, 0, n);
        memset(b.labels, 0, n);
        reference_resize(&picture, h, w, resized);
        augment_plain(&OFF, &picture, h, w, false, a.pixels);
        augment_plain(&OFF, &picture, h, w, true, b.pixels);
        for (size_t i = 0; i < n * 3; i++)
            assert_true(fabs((double)a.pixels[i] - (resized[i] / 255.0 - OFF.mean[i % 3]) / OFF.std[i % 3]) < 2e-6);
        assert_true(is_mirror(&a, &b));
        free(resized);
        free_output(&a);
        free_output(&b);
    }
    image_free(&picture);
}

/* Each of the four changes comes in half of the samples, and its amount fills its range evenly. */
static void distortions_have_their_frequencies(void **state) {
    (void)state;
    enum { N = 4000 };
    static const double neutral[4] = {0.0, 1.0, 1.0, 0.0}, low[4] = {-32.0, 0.5, 0.5, -18.0}, high[4] = {32.0, 1.5, 1.5, 18.0};
    int changed[4] = {0}, first = 0;
    double sum[4] = {0};
    for (uint64_t i = 0; i < N; i++) {
        random_stream r = random_open(20, RANDOM_AUGMENT, i);
        const photometric p = photometric_draw(&r);
        const double values[4] = {(double)p.brightness, (double)p.contrast, (double)p.saturation, (double)p.hue};
        first += p.contrast_first;
        for (int k = 0; k < 4; k++) {
            assert_true(values[k] >= low[k] && values[k] <= high[k]);
            changed[k] += fabs(values[k] - neutral[k]) > 0.0;
            sum[k] += (values[k] - neutral[k]) / (high[k] - low[k]);
        }
        random_stream after = random_open(20, RANDOM_AUGMENT, i);
        for (int k = 0; k < 9; k++) (void)random_uniform(&after);
        assert_int_equal(random_u32(&r), random_u32(&after)); /* always nine draws */
    }
    for (int k = 0; k < 4; k++) {
        assert_true(abs(changed[k] - N / 2) < 5.0 * sqrt(N / 4.0));
        assert_true(fabs(sum[k]) < 5.0 * sqrt(N / 24.0));
    }
    assert_true(abs(first - N / 2) < 5.0 * sqrt(N / 4.0));
}

static void assert_distorted(photometric p, const float in[3], const double expected[3]) {
    float rgb[3] = {in[0], in[1], in[2]};
    photometric_row(&p, rgb, 1);
    for (int c = 0; c < 3; c++) assert_true(fabs((double)rgb[c] - expected[c]) < 1e-3);
}

/* Worked by hand. */
static void distortions_of_known_colours(void **state) {
    (void)state;
    const photometric none = {.contrast = 1.0f, .saturation = 1.0f};
    photometric p = none;
    assert_distorted(p, (float[]){10, 20, 30}, (double[]){10, 20, 30});
    p.brightness = 32;
    assert_distorted(p, (float[]){10, 240, 30}, (double[]){42, 255, 62});
    p.brightness = -32;
    assert_distorted(p, (float[]){10, 240, 32}, (double[]){0, 208, 0});
    p = none;
    p.contrast = 1.5f;
    assert_distorted(p, (float[]){10, 200, 30}, (double[]){15, 255, 45});
    p = none;
    p.saturation = 0.5f;
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){200, 150, 100});
    p.saturation = 1.5f;
    assert_distorted(p, (float[]){200, 150, 100}, (double[]){200, 125, 50});
    assert_distorted(p, (float[]){200, 20, 0}, (double[]){200, 20, 0}); /* as saturated as can be */
    assert_distorted(p, (float[]){90, 90, 90}, (double[]){90, 90, 90});
    p = none;
    p.hue = 18;
    assert_distorted(p, (float[]){200, 0, 0}, (double[]){200, 60, 0});
    assert_distorted(p, (float[]){0, 200, 0}, (double[]){0, 200, 60});
    assert_distorted(p, (float[]){0, 0, 200}, (double[]){60, 0, 200});
    assert_distorted(p, (float[]){0, 0, 0}, (double[]){0, 0, 0});
    p.hue = -18;
    assert_distorted(p, (float[]){200, 0, 0}, (double[]){200, 0, 60});
    p = (photometric){.contrast = 1.5f, .saturation = 0.5f, .contrast_first = true};
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){255, 202.5, 127.5});
    p.contrast_first = false;
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){255, 225, 150});
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    image picture = make_image(10, 12, 3, 30, 256), label = make_image(10, 11, 1, 31, 20), right = make_image(10, 12, 1, 32, 20);
    output out = make_output(10, 13);
    augment_scratch scratch = {0};
    entrain_error err = {0};
    augment_options o = OFF;
    assert_int_equal(augment_sample(&o, &picture, &right, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "data.crop"));
    assert_non_null(strstr(err.text, "10x12"));
    o.crop_h = 10;
    o.crop_w = 13;
    assert_int_equal(augment_sample(&o, &picture, &label, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "10x11"));
    assert_int_equal(augment_sample(&o, &picture, &right, 1, 0, 10, 13, out.pixels, out.labels, &scratch, &err), ENTRAIN_OK);
    augment_scratch_free(&scratch);
    free_output(&out);
    image_free(&picture);
    image_free(&label);
    image_free(&right);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_off_is_the_stored_pixels),  cmocka_unit_test(half_scale_is_the_mean_of_two_by_two),
        cmocka_unit_test(agrees_with_the_plain_computation),    cmocka_unit_test(small_pictures_are_padded_at_every_place),
        cmocka_unit_test(crops_come_from_every_place),          cmocka_unit_test(flip_mirrors_half_and_changes_nothing_else),
        cmocka_unit_test(other_options_do_not_shift_the_draws), cmocka_unit_test(samples_depend_on_seed_and_position_alone),
        cmocka_unit_test(plain_is_resize_and_normalise),        cmocka_unit_test(distortions_have_their_frequencies),
        cmocka_unit_test(distortions_of_known_colours),         cmocka_unit_test(wrong_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
