/* The synthetic set is a function of its seed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "data/scene.h"
#include "pack_case.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scenes_are_a_function_of_seed_split_and_number, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(scenes_hold_what_they_should, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(sizes_of_scenes, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
