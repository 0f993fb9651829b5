/* What predict writes: overlays and label maps pixel by pixel, and the file of logits value by value. */
#include <hdf5.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/hdf5_file.h"
#include "small_store.h"
#include "train/logits.h"
#include "train/output_names.h"
#include "train/pictures.h"

static char folder[STORE_PATH], path[STORE_PATH + 64];
static entrain_error err;
static shard_info info = {.classes = 2, .names = {"road", "sky"}, .colors = {{200, 100, 0}, {0, 50, 255}}};

static int make(void **state) {
    (void)state;
    store_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/out", folder);
    info.export_ids[0] = 7;
    info.export_ids[1] = 21;
    info.export_ids[255] = 11;
    return 0;
}

static int clear(void **state) {
    (void)state;
    store_folder_remove(folder);
    return 0;
}

/* ---- pictures ---- */

/* 0 0 1
 * 0 0 255 : the first row's second pixel has another class at its right, its third and the second row's second have one too. */
static const uint8_t labels[6] = {0, 0, 1, 0, 0, 255};

static void test_overlay(void **state) {
    (void)state;
    uint8_t pixels[18];
    memset(pixels, 100, sizeof pixels);
    image im = {.data = pixels, .height = 2, .width = 3, .channels = 3};
    picture_overlay(&im, labels, &info);
    static const uint8_t half[3] = {150, 100, 50}, line[3] = {100, 50, 0}, sky_line[3] = {0, 25, 127}, as_it_was[3] = {100, 100, 100};
    assert_memory_equal(pixels + 0, half, 3);
    assert_memory_equal(pixels + 3, line, 3);
    assert_memory_equal(pixels + 6, sky_line, 3);
    assert_memory_equal(pixels + 9, half, 3);
    assert_memory_equal(pixels + 12, line, 3);
    assert_memory_equal(pixels + 15, as_it_was, 3);
}

static void test_label_map(void **state) {
    (void)state;
    assert_int_equal(picture_write_labels(path, labels, 2, 3, &info, &err), ENTRAIN_OK);
    uint8_t *bytes = NULL;
    size_t size = 0;
    image back = {0};
    image_decoder *d = image_decoder_open();
    assert_int_equal(file_read(path, &bytes, &size, &err), ENTRAIN_OK);
    assert_int_equal(image_decode_label(d, bytes, size, "out", &back, &err), ENTRAIN_OK);
    assert_int_equal(back.height, 2);
    assert_int_equal(back.width, 3);
    static const uint8_t ids[6] = {7, 7, 21, 7, 7, 11};
    assert_memory_equal(back.data, ids, 6);
    image_decoder_close(d);
    image_free(&back);
    free(bytes);
    assert_int_equal(picture_write_labels("no/such/folder/a.png", labels, 2, 3, &info, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "no/such/folder/a.png"));
}

/* ---- names ---- */

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *file, *name;
    } rows[] = {{"a/street.png", "street"},
                {"b/street.jpg", "street-2"},
                {"street-2.png", "street-2-2"},
                {"x/.hidden", ".hidden"},
                {"...", "image"},
                {"folder/", "image-2"},
                {"no_ending", "no_ending"},
                {"two.dots.png", "two.dots"},
                {"street_overlay.png", "street_overlay-2"}, /* street's own overlay */
                {"sky_overlay.png", "sky_overlay"},
                {"sky.png", "sky-2"}};
    output_names names = {0};
    char stem[OUTPUT_NAME], name[OUTPUT_NAME], longest[2 * OUTPUT_NAME];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        output_stem(rows[i].file, stem);
        assert_int_equal(output_names_give(&names, stem, name, &err), ENTRAIN_OK);
        assert_string_equal(name, rows[i].name);
    }
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        output_stem(longest, stem);
        assert_int_equal(output_names_give(&names, stem, name, &err), ENTRAIN_OK);
        assert_true(strlen(name) + strlen("_overlay.png") < OUTPUT_NAME);
    }
    output_names_free(&names);
    bool failed = false;
    assert_true(output_names_take(&names, "a", &failed) && !output_names_take(&names, "a", &failed) && !failed);
    output_names_free(&names);
    char *folder_name = calloc(1, 2 * OUTPUT_PATH), whole[OUTPUT_PATH];
    assert_non_null(folder_name);
    memset(folder_name, 'f', OUTPUT_PATH);
    assert_int_equal(output_path(folder_name, "a", ".png", whole, &err), ENTRAIN_USAGE);
    assert_int_equal(output_path("f", "a", ".png", whole, &err), ENTRAIN_OK);
    assert_string_equal(whole, "f/a.png");
    free(folder_name);
}

/* ---- logits ---- */

enum { CLASSES = 37, SMALL_H = 2, SMALL_W = 3, FULL_H = 5, FULL_W = 4 };

