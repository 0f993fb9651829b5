/* The loader decodes no more than it needs, and delivers what decoding everything would: to the bit, but where a JPEG is decoded smaller.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "augment_reference.h"
#include "check.h"
#include "data/augment_internal.h"
#include "jpeg_maker.h"
#include "loader_case.h"

static small_shards set_of_jpeg; /* written once */
static entrain_error err;

enum { SIDE_H = 48, SIDE_W = 40 };

static loader_options jpeg_options(double scale_min, double scale_max) {
    loader_options o = LOADER_CASE;
    o.augment.crop_h = o.height = SIDE_H;
    o.augment.crop_w = o.width = SIDE_W;
    o.augment.scale_min = scale_min;
    o.augment.scale_max = scale_max;
    return o;
}

/* Call with each sample of a run: its batch's pixels and labels, and image and label map decoded whole. */
typedef void compare(const loader_options *o, uint64_t position, const image *picture, const image *label, const uint8_t *pixels,
                     const uint8_t *labels);

static void run(const loader_options *o, compare *with) {
    shard_set *set = loader_case_set(&set_of_jpeg), *again = loader_case_set(&set_of_jpeg);
    loader *l = loader_case_open(set, o);
    image_decoder *d = image_decoder_open();
    image picture = {0}, label = {0};
    shard_sample sample = {0};
    for (int step = 0; step < STEPS; step++) {
        const batch *b = loader_case_next(l);
        for (int i = 0; i < b->n; i++) {
            assert_ok(shard_read(again, b->samples[i], &sample, &err));
            assert_ok(image_decode_rgb(d, sample.image, sample.image_size, "image", &picture, &err));
            assert_ok(image_decode_label(d, sample.label, sample.label_size, "label", &label, &err));
            const size_t area = (size_t)o->height * (size_t)o->width;
            with(o, b->first_position + (uint64_t)i, &picture, &label, b->images + (size_t)i * area * 3, b->labels + (size_t)i * area);
        }
        loader_release(l, b);
    }
    image_free(&picture);
    image_free(&label);
    shard_sample_free(&sample);
    image_decoder_close(d);
    loader_close(l);
    shard_close(set);
    shard_close(again);
}

static void equal(const loader_options *o, uint64_t position, const image *picture, const image *label, const uint8_t *pixels,
                  const uint8_t *labels) {
    uint8_t expected[SIDE_H * SIDE_W * 3], classes[SIDE_H * SIDE_W];
    augment_scratch scratch = {0};
    assert_ok(augment_sample(&o->augment, picture, label, o->seed, position, o->height, o->width, expected, classes, &scratch, &err));
    assert_memory_equal(pixels, expected, sizeof expected);
    assert_memory_equal(labels, classes, sizeof classes);
    augment_scratch_free(&scratch);
}

static void jpeg_parts_give_the_same_samples(void **state) {
    (void)state;
    for (int workers = 1; workers <= 4; workers *= 2) {
        loader_options o = jpeg_options(0.51, 2.0); /* sizes from 77 on: never decoded smaller */
        o.workers = workers;
        run(&o, equal);
        o.augment.cat_max_ratio = 0.215; /* random labels of 5 classes: places are drawn again */
        run(&o, equal);
    }
}

/* Against the whole image scaled down by the mean of what each of its pixels covers, which is what a smaller decode approximates. */
static void near(const loader_options *o, uint64_t position, const image *picture, const image *label, const uint8_t *pixels,
                 const uint8_t *labels) {
    static double expected[SIDE_H * SIDE_W * 3];
    static uint8_t classes[SIDE_H * SIDE_W];
    const reference_draws d = reference_draw(&o->augment, o->seed, position);
    reference_augment(&o->augment, picture, label, &d, SIDE_H, SIDE_W, expected, classes);
    assert_memory_equal(labels, classes, sizeof classes);
    double total = 0.0;
    for (int i = 0; i < SIDE_H * SIDE_W * 3; i++) total += fabs(pixels[i] - expected[i]);
    assert_true(total / (SIDE_H * SIDE_W * 3) < 4.0);
}

static void smaller_jpegs_are_near(void **state) {
    (void)state;
    loader_options o = jpeg_options(0.2, 0.5);
    o.augment.photometric = false;
    run(&o, near);
}

/* A ramp is a ramp at any size, in the same place: sides that 8 does not divide shift nothing. */
static void a_ramp_stays_in_place(void **state) {
    (void)state;
    enum { LONG = 121, SHORT = 12 };
    image ramp = jpeg_picture(LONG, LONG, 3, 0), small = {0}, label = jpeg_picture(LONG, LONG, 1, 0);
    for (int i = 0; i < LONG * LONG * 3; i++) ramp.data[i] = (uint8_t)(2 * (i / 3 % LONG));
    uint8_t *bytes = NULL;
    image_source from = {.name = "ramp", .height = LONG, .width = LONG};
    jpeg_make(&ramp, &(jpeg_kind){3, 1, 1, false, 0}, &bytes, &from.size);
    from.bytes = bytes;
    augment_options o = LOADER_CASE.augment;
    o.scale_min = o.scale_max = (double)SHORT / LONG;
    o.flip = o.photometric = false;
    augment_plan plan;
    augment_draw(&o, 1, 0, LONG, LONG, SHORT, SHORT, true, &plan);
    assert_int_equal(plan.picture.reduce, 8);
    augment_input in = {.picture = &small, .label = &label, .label_part = {1, 0, 0, LONG, LONG}};
    image_decoder *d = image_decoder_open();
    assert_ok(image_decode_part(d, &from, false, &plan.picture, &small, &in.picture_part, &err));
    uint8_t pixels[SHORT * SHORT * 3], labels[SHORT * SHORT];
    augment_scratch scratch = {0};
    assert_ok(augment_render(&o, &plan, &in, pixels, labels, &scratch, &err));
    for (int i = 0; i < SHORT * SHORT * 3; i++) {
        const double expected = 2 * ((i / 3 % SHORT + 0.5) * LONG / SHORT - 0.5);
        if (i / 3 % SHORT < SHORT - 1) assert_true(fabs(pixels[i] - expected) < 3.0); /* at the end its last block is not all ramp */
    }
    augment_scratch_free(&scratch);
    image_decoder_close(d);
    free(bytes);
    image_free(&ramp);
    image_free(&small);
    image_free(&label);
}

static int set_up(void **state) {
    (void)state;
    set_of_jpeg = small_shards_sound(SAMPLES);
    set_of_jpeg.jpeg = true;
    small_shards_write(&set_of_jpeg);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    small_shards_remove(&set_of_jpeg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(jpeg_parts_give_the_same_samples), cmocka_unit_test(smaller_jpegs_are_near),
                                       cmocka_unit_test(a_ramp_stays_in_place)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
