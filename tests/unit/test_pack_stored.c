/* What is stored of a sample: sizes, codecs, the source's size; the same files whatever the number of threads. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "data/image_internal.h"
#include "data/pack_internal.h"
#include "pack_case.h"

static void target_sizes(void **state) {
    (void)state;
    static const struct {
        int max_side, short_side, in[2], out[2];
    } cases[] = {
        {0, 0, {300, 400}, {300, 400}},   {200, 0, {300, 400}, {150, 200}},
        {0, 150, {300, 400}, {150, 200}}, {400, 0, {300, 400}, {300, 400}},
        {0, 512, {300, 400}, {300, 400}}, {100, 150, {300, 400}, {75, 100}},
        {300, 60, {300, 400}, {60, 80}},  {333, 0, {1000, 999}, {333, 333}},
        {10, 0, {1, 1000}, {1, 10}},      {0, 341, {683, 1024}, {341, 511}},
        {0, 1, {7, 3}, {2, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const pack_options o = {.max_side = cases[i].max_side, .short_side = cases[i].short_side};
        int height = cases[i].in[0], width = cases[i].in[1];
        pack_target_size(&o, &height, &width);
        if (height != cases[i].out[0] || width != cases[i].out[1]) fail_msg("case %zu: %d x %d", i, height, width);
    }
}

/* The first sample of what these options make of the small CamVid. */
static void pack_with(pack_options o, shard_sample *out) {
    shard_set *s = NULL;
    o.dataset = "camvid";
    o.root = in_folder("source");
    o.split = "train";
    o.out = in_folder("out");
    assert_ok(pack_run(&o, self, &err));
    assert_ok(pack_verify(in_folder("out"), 2, self, &err));
    assert_ok(shard_open(in_folder("out"), &s, &err));
    assert_ok(shard_read(s, 0, out, &err));
    shard_close(s);
}

static void codecs(void **state) {
    (void)state;
    shard_sample s = {0};
    uint8_t *source = NULL;
    size_t size = 0;
    make_camvid(2);
    assert_ok(file_read(in_folder("source/train/0001TP_0.png"), &source, &size, &err));
    pack_with((pack_options){.png = true}, &s); /* PNG already */
    assert_int_equal(s.image_size, size);
    assert_memory_equal(s.image, source, size);
    pack_with((pack_options){.jpeg_quality = 90}, &s);
    assert_true(image_is_jpeg(s.image, s.image_size));
    assert_int_equal(s.height, HEIGHT);
    pack_with((pack_options){.max_side = 9}, &s);
    assert_true(image_is_png(s.image, s.image_size));
    assert_int_equal(s.height, 6);
    assert_int_equal(s.width, 9);
    assert_int_equal(s.source_height, HEIGHT);
    assert_int_equal(s.source_width, WIDTH);
    pack_with((pack_options){.short_side = 6, .jpeg_quality = 50}, &s);
    assert_true(image_is_jpeg(s.image, s.image_size));
    /* JPEG sources, though named .png: told by their bytes. */
    assert_ok(file_write(in_folder("source/train/0001TP_0.png"), s.image, s.image_size, &err));
    put_image(in_folder("source/trainannot/0001TP_0.png"), 6, 9, 1, 0);
    pack_with((pack_options){.max_side = 8}, &s);
    assert_true(image_is_jpeg(s.image, s.image_size));
    assert_int_equal(s.height, 5); /* 6 * 8 / 9 = 5.33 */
    pack_with((pack_options){.max_side = 8, .png = true}, &s);
    assert_true(image_is_png(s.image, s.image_size));
    free(source);
    shard_sample_free(&s);
}

/* A resized label map has the values of the pixels under its pixels' centres. */
static void labels_are_not_mixed(void **state) {
    (void)state;
    shard_sample s = {0};
    image label = {0};
    make_camvid(2);
    pack_with((pack_options){.short_side = 4}, &s); /* a third: the middle of three */
    image_decoder *d = image_decoder_open();
    assert_ok(image_decode_label(d, s.label, s.label_size, "label", &label, &err));
    assert_int_equal(label.height, 4);
    assert_int_equal(label.width, 6);
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 6; x++) {
            const int value = ((3 * y + 1) * WIDTH + 3 * x + 1) % 12;
            assert_int_equal(label.data[6 * y + x], value == 11 ? 255 : value);
        }
    }
    image_free(&label);
    image_decoder_close(d);
    shard_sample_free(&s);
}

static void as_many_threads_as_you_like(void **state) {
    (void)state;
    make_camvid(23);
    char name[16];
    for (int threads = 1; threads <= 5; threads += 2) {
        (void)snprintf(name, sizeof name, "out%d", threads);
        const pack_options o = {.dataset = "camvid",
                                .root = in_folder("source"),
                                .split = "train",
                                .out = in_folder(name),
                                .shards = 4,
                                .max_side = 12,
                                .jpeg_quality = 80,
                                .threads = threads};
        assert_ok(pack_run(&o, self, &err));
        assert_int_equal(files_in(in_folder(name)), 4);
        assert_same_folder(in_folder("out1"), in_folder(name));
        assert_ok(pack_verify(in_folder(name), threads, self, &err));
    }
}

/* Faults come in the order of the samples, whichever thread meets them first. */
static void faults_keep_their_order(void **state) {
    (void)state;
    static char first[ENTRAIN_ERROR_TEXT];
    make_camvid(9);
    for (int i = 1; i < 9; i += 2) {
        char name[64];
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        assert_ok(file_write(in_folder(name), "no picture", 10, &err));
    }
    for (int threads = 1; threads <= 4; threads++) {
        const pack_options o = {
            .dataset = "camvid", .root = in_folder("source"), .split = "train", .out = in_folder("out"), .threads = threads};
        assert_int_equal(pack_run(&o, self, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "4 faults"));
        if (threads == 1) memcpy(first, err.text, sizeof first);
        assert_string_equal(err.text, first);
        assert_int_equal(access(in_folder("out"), F_OK), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(target_sizes),
        cmocka_unit_test_setup_teardown(codecs, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(labels_are_not_mixed, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(as_many_threads_as_you_like, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(faults_keep_their_order, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
