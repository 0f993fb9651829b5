/* The confusion matrix as a file and as a picture, words in pictures, and names of files to submit. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "base/hdf5_file.h"
#include "check.h"
#include "small_store.h"
#include "train/confusion.h"
#include "train/lettering.h"
#include "train/pictures.h"

static char folder[STORE_PATH], path[STORE_PATH + 64];
static entrain_error err;
static shard_info info = {.classes = 3, .names = {"road", "sky", "M\303\274ll"}};
static const int64_t matrix[9] = {3000000000, 0, 1000000000, 0, 0, 0, 0, 5, 5};

static int make(void **state) {
    (void)state;
    store_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/matrix", folder);
    return 0;
}

static int clear(void **state) {
    (void)state;
    store_folder_remove(folder);
    return 0;
}

static void test_file(void **state) {
    (void)state;
    static metrics m;
    const metrics_setting setting = {.step = 70, .images = 9};
    metrics_compute(matrix, 3, &m);
    assert_ok(confusion_write(path, matrix, &m, &setting, &info, &err));
    size_t size = 0, again = 0;
    uint8_t *bytes = store_read_bytes(path, &size);
    hid_t file = -1;
    int64_t got[9], step = 0;
    double miou = 0.0;
    assert_ok(hdf5_open(path, &file, &err));
    const hid_t set = H5Dopen2(file, "confusion", H5P_DEFAULT);
    assert_true(H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
    assert_memory_equal(got, matrix, sizeof got);
    assert_true(hdf5_get_double(file, "miou", &miou) && miou == m.miou && hdf5_get_int64(file, "step", &step) && step == 70);
    (void)H5Dclose(set);
    (void)H5Fclose(file);
    assert_ok(confusion_write(path, matrix, &m, &setting, &info, &err));
    uint8_t *bytes_again = store_read_bytes(path, &again);
    assert_true(size == again && memcmp(bytes, bytes_again, size) == 0);
    free(bytes);
    free(bytes_again);
    (void)snprintf(path, sizeof path, "%s/nowhere/matrix", folder);
    assert_int_equal(confusion_write(path, matrix, &m, &setting, &info, &err), ENTRAIN_DATA);
}

static const uint8_t *pixel(const image *im, int y, int x) {
    return im->data + ((size_t)y * (size_t)im->width + (size_t)x) * 3;
}

/* Cells of 36 pixels, the last row's and column's end one cell from the picture's: the diagonal is darker than an empty cell, a row without
 * truth is grey. */
static void test_picture(void **state) {
    (void)state;
    assert_ok(confusion_picture(path, matrix, &info, &err));
    uint8_t *bytes = NULL;
    size_t size = 0;
    image im = {0};
    image_decoder *d = image_decoder_open();
    assert_ok(file_read(path, &bytes, &size, &err));
    assert_ok(image_decode_rgb(d, bytes, size, path, &im, &err));
    const int left = lettering_length("road", 2) + 36, top = im.height - 4 * 36;
    assert_int_equal(left, 4 * 12 + 36);
    const uint8_t *road = pixel(&im, top + 2, left + 2), *empty = pixel(&im, top + 2, left + 36 + 2),
                  *third = pixel(&im, top + 2, left + 74);
    assert_true(empty[0] == 255 && empty[1] == 255 && empty[2] == 255);
    assert_true(road[1] < third[1] && third[1] < 200); /* three quarters, one quarter */
    const uint8_t *absent = pixel(&im, top + 38, left + 2);
    assert_true(absent[0] == 232 && absent[1] == 232 && absent[2] == 232);
    const uint8_t *right_of_road = pixel(&im, top + 2, left + 35), *below_road = pixel(&im, top + 35, left + 2);
    const uint8_t *line = pixel(&im, top + 38, left + 36 + 36 + 35);
    assert_true(right_of_road[0] == 96 && below_road[0] == 96); /* the diagonal is outlined */
    assert_int_equal(line[0], 200);
    image_free(&im);
    image_decoder_close(d);
    free(bytes);
}

/* Every size of class set, up to the largest. */
static void test_many_classes(void **state) {
    (void)state;
    static shard_info many;
    static int64_t cells[SHARD_MAX_CLASSES * SHARD_MAX_CLASSES];
    static const int counts[] = {1, 24, 25, 64, 65, SHARD_MAX_CLASSES};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        many.classes = counts[i];
        for (int k = 0; k < many.classes; k++) {
            (void)snprintf(many.names[k], SHARD_NAME, "%0*d", 1 + k % (SHARD_NAME - 1), k);
            cells[k * many.classes + k] = k;
        }
        assert_ok(confusion_picture(path, cells, &many, &err));
    }
}

static void test_letters(void **state) {
    (void)state;
    uint8_t data[20 * 20 * 3] = {0};
    image im = {.data = data, .height = 20, .width = 20, .channels = 3};
    const uint8_t red[3] = {255, 0, 0};
    assert_int_equal(lettering_length("M\303\274ll", 1), 4 * LETTER_WIDTH);
    lettering_draw(&im, 2, 3, "L", 1, false, red);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            assert_int_equal(pixel(&im, y, x)[0] == 255, (x == 3 && y >= 2 && y < 9) || (y == 8 && x >= 3 && x < 8));
    memset(data, 0, sizeof data);
    lettering_draw(&im, 15, 2, "l", 2, true, red); /* the foot of the L is at the right, pointing up */
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            assert_int_equal(pixel(&im, y, x)[0] == 255, (y >= 14 && y < 16 && x >= 2 && x < 16) || (x >= 14 && x < 16 && y > 5 && y < 16));
    lettering_draw(&im, -100, 15, "outside \001 on all sides", 3, false, red);
    lettering_draw(&im, 10, 15, "outside \377 on all sides", 3, true, red);
}

static void test_submit_names(void **state) {
    (void)state;
    char name[SUBMIT_NAME];
    submit_name("cityscapes", "frankfurt_000000_000294", name);
    assert_string_equal(name, "frankfurt_000000_000294_leftImg8bit");
    submit_name("cityscapes", "frankfurt/frankfurt_000000_000294_leftImg8bit", name);
    assert_string_equal(name, "frankfurt_000000_000294_leftImg8bit");
    submit_name("ade20k", "ADE_val_00000001", name);
    assert_string_equal(name, "ADE_val_00000001");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, make, clear),
        cmocka_unit_test_setup_teardown(test_picture, make, clear),
        cmocka_unit_test_setup_teardown(test_many_classes, make, clear),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_submit_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
