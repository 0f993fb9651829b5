/* Unpacking gives back the files; shards of classification; ids that would leave the folder. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "pack_case.h"

enum { CLASSES = 1500, SAMPLES = 40 };

/* Pictures byte for byte, labels in the source's ids: those of CamVid's files, pixel by pixel. */
static void camvid_comes_back(void **state) {
    (void)state;
    make_camvid(7);
    assert_ok(pack_camvid(3));
    assert_ok(pack_unpack(in_folder("out"), in_folder("files"), false, 3, self, &err));
    assert_same_folder(in_folder("source/train"), in_folder("files/images"));
    assert_same_folder(in_folder("source/trainannot"), in_folder("files/labels")); /* made by the same encoder */
    assert_ok(pack_unpack(in_folder("out"), in_folder("classes"), true, 1, self, &err));
    image_decoder *d = image_decoder_open();
    image label = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_ok(file_read(in_folder("classes/labels/0001TP_4.png"), &bytes, &size, &err));
    assert_ok(image_decode_label(d, bytes, size, "label", &label, &err));
    for (int k = 0; k < HEIGHT * WIDTH; k++) assert_int_equal(label.data[k], (4 + k) % 12 == 11 ? 255 : (4 + k) % 12);
    free(bytes);
    image_free(&label);
    image_decoder_close(d);
}

static void write_one(const char *class_name, const char *id) {
    shard_info *info = calloc(1, sizeof *info);
    shard_writer *w = NULL;
    assert_non_null(info);
    case_info(info, 1);
    (void)snprintf(info->task, sizeof info->task, "classification");
    (void)snprintf(info->names[2], sizeof info->names[2], "%s", class_name);
    const uint8_t pixels[3] = {1, 2, 3};
    uint8_t copy[3];
    memcpy(copy, pixels, sizeof copy);
    const image im = {.data = copy, .height = 1, .width = 1, .channels = 3};
    shard_sample s = {.height = 1, .width = 1, .label_class = 2};
    assert_ok(image_encode_png(&im, &s.image, &s.image_size, &err));
    (void)snprintf(s.id, sizeof s.id, "%s", id);
    assert_ok(shard_create(in_folder("out"), info, 0, 1, 1, &w, &err));
    assert_ok(shard_append(w, &s, &err));
    assert_ok(shard_finish(w, &err));
    shard_sample_free(&s);
    free(info);
}

