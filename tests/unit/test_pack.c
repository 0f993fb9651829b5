/* Packing: pictures as they are, mapped labels, options, one set a folder. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "check.h"
#include "pack_case.h"

/* Pictures byte for byte, labels mapped, names and ids in order. */
static void camvid_is_stored_as_it_is(void **state) {
    (void)state;
    make_camvid(5);
    assert_ok(pack_camvid(0));
    assert_int_equal(files_in(in_folder("out")), 2);
    shard_set *s = NULL;
    assert_ok(shard_open(in_folder("out"), &s, &err));
    const shard_info *info = shard_get_info(s);
    assert_int_equal(info->classes, 11);
    assert_string_equal(info->names[0], "sky");
    assert_string_equal(info->names[10], "bicyclist");
    assert_int_equal(info->export_ids[255], 11);
    for (int c = 0; c < 11; c++) assert_int_equal(info->export_ids[c], c);
    assert_string_equal(info->dataset, "camvid");
    assert_string_equal(info->split, "train");
    assert_int_equal(shard_count(s), 5);

    image_decoder *d = image_decoder_open();
    shard_sample got = {0};
    image label = {0};
    for (int i = 0; i < 5; i++) {
        char name[64];
        uint8_t *bytes = NULL;
        size_t size = 0;
        assert_ok(shard_read(s, i, &got, &err));
        (void)snprintf(name, sizeof name, "0001TP_%d", i);
        assert_string_equal(got.id, name);
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        assert_ok(file_read(in_folder(name), &bytes, &size, &err));
        assert_int_equal(got.image_size, size);
        assert_memory_equal(got.image, bytes, size);
        free(bytes);
        assert_ok(image_decode_label(d, got.label, got.label_size, "label", &label, &err));
        for (int k = 0; k < HEIGHT * WIDTH; k++) assert_int_equal(label.data[k], (i + k) % 12 == 11 ? 255 : (i + k) % 12);
        assert_int_equal(got.height, HEIGHT);
        assert_int_equal(got.width, WIDTH);
    }
    image_free(&label);
    image_decoder_close(d);
    shard_sample_free(&got);
    shard_close(s);
    assert_ok(pack_verify(in_folder("out"), 0, self, &err));
}

static void wrong_options(void **state) {
    (void)state;
    assert_int_equal(pack("imagenet", NULL, "train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "imagenet"));
    assert_non_null(strstr(err.text, "camvid"));
    assert_int_equal(pack("synthetic", NULL, "trian", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "trian"));
    assert_int_equal(pack("synthetic", NULL, "../train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_int_equal(pack("synthetic", NULL, "train", in_folder("out"), 6), ENTRAIN_USAGE); /* of 5 samples */
    assert_int_equal(pack("synthetic", NULL, "train", in_folder("out"), -1), ENTRAIN_USAGE);
    assert_int_equal(pack("synthetic", NULL, "train", "", 0), ENTRAIN_USAGE);
    pack_options o = {.dataset = "camvid", .root = in_folder("x"), .split = "train", .out = in_folder("out"), .jpeg_quality = 101};
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    o.jpeg_quality = 0;
    o.max_side = -1;
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    o.max_side = 0;
    o.threads = -1;
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    o = (pack_options){.dataset = "synthetic", .split = "train", .out = in_folder("out"), .max_side = 20};
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "--max-side does not apply"));
    o = (pack_options){.dataset = "camvid", .root = in_folder("x"), .split = "train", .out = in_folder("out"), .images = 3};
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "pack camvid: --images does not apply"));
    o.images = 0;
    o.classes = "table.json";
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "--classes does not apply"));
    o = (pack_options){.dataset = "synthetic", .split = "train", .out = in_folder("out"), .png = true};
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "--codec does not apply"));
    assert_int_equal(pack("synthetic", NULL, "tr\tain", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "--split must be a plain name"));
    assert_int_equal(files_in(folder), 0);
    for (int row = 0; pack_name(row) != NULL; row++) assert_non_null(pack_help(row));
}

/* A folder keeps to one set: the same may be packed again, another not. */
static void one_set_a_folder(void **state) {
    (void)state;
    assert_ok(pack("synthetic", NULL, "val", in_folder("out"), 2));
    assert_ok(pack("synthetic", NULL, "val", in_folder("out"), 2));
    assert_int_equal(pack("synthetic", NULL, "val", in_folder("out"), 3), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "of-00002.h5"));
    assert_int_equal(pack("synthetic", NULL, "train", in_folder("out"), 2), ENTRAIN_DATA);
    assert_int_equal(files_in(in_folder("out")), 2);
    assert_ok(pack_verify(in_folder("out"), 0, self, &err));
}

/* Two runs at once would take each other's files away: the second one leaves everything as it is. */
static void one_run_a_folder(void **state) {
    (void)state;
    const char *splits[] = {"val", "train"};
    assert_ok(file_make_folder(in_folder("out"), &err));
    const int other = open(in_folder("out"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pack("synthetic", NULL, splits[i], in_folder("out"), 2), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "another `entrain pack` is writing here. Wait for it, or choose another --out."));
        assert_int_equal(files_in(in_folder("out")), 0); /* there, and empty */
    }
    (void)close(other);
    assert_ok(pack("synthetic", NULL, "val", in_folder("out"), 2));
    assert_ok(pack("synthetic", NULL, "val", in_folder("out"), 2)); /* the lock is given back */
}

static void out_that_is_a_file(void **state) {
    (void)state;
    assert_ok(file_write(in_folder("out"), "x", 1, &err));
    assert_int_equal(pack("synthetic", NULL, "val", in_folder("out"), 2), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "/out"));
}

static void the_real_camvid(void **state) {
    (void)state;
    char root[CASE_PATH];
    const char *data = getenv("ENTRAIN_DATA"), *source = getenv("ENTRAIN_SOURCE");
    if (data != NULL)
        (void)snprintf(root, sizeof root, "%s/camvid", data);
    else
        (void)snprintf(root, sizeof root, "%s/../shared/data/camvid", source != NULL ? source : ".");
    if (access(root, R_OK) != 0) {
        print_message("no CamVid at %s: skipped (set ENTRAIN_DATA)\n", root);
        skip();
    }
    assert_ok(pack("camvid", root, "val", in_folder("out"), 0));
    assert_ok(pack_verify(in_folder("out"), 0, self, &err));
    shard_set *s = NULL;
    assert_ok(shard_open(in_folder("out"), &s, &err));
    assert_int_equal(shard_count(s), 101);
    shard_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(camvid_is_stored_as_it_is, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(wrong_options, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(one_set_a_folder, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(one_run_a_folder, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(out_that_is_a_file, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(the_real_camvid, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