static float value(int number, int k, int y, int x) {
    return (float)(number * 100000 + k * 1000 + y * 10 + x);
}

/* Scores as a network gives them: (h,w,C). */
static float *scores(int number, int h, int w) {
    float *to = malloc((size_t)(h * w * CLASSES) * sizeof *to);
    assert_non_null(to);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < CLASSES; k++) to[(y * w + x) * CLASSES + k] = value(number, k, y, x);
    return to;
}

static entrain_status add(logits_file *f, int number, const char *name, bool both) {
    float *small = scores(number, SMALL_H, SMALL_W), *full = scores(number, FULL_H, FULL_W);
    const entrain_status status = logits_add(f, name, "a/b.png", both ? small : NULL, SMALL_H, SMALL_W, full, FULL_H, FULL_W, &err);
    free(small);
    free(full);
    return status;
}

static logits_file *create(void) {
    shard_info many = {.classes = CLASSES};
    for (int k = 0; k < CLASSES; k++) (void)snprintf(many.names[k], SHARD_NAME, "class %d", k);
    logits_file *f = NULL;
    assert_int_equal(logits_create(path, &many, &f, &err), ENTRAIN_OK);
    return f;
}

static void assert_scores(hid_t file, const char *name, int number, int h, int w) {
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(set >= 0);
    const hid_t space = H5Dget_space(set);
    hsize_t dims[3] = {0};
    assert_int_equal(H5Sget_simple_extent_ndims(space), 3);
    (void)H5Sget_simple_extent_dims(space, dims, NULL);
    assert_true(dims[0] == CLASSES && dims[1] == (hsize_t)h && dims[2] == (hsize_t)w);
    float *got = malloc((size_t)(CLASSES * h * w) * sizeof *got);
    assert_true(got != NULL && H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
    for (int k = 0; k < CLASSES; k++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) assert_true(got[(k * h + y) * w + x] == value(number, k, y, x));
    free(got);
    (void)H5Sclose(space);
    (void)H5Dclose(set);
}

static void assert_image(hid_t file, const char *group, int number, bool both) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s/logits", group);
    assert_int_equal(H5Lexists(file, name, H5P_DEFAULT) > 0, both);
    if (both) assert_scores(file, name, number, SMALL_H, SMALL_W);
    (void)snprintf(name, sizeof name, "%s/logits_full", group);
    assert_scores(file, name, number, FULL_H, FULL_W);
    const hid_t g = H5Gopen2(file, group, H5P_DEFAULT);
    char *text = hdf5_get_text(g, "file");
    assert_string_equal(text, "a/b.png");
    free(text);
    (void)H5Gclose(g);
}

static void test_logits(void **state) {
    (void)state;
    static const char *const names[] = {"street", "street-2", "two.dots"};
    logits_file *f = create();
    for (int i = 0; i < 3; i++) assert_int_equal(add(f, i, names[i], i != 1), ENTRAIN_OK);
    assert_false(store_exists(path)); /* complete or absent */
    assert_int_equal(logits_finish(f, &err), ENTRAIN_OK);
    hid_t file = -1;
    assert_int_equal(hdf5_open(path, &file, &err), ENTRAIN_OK);
    for (int i = 0; i < 3; i++) assert_image(file, names[i], i, i != 1);
    char classes[CLASSES][SHARD_NAME];
    const hid_t attribute = H5Aopen(file, "classes", H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute);
    assert_true(H5Aget_storage_size(attribute) == sizeof classes && H5Aread(attribute, type, classes) >= 0);
    assert_string_equal(classes[36], "class 36");
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    (void)H5Fclose(file);
}

static void test_abandoned_logits(void **state) {
    (void)state;
    logits_file *f = create();
    assert_int_equal(add(f, 0, "a", true), ENTRAIN_OK);
    logits_abandon(f);
    assert_false(store_exists(path));
    char temporary[STORE_PATH + 80];
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_false(store_exists(temporary));
}

static void test_full_disk(void **state) {
    (void)state;
    struct rlimit before, limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 5000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    logits_file *f = create();
    entrain_status status = ENTRAIN_OK;
    for (int i = 0; i < 5 && status == ENTRAIN_OK; i++)
        status = add(f, i, i == 0 ? "a" : i == 1 ? "b" : i == 2 ? "c" : i == 3 ? "d" : "e", true);
    if (status == ENTRAIN_OK)
        status = logits_finish(f, &err);
    else
        logits_abandon(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "File too large"));
    assert_false(store_exists(path));
}

int main(void) {
#define ROW(test) cmocka_unit_test_setup_teardown(test, make, clear)
    const struct CMUnitTest tests[] = {
        ROW(test_overlay), ROW(test_label_map), ROW(test_names), ROW(test_logits), ROW(test_abandoned_logits), ROW(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