static void ids_stay_in_the_folder(void **state) {
    (void)state;
    static const char *const bad[] = {"../x", "..", "a/../../x", "/tmp/entrain-x", "a//x", "", "./x", "a/.", "a/"};
    static const char *const good[] = {"x", "a/b/x", "..x", "a/...", "x..y"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_one("class", bad[i]);
        assert_int_equal(pack_unpack(in_folder("out"), in_folder("files"), false, 1, self, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "train-00000-of-00001.h5 sample 0"));
        assert_int_equal(files_in(folder), 1); /* the shards' */
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char path[CASE_PATH];
        write_one("class é/2", good[i]);
        assert_ok(pack_unpack(in_folder("out"), in_folder("files"), false, 1, self, &err));
        (void)snprintf(path, sizeof path, "%s/files/class é_2/%s.png", folder, good[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    static const char *const bad_classes[] = {"..", "."};
    for (size_t i = 0; i < sizeof bad_classes / sizeof bad_classes[0]; i++) {
        write_one(bad_classes[i], "x");
        assert_int_equal(pack_unpack(in_folder("out"), in_folder("files"), false, 1, self, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "cannot be a folder"));
    }
}

/* More classes than a label map can have, with names longer in all than an attribute may be. */
static void classification(void **state) {
    (void)state;
    char name[128];
    for (int c = 0; c < CLASSES; c++) {
        (void)snprintf(name, sizeof name, "source/val/class_%04d_with_a_name_that_is_rather_long_as_names_go", c);
        assert_ok(file_make_folder(in_folder(name), &err));
    }
    for (int i = 0; i < SAMPLES; i++) {
        (void)snprintf(name, sizeof name, "source/val/class_%04d_with_a_name_that_is_rather_long_as_names_go/%d.png", i * 37 % CLASSES, i);
        put_image(in_folder(name), HEIGHT, WIDTH, 3, i);
    }
    char *lines = NULL, *list = NULL;
    size_t lines_size = 0, list_size = 0;
    FILE *f = open_memstream(&lines, &lines_size);
    for (int c = 0; c < CLASSES; c++) (void)fprintf(f, "class_%04d_with_a_name_that_is_rather_long_as_names_go\n", c);
    (void)fclose(f);
    f = open_memstream(&list, &list_size);
    for (int i = 0; i < SAMPLES; i++)
        (void)fprintf(f, "val/class_%04d_with_a_name_that_is_rather_long_as_names_go/%d.png %d\n", i * 37 % CLASSES, i, i * 37 % CLASSES);
    (void)fclose(f);
    char classes_path[CASE_PATH], list_path[CASE_PATH];
    (void)snprintf(classes_path, sizeof classes_path, "%s/classes.txt", folder);
    (void)snprintf(list_path, sizeof list_path, "%s/list.txt", folder);
    assert_ok(file_write(classes_path, lines, lines_size, &err));
    assert_ok(file_write(list_path, list, list_size, &err));
    free(lines);
    free(list);
    const pack_options o = {.dataset = "imagefolder",
                            .root = in_folder("source"),
                            .split = "val",
                            .out = in_folder("out"),
                            .classes = classes_path,
                            .list = list_path,
                            .shards = 3};
    assert_ok(pack_run(&o, self, &err));
    assert_ok(pack_verify(in_folder("out"), 2, self, &err));
    shard_set *s = NULL;
    shard_sample got = {0};
    assert_ok(shard_open(in_folder("out"), &s, &err));
    assert_string_equal(shard_get_info(s)->task, SHARD_CLASSIFICATION);
    assert_int_equal(shard_get_info(s)->classes, CLASSES);
    assert_string_equal(shard_get_info(s)->names[1499], "class_1499_with_a_name_that_is_rather_long_as_names_go");
    assert_int_equal(shard_count(s), SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        int number = -1;
        assert_ok(shard_read(s, i, &got, &err));
        assert_int_equal(got.label_size, 0);
        assert_int_equal(sscanf(strrchr(got.id, '/') + 1, "%d", &number), 1);
        assert_int_equal(got.label_class, number * 37 % CLASSES);
    }
    assert_int_equal(shard_require_task(s, SHARD_SEGMENTATION, "data.train", &err), ENTRAIN_DATA);
    static const char *const expected[] = {"data.train", "classification", "segmentation", NULL};
    assert_told(expected);
    shard_sample_free(&got);
    shard_close(s);
}

/* Two samples that would become one file: told, and none is lost. */
static void paths_that_meet(void **state) {
    (void)state;
    char classes[CASE_PATH], list[CASE_PATH];
    (void)snprintf(classes, sizeof classes, "%s/classes.txt", folder);
    (void)snprintf(list, sizeof list, "%s/list.txt", folder);
    assert_ok(file_write(classes, "n01\nn02", 7, &err));
    assert_ok(file_make_folder(in_folder("source/n01"), &err));
    put_image(in_folder("source/n01/a.png"), HEIGHT, WIDTH, 3, 1);
    put_image(in_folder("source/a.png"), HEIGHT, WIDTH, 3, 2);
    pack_options o = {
        .dataset = "imagefolder", .root = in_folder("source/"), .split = "val", .out = in_folder("out"), .classes = classes, .list = list};
    const char both[] = "n01/a.png 0\na.png 0\n", apart[] = "n01/a.png 0\na.png 1\n";
    assert_ok(file_write(list, both, strlen(both), &err));
    assert_ok(pack_run(&o, self, &err));
    assert_int_equal(pack_unpack(o.out, in_folder("files"), false, 1, self, &err), ENTRAIN_DATA);
    static const char *const expected[] = {"nothing was written: 1 fault", "n01/a", "would both become the file n01/a.", NULL};
    assert_told(expected);
    assert_int_equal(access(in_folder("files"), F_OK), -1);
    assert_ok(file_write(list, apart, strlen(apart), &err));
    assert_ok(pack_run(&o, self, &err));
    assert_ok(pack_unpack(o.out, in_folder("files"), false, 1, self, &err));
    assert_int_equal(files_in(in_folder("files/n01")) + files_in(in_folder("files/n02")), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(camvid_comes_back, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(ids_stay_in_the_folder, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(classification, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(paths_that_meet, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
