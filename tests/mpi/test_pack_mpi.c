/* Packing and verifying with several ranks: the same files as one rank writes, and a fault that one rank finds reaches all, with nothing
 * written. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"
#include "comm/comm.h"
#include "data/image.h"
#include "data/pack_internal.h"
#include "pack_case.h"

enum { SHARDS = 5, IMAGES = 11, SIDE = 48 };

static comm *world;

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

static void as_many_ranks_and_threads_as_you_like(void **state) {
    (void)state;
    pack_options o = {.dataset = "synthetic", .split = "train", .shards = SHARDS, .images = IMAGES, .height = SIDE, .width = SIDE};
    if (world->rank == 0) {
        comm *alone = NULL;
        assert_ok(comm_open_self(&alone, &err));
        o.out = in_folder("alone");
        o.threads = 1;
        assert_ok(pack_run(&o, alone, &err));
        comm_close(alone);
    }
    char out[CASE_PATH];
    o.out = out;
    for (o.threads = 1; o.threads <= 3; o.threads += 2) {
        (void)snprintf(out, sizeof out, "%s/threads%d", folder, o.threads);
        assert_ok(pack_run(&o, world, &err));
        for (int shard = 0; shard < SHARDS && world->rank == 0; shard++) {
            char one[CASE_PATH + 64], other[64];
            (void)snprintf(one, sizeof one, "%s/train-%05d-of-%05d.h5", o.out, shard, SHARDS);
            (void)snprintf(other, sizeof other, "alone/train-%05d-of-%05d.h5", shard, SHARDS);
            assert_same_file(one, in_folder(other));
        }
        assert_ok(pack_verify(o.out, o.threads, world, &err));
        assert_ok(pack_unpack(o.out, in_folder("files"), true, o.threads, world, &err));
        assert_int_equal(comm_barrier(world), ENTRAIN_OK);
        assert_int_equal(access(in_folder("files/labels/train_000010.png"), F_OK), 0);
    }
}

/* What one number of ranks has left, another goes on with. */
static void going_on_with_other_ranks(void **state) {
    (void)state;
    pack_options o = {.dataset = "synthetic", .split = "val", .shards = SHARDS, .images = IMAGES, .height = SIDE, .width = SIDE};
    char out[CASE_PATH];
    (void)snprintf(out, sizeof out, "%s/out", folder);
    o.out = out;
    if (world->rank == 0) {
        const pid_t child = fork();
        if (child == 0) { /* alone, and killed when the second shard waits */
            comm *alone = NULL;
            if (comm_open_self(&alone, &err) == ENTRAIN_OK) (void)pack_run(&o, alone, &err);
            _exit(0);
        }
        for (int t = 0; t < 20000 && access(in_folder("out/val-00001-of-00005.h5.staged"), F_OK) != 0; t++) (void)usleep(50);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    assert_ok(pack_run(&o, world, &err));
    assert_ok(pack_verify(o.out, 2, world, &err));
    assert_int_equal(access(in_folder("out/val.packing"), F_OK), -1);
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

/* Long lists of several ranks: each has its part of the text, cut between lines. */
static void every_rank_is_heard(void **state) {
    (void)state;
    char line[64];
    size_t used = 0;
    for (int n = 0; used + sizeof line < sizeof err.text; n++)
        used += (size_t)snprintf(err.text + used, sizeof err.text - used, "rank %d, line %04d of its faults\n", world->rank, n);
    err.text[used - 1] = '\0';
    err.status = ENTRAIN_DATA;
    assert_int_equal(pack_agree(world, ENTRAIN_DATA, &err), ENTRAIN_DATA);
    assert_true(strlen(err.text) > sizeof err.text / 2);
    if (world->size == 1) return;
    for (int r = 0; r < world->size; r++) {
        (void)snprintf(line, sizeof line, "rank %d, line 0002 of its faults\n", r);
        assert_non_null(strstr(err.text, line));
        (void)snprintf(line, sizeof line, "(what else rank %d says does not fit here)", r);
        assert_non_null(strstr(err.text, line));
    }
}

/* Another run holds the folder: all ranks say so, and none waits for another. */
static void one_run_a_folder(void **state) {
    (void)state;
    int other = -1;
    if (world->rank == 0) {
        assert_ok(file_make_folder(in_folder("out"), &err));
        other = open(in_folder("out"), O_RDONLY | O_DIRECTORY);
        assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    }
    pack_options o = {.dataset = "synthetic", .split = "train", .shards = SHARDS, .images = IMAGES, .height = SIDE, .width = SIDE};
    o.out = in_folder("out");
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    assert_int_equal(pack_run(&o, world, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "another `entrain pack` is writing here"));
    if (other >= 0) (void)close(other);
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
    assert_ok(pack_run(&o, world, &err));
}

int main(void) {
    entrain_error opening;
    if (comm_open(&world, &opening) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", opening.text);
        return 1;
    }
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_many_ranks_and_threads_as_you_like, set_up, tear_down),
        cmocka_unit_test_setup_teardown(going_on_with_other_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_rank_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_of_all_ranks_are_gathered, set_up, tear_down),
        cmocka_unit_test(every_rank_is_heard),
        cmocka_unit_test_setup_teardown(one_run_a_folder, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed = comm_any(world, failed != 0) ? 1 : 0;
    comm_close(world);
    return failed;
}
