/* Verifying: what is wrong is found, and all of it named. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "pack_case.h"

/* One shard whose samples are as given. */
static void put_shard(const shard_sample *samples, int count) {
    shard_info info;
    shard_writer *w = NULL;
    case_info(&info, count);
    assert_ok(shard_create(in_folder("out"), &info, 0, 1, count, &w, &err));
    for (int i = 0; i < count; i++) assert_ok(shard_append(w, &samples[i], &err));
    assert_ok(shard_finish(w, &err));
}

static shard_sample real_sample(int height, int width, uint8_t value) {
    uint8_t pixels[HEIGHT * WIDTH * 3] = {0};
    shard_sample s = {.height = height, .width = width};
    const image picture = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 3};
    assert_ok(image_encode_png(&picture, &s.image, &s.image_size, &err));
    pixels[WIDTH + 2] = value;
    const image label = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 1};
    assert_ok(image_encode_png(&label, &s.label, &s.label_size, &err));
    (void)snprintf(s.id, sizeof s.id, "value_%d_height_%d", value, height);
    return s;
}

static void verify_finds_wrong_contents(void **state) {
    (void)state;
    shard_sample s[4] = {real_sample(HEIGHT, WIDTH, 2), real_sample(HEIGHT, WIDTH, 255), real_sample(HEIGHT, WIDTH, CASE_CLASSES),
                         real_sample(HEIGHT + 1, WIDTH, 0)};
    put_shard(s, 2);
    assert_ok(pack_verify(in_folder("out"), 0, self, &err));
    put_shard(s, 4);
    assert_int_equal(pack_verify(in_folder("out"), 0, self, &err), ENTRAIN_DATA);
    static const char *const expected[] = {"2 faults", "id value_3_height_12", "x=2, y=1", "id value_0_height_13", "13 x 18"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(err.text, expected[i]) == NULL) fail_msg("'%s' expected in: %s", expected[i], err.text);
    s[0].image[s[0].image_size / 2] ^= 1; /* no picture any more, though its checksum is right */
    put_shard(s, 1);
    assert_int_equal(pack_verify(in_folder("out"), 0, self, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "id value_2_height_12"));
    for (int i = 0; i < 4; i++) shard_sample_free(&s[i]);
    assert_int_equal(pack_verify(in_folder("nowhere"), 0, self, &err), ENTRAIN_DATA);
}

/* Two shards that cannot be opened and a damaged sample in a third: all three are named. */
static void verify_names_every_shard(void **state) {
    (void)state;
    make_camvid(8);
    assert_ok(pack_camvid(4));
    char path[CASE_PATH];
    uint8_t *bytes = NULL, *picture = NULL;
    size_t size = 0, picture_size = 0;
    for (int k = 0; k < 2; k++) {
        (void)snprintf(path, sizeof path, "%s/out/train-0000%d-of-00004.h5", folder, 2 * k);
        assert_int_equal(truncate(path, 700), 0);
    }
    (void)snprintf(path, sizeof path, "%s/out/train-00001-of-00004.h5", folder);
    assert_ok(file_read(path, &bytes, &size, &err));
    assert_ok(file_read(in_folder("source/train/0001TP_3.png"), &picture, &picture_size, &err));
    uint8_t *at = memmem(bytes, size, picture, picture_size);
    assert_non_null(at);
    at[picture_size / 2] ^= 4;
    assert_ok(file_write(path, bytes, size, &err));
    free(bytes);
    free(picture);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(pack_verify(in_folder("out"), threads, self, &err), ENTRAIN_DATA);
        static const char *const expected[] = {"3 faults", "train-00000-of-00004.h5", "train-00002-of-00004.h5",
                                               "train-00001-of-00004.h5 sample 1 (id 0001TP_3)", NULL};
        assert_told(expected);
    }
}

/* A changed size, colour, name or id: all that a shard says is under a checksum, and a shard from before there was one is read as well. */
static void tables_are_under_a_checksum(void **state) {
    (void)state;
    shard_info info;
    shard_set *s = NULL;
    case_info(&info, 1);
    for (int what = 0; what < 6; what++) {
        assert_ok(file_make_folder(in_folder("out"), &err));
        shard_sample one = real_sample(HEIGHT, WIDTH, 1);
        put_shard(&one, 1);
        shard_sample_free(&one);
        const hid_t file = H5Fopen(in_folder("out/train-00000-of-00001.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        const int32_t changed = HEIGHT + 1;
        const char id[SHARD_ID] = "another";
        uint8_t colors[CASE_CLASSES][3] = {{1}}, ids[256] = {2};
        if (what == 1 || what == 5) { /* the last time without the checksum */
            const hid_t set = H5Dopen2(file, what == 1 ? "height" : "width", H5P_DEFAULT);
            const int32_t value = what == 1 ? changed : WIDTH;
            assert_true(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) >= 0);
            (void)H5Dclose(set);
        }
        if (what == 2) {
            const hid_t set = H5Dopen2(file, "id", H5P_DEFAULT), type = H5Dget_type(set);
            assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, id) >= 0);
            (void)H5Tclose(type);
            (void)H5Dclose(set);
        }
        if (what == 3 || what == 4) {
            const hid_t attribute = H5Aopen(file, what == 3 ? "colors" : "export_ids", H5P_DEFAULT);
            assert_true(H5Awrite(attribute, H5T_NATIVE_UINT8, what == 3 ? colors[0] : ids) >= 0);
            (void)H5Aclose(attribute);
        }
        if (what == 5) assert_true(H5Adelete(file, "tables_crc32") >= 0);
        assert_true(H5Fclose(file) >= 0);
        const entrain_status status = shard_open(in_folder("out"), &s, &err);
        if (what == 0 || what == 5) {
            assert_ok(status);
            shard_close(s);
            continue;
        }
        assert_int_equal(status, ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "train-00000-of-00001.h5"));
        assert_non_null(strstr(err.text, "tables_crc32"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(verify_finds_wrong_contents, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(verify_names_every_shard, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(tables_are_under_a_checksum, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
