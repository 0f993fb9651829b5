/* Packing and verifying: mapped labels, faults of a source found all at once with nothing written, the synthetic set a function of its
 * seed. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"
#include "comm/comm.h"
#include "data/image.h"
#include "data/pack.h"
#include "data/scene.h"
#include "shard_case.h"

enum { HEIGHT = 12, WIDTH = 18 };

static entrain_error err;
static comm *self;
static char folder[CASE_FOLDER];

static int start(void **state) {
    (void)state;
    log_set_quiet(true);
    return comm_open_self(&self, &err) != ENTRAIN_OK;
}

static int stop(void **state) {
    (void)state;
    comm_close(self);
    return 0;
}

static int set_up(void **state) {
    (void)state;
    case_folder_make(folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    case_folder_remove(folder);
    return 0;
}

/* A path in the test's folder; the last four stay valid. */
static const char *in_folder(const char *name) {
    static char paths[4][CASE_PATH];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(paths[turn], CASE_PATH, "%s/%s", folder, name);
    return paths[turn];
}

static int files_in(const char *where) {
    int count = 0;
    DIR *dir = opendir(where);
    if (dir == NULL) return -1;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static entrain_status pack(const char *dataset, const char *root, const char *split, const char *out, int shards) {
    const pack_options o = {.dataset = dataset, .root = root, .split = split, .out = out, .shards = shards, .images = 5, .seed = 3};
    return pack_run(&o, self, &err);
}

/* ---- a small CamVid ---- */

static void put_image(const char *path, int height, int width, int channels, int first) {
    uint8_t pixels[(HEIGHT + 1) * WIDTH * 3], *bytes = NULL;
    size_t size = 0;
    for (int i = 0; i < height * width * channels; i++) pixels[i] = (uint8_t)(channels == 1 ? (first + i) % 12 : first + 3 * i);
    const image im = {.data = pixels, .height = height, .width = width, .channels = channels};
    assert_ok(image_encode_png(&im, &bytes, &size, &err));
    assert_ok(file_write(path, bytes, size, &err));
    free(bytes);
}

static void make_camvid(int samples) {
    assert_ok(file_make_folder(in_folder("source/train"), &err));
    assert_ok(file_make_folder(in_folder("source/trainannot"), &err));
    for (int i = 0; i < samples; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        put_image(in_folder(name), HEIGHT, WIDTH, 3, i);
        (void)snprintf(name, sizeof name, "source/trainannot/0001TP_%d.png", i);
        put_image(in_folder(name), HEIGHT, WIDTH, 1, i);
    }
}

static entrain_status pack_camvid(int shards) {
    return pack("camvid", in_folder("source"), "train", in_folder("out"), shards);
}

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
    assert_ok(pack_verify(in_folder("out"), self, &err));
}

/* Every kind of fault in one source: all named, nothing written. */
static void all_faults_at_once(void **state) {
    (void)state;
    make_camvid(9);
    assert_int_equal(unlink(in_folder("source/trainannot/0001TP_1.png")), 0);
    assert_int_equal(unlink(in_folder("source/train/0001TP_3.png")), 0);
    put_image(in_folder("source/trainannot/0001TP_4.png"), HEIGHT + 1, WIDTH, 1, 0);
    assert_ok(file_write(in_folder("source/train/0001TP_5.png"), "no picture", 10, &err));
    uint8_t pixels[HEIGHT * WIDTH] = {0}, *bytes = NULL;
    size_t size = 0;
    pixels[7 * WIDTH + 5] = 12;
    const image bad = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 1};
    assert_ok(image_encode_png(&bad, &bytes, &size, &err));
    assert_ok(file_write(in_folder("source/trainannot/0001TP_7.png"), bytes, size, &err));
    free(bytes);

    assert_int_equal(pack_camvid(3), ENTRAIN_DATA);
    static const char *const expected[] = {
        "5 faults",       "train/0001TP_1.png",
        "has no label",   "trainannot/0001TP_3.png",
        "has no picture", "0001TP_4.png",
        "12 x 18",        "13 x 18",
        "0001TP_5.png",   "trainannot/0001TP_7.png",
        "x=5, y=7",       "value 12",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(err.text, expected[i]) == NULL) fail_msg("'%s' expected in: %s", expected[i], err.text);
    assert_null(strstr(err.text, "0001TP_0"));
    assert_int_equal(access(in_folder("out"), F_OK), -1); /* the folder was not there before */
}

