/* Packing and verifying with several ranks: the same files as one rank writes, and a fault that one rank finds reaches all, with nothing
 * written. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"
#include "comm/comm.h"
#include "data/image.h"
#include "data/pack.h"
#include "shard_case.h"

enum { SHARDS = 5, IMAGES = 11, SIDE = 48 };

static comm *world;
static entrain_error err;
static char folder[CASE_FOLDER];

/* Rank 0's new folder, known to all. */
static int set_up(void **state) {
    (void)state;
    if (world->rank == 0) case_folder_make(folder);
    return comm_broadcast(world, folder, sizeof folder, COMM_BYTE, 0, NULL) != ENTRAIN_OK;
}

static int tear_down(void **state) {
    (void)state;
    if (comm_barrier(world) != ENTRAIN_OK) return 1;
    if (world->rank == 0) case_folder_remove(folder);
    return comm_barrier(world) != ENTRAIN_OK;
}

static const char *in_folder(const char *name) {
    static char paths[4][CASE_PATH];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(paths[turn], CASE_PATH, "%s/%s", folder, name);
    return paths[turn];
}

static void assert_same_file(const char *one, const char *other) {
    uint8_t *a = NULL, *b = NULL;
    size_t a_size = 0, b_size = 0;
    assert_ok(file_read(one, &a, &a_size, &err));
    assert_ok(file_read(other, &b, &b_size, &err));
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    free(a);
    free(b);
}

static void as_many_ranks_as_you_like(void **state) {
    (void)state;
    pack_options o = {.dataset = "synthetic", .split = "train", .shards = SHARDS, .images = IMAGES, .height = SIDE, .width = SIDE};
    o.out = in_folder("together");
    assert_ok(pack_run(&o, world, &err));
    if (world->rank == 0) {
        comm *self = NULL;
        assert_ok(comm_open_self(&self, &err));
        o.out = in_folder("alone");
        assert_ok(pack_run(&o, self, &err));
        comm_close(self);
        for (int shard = 0; shard < SHARDS; shard++) {
            char one[64], other[64];
            (void)snprintf(one, sizeof one, "together/train-%05d-of-%05d.h5", shard, SHARDS);
            (void)snprintf(other, sizeof other, "alone/train-%05d-of-%05d.h5", shard, SHARDS);
            assert_same_file(in_folder(one), in_folder(other));
        }
    }
    assert_ok(pack_verify(in_folder("together"), world, &err));
}

/* The last rank cannot even look: all get its error, and the others' shards are thrown away. */
static void one_rank_fails(void **state) {
    (void)state;
    const bool last = world->rank == world->size - 1;
    pack_options o = {.dataset = "synthetic", .split = "train", .shards = SHARDS, .images = IMAGES, .height = SIDE, .width = SIDE};
    o.out = in_folder("out");
    if (last) o.split = "nonsense";
    assert_int_equal(pack_run(&o, world, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "nonsense"));
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    assert_int_not_equal(access(in_folder("out"), F_OK), 0);
}

static void put_label(const char *path, uint8_t value) {
    uint8_t pixels[SIDE * SIDE] = {0}, *bytes = NULL;
    size_t size = 0;
    pixels[SIDE + 1] = value;
    const image im = {.data = pixels, .height = SIDE, .width = SIDE, .channels = 1};
    assert_ok(image_encode_png(&im, &bytes, &size, &err));
    assert_ok(file_write(path, bytes, size, &err));
    free(bytes);
}

/* Faults at both ends of the split are in different ranks' shards: every rank gets both, and no shard is written. */
static void faults_of_all_ranks_are_gathered(void **state) {
    (void)state;
    if (world->rank == 0) {
        assert_ok(file_make_folder(in_folder("source/val"), &err));
        assert_ok(file_make_folder(in_folder("source/valannot"), &err));
        for (int i = 0; i < 8; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "source/val/%d.png", i);
            put_label(in_folder(name), 0); /* grey pictures are pictures */
            (void)snprintf(name, sizeof name, "source/valannot/%d.png", i);
            put_label(in_folder(name), i == 0 || i == 7 ? 200 : 11);
        }
    }
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    const pack_options o = {.dataset = "camvid", .root = in_folder("source"), .split = "val", .out = in_folder("out"), .shards = 4};
    assert_int_equal(pack_run(&o, world, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "valannot/0.png"));
    assert_non_null(strstr(err.text, "valannot/7.png"));
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    assert_int_not_equal(access(in_folder("out"), F_OK), 0);
}

int main(void) {
    entrain_error opening;
    if (comm_open(&world, &opening) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", opening.text);
        return 1;
    }
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_many_ranks_as_you_like, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_rank_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_of_all_ranks_are_gathered, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed = comm_any(world, failed != 0) ? 1 : 0;
    comm_close(world);
    return failed;
}