static void many_faults_are_counted(void **state) {
    (void)state;
    make_camvid(30);
    for (int i = 0; i < 30; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        assert_int_equal(unlink(in_folder(name)), 0);
    }
    assert_int_equal(pack_camvid(0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "30 faults"));
    assert_non_null(strstr(err.text, "and 10 more"));
}

static void sources_that_are_not_there(void **state) {
    (void)state;
    assert_int_equal(pack("camvid", in_folder("nowhere"), "train", in_folder("out"), 0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "nowhere/train"));
    assert_non_null(strstr(err.text, "trainannot"));
    assert_int_equal(pack("camvid", NULL, "train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_ok(file_make_folder(in_folder("source/train"), &err));
    assert_ok(file_make_folder(in_folder("source/trainannot"), &err));
    assert_int_equal(pack_camvid(0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "no PNG files"));
    assert_int_equal(access(in_folder("out"), F_OK), -1);
}

/* ---- options ---- */

static void wrong_options(void **state) {
    (void)state;
    assert_int_equal(pack("imagenet", NULL, "train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "imagenet"));
    assert_non_null(strstr(err.text, "camvid, synthetic"));
    assert_int_equal(pack("synthetic", NULL, "trian", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "trian"));
    assert_int_equal(pack("synthetic", NULL, "../train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_int_equal(pack("synthetic", NULL, "train", in_folder("out"), 6), ENTRAIN_USAGE); /* of 5 samples */
    assert_int_equal(pack("synthetic", NULL, "train", in_folder("out"), -1), ENTRAIN_USAGE);
    assert_int_equal(pack("synthetic", NULL, "train", "", 0), ENTRAIN_USAGE);
    assert_int_equal(files_in(folder), 0);
    assert_string_equal(pack_name(0), "camvid");
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
    assert_ok(pack_verify(in_folder("out"), self, &err));
}

static void out_that_is_a_file(void **state) {
    (void)state;
    assert_ok(file_write(in_folder("out"), "x", 1, &err));
    assert_int_equal(pack("synthetic", NULL, "val", in_folder("out"), 2), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "/out"));
}

/* ---- synthetic ---- */

static void read_one(const char *where, int64_t index, shard_sample *out) {
    shard_set *s = NULL;
    assert_ok(shard_open(where, &s, &err));
    assert_ok(shard_read(s, index, out, &err));
    shard_close(s);
}

static bool same(const shard_sample *a, const shard_sample *b) {
    return a->image_size == b->image_size && memcmp(a->image, b->image, a->image_size) == 0 && a->label_size == b->label_size &&
           memcmp(a->label, b->label, a->label_size) == 0;
}

/* Scene n depends on seed, split and n, not on how many there are or how they are dealt out. */
static void scenes_are_a_function_of_seed_split_and_number(void **state) {
    (void)state;
    shard_sample a = {0}, b = {0};
    pack_options o = {.dataset = "synthetic", .split = "train", .out = in_folder("a"), .images = 4, .seed = 5, .height = 64, .width = 80};
    assert_ok(pack_run(&o, self, &err));
    read_one(in_folder("a"), 3, &a);
    assert_string_equal(a.id, "train_000003");
    assert_int_equal(a.height, 64);
    assert_int_equal(a.width, 80);
    o.out = in_folder("b");
    o.images = 7;
    o.shards = 3;
    assert_ok(pack_run(&o, self, &err));
    read_one(in_folder("b"), 3, &b);
    assert_true(same(&a, &b));
    read_one(in_folder("b"), 4, &b);
    assert_false(same(&a, &b));
    o.out = in_folder("c");
    o.seed = 6;
    assert_ok(pack_run(&o, self, &err));
    read_one(in_folder("c"), 3, &b);
    assert_false(same(&a, &b));
    o.out = in_folder("d");
    o.seed = 5;
    o.split = "val";
    assert_ok(pack_run(&o, self, &err));
    read_one(in_folder("d"), 3, &b);
    assert_false(same(&a, &b));
    shard_sample_free(&a);
    shard_sample_free(&b);
}

/* All classes turn up, in very different amounts; there are pixels without a label; neighbours differ (noise). */
static void scenes_hold_what_they_should(void **state) {
    (void)state;
    int64_t pixels[256] = {0}, all = 0;
    scene *s = scene_open(128, 160);
    image picture = {0}, label = {0};
    for (uint64_t n = 0; n < 40; n++) {
        assert_ok(scene_draw(s, 1, n, &picture, &label, &err));
        int differing = 0;
        for (int i = 0; i < 128 * 160; i++) {
            assert_true(label.data[i] < SCENE_CLASSES || label.data[i] == SCENE_VOID);
            pixels[label.data[i]]++;
            all++;
            differing += i > 0 && picture.data[3 * i] != picture.data[3 * i - 3];
        }
        assert_true(differing > 128 * 160 / 2);
    }
    int64_t least = all, most = 0;
    for (int c = 0; c < SCENE_CLASSES; c++) {
        assert_true(pixels[c] > all / 200);
        least = pixels[c] < least ? pixels[c] : least;
        most = pixels[c] > most ? pixels[c] : most;
    }
    assert_true(most > 4 * least);
    assert_true(pixels[SCENE_VOID] > all / 50 && pixels[SCENE_VOID] < all / 3);
    image_free(&picture);
    image_free(&label);
    scene_close(s);
}

static void sizes_of_scenes(void **state) {
    (void)state;
    pack_options o = {.dataset = "synthetic", .split = "val", .out = in_folder("out"), .images = 2, .height = 10, .width = 64};
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
    o.height = 48;
    o.width = 97;
    assert_ok(pack_run(&o, self, &err));
    o.images = -1;
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_USAGE);
}

/* ---- verify ---- */

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
    assert_ok(pack_verify(in_folder("out"), self, &err));
    put_shard(s, 4);
    assert_int_equal(pack_verify(in_folder("out"), self, &err), ENTRAIN_DATA);
    static const char *const expected[] = {"2 faults", "id value_3_height_12", "x=2, y=1", "id value_0_height_13", "13 x 18"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(err.text, expected[i]) == NULL) fail_msg("'%s' expected in: %s", expected[i], err.text);
    s[0].image[s[0].image_size / 2] ^= 1; /* no picture any more, though its checksum is right */
    put_shard(s, 1);
    assert_int_equal(pack_verify(in_folder("out"), self, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "id value_2_height_12"));
    for (int i = 0; i < 4; i++) shard_sample_free(&s[i]);
    assert_int_equal(pack_verify(in_folder("nowhere"), self, &err), ENTRAIN_DATA);
}

/* ---- the real CamVid, where it is at hand ---- */

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
    assert_ok(pack_verify(in_folder("out"), self, &err));
    shard_set *s = NULL;
    assert_ok(shard_open(in_folder("out"), &s, &err));
    assert_int_equal(shard_count(s), 101);
    shard_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(camvid_is_stored_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_faults_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_faults_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sources_that_are_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_set_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_that_is_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scenes_are_a_function_of_seed_split_and_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scenes_hold_what_they_should, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_of_scenes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_finds_wrong_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_real_camvid, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
