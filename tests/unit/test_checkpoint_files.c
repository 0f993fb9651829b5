/* Which checkpoint of a run folder is found, what `latest` says, and which files are deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_store.h"

static backend *be;
static params store;
static char folder[STORE_PATH];
static entrain_error err;

static int make(void **state) {
    (void)state;
    store = store_make(be);
    store_folder_make(folder);
    err = (entrain_error){0};
    return 0;
}

static int clear(void **state) {
    (void)state;
    params_free(&store);
    store_folder_remove(folder);
    return 0;
}

static void write_step(int64_t step) {
    char path[STORE_PATH + 64];
    checkpoint_path(folder, step, path, sizeof path);
    assert_int_equal(checkpoint_write(path, &store, &store_meta, &err), ENTRAIN_OK);
}

static void in_folder(const char *name, char path[STORE_PATH + 64]) {
    (void)snprintf(path, STORE_PATH + 64, "%s/checkpoints/%s", folder, name);
}

static void touch(const char *name, const char *contents) {
    char path[STORE_PATH + 64];
    in_folder(name, path);
    store_write_bytes(path, contents, strlen(contents));
}

static bool there(const char *name) {
    char path[STORE_PATH + 64];
    in_folder(name, path);
    return store_exists(path);
}

static void assert_finds(bool prefer_best, const char *name) {
    char expected[STORE_PATH + 64], found[STORE_PATH + 64] = "";
    in_folder(name, expected);
    assert_int_equal(checkpoint_find(folder, prefer_best, found, sizeof found, &err), ENTRAIN_OK);
    assert_string_equal(found, expected);
}

static void test_names(void **state) {
    (void)state;
    char path[64];
    checkpoint_path("run", 1000, path, sizeof path);
    assert_string_equal(path, "run/checkpoints/step-00001000.h5");
    checkpoint_path("run", 1234567890, path, sizeof path);
    assert_string_equal(path, "run/checkpoints/step-1234567890.h5");
}

static void test_latest_is_followed(void **state) {
    (void)state;
    write_step(5);
    write_step(30);
    assert_int_equal(checkpoint_set_latest(folder, 5, &err), ENTRAIN_OK);
    size_t size;
    char path[STORE_PATH + 64];
    in_folder("latest", path);
    uint8_t *text = store_read_bytes(path, &size);
    assert_int_equal(size, strlen("step-00000005.h5\n"));
    assert_memory_equal(text, "step-00000005.h5\n", size);
    free(text);
    assert_finds(false, "step-00000005.h5");
    assert_finds(true, "step-00000005.h5"); /* there is no best */
    assert_int_equal(checkpoint_set_latest(folder, 30, &err), ENTRAIN_OK);
    assert_finds(false, "step-00000030.h5");
    touch("best.h5", "x");
    assert_finds(true, "best.h5");
    assert_finds(false, "step-00000030.h5");
}

/* Without a `latest` that leads somewhere: the newest that opens; names are compared as numbers, others are let be. */
static void test_without_latest(void **state) {
    (void)state;
    write_step(99999999);
    write_step(100000000);
    touch("step-00000001.h5", "x");
    touch("step-7.h5", "x");
    touch("step-999999999.h5", "cut off");
    touch("step-900000000.h5.tmp", "half-written");
    assert_finds(false, "step-100000000.h5");
    assert_int_equal(checkpoint_set_latest(folder, 12, &err), ENTRAIN_OK);
    assert_finds(false, "step-100000000.h5");
    touch("latest", "../../etc/passwd\n");
    assert_finds(false, "step-100000000.h5");
    touch("latest", "");
    assert_finds(false, "step-100000000.h5");
}

static void test_nothing_to_find(void **state) {
    (void)state;
    char found[STORE_PATH + 64];
    touch("step-00000003.h5", "cut off");
    assert_int_equal(checkpoint_find(folder, true, found, sizeof found, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, folder));
    assert_int_equal(checkpoint_find("no/such/thing", true, found, sizeof found, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "no/such/thing"));
    char shorter[8];
    assert_int_equal(checkpoint_find(folder, true, shorter, sizeof shorter, &err), ENTRAIN_DATA);
}

static void test_a_file_is_itself(void **state) {
    (void)state;
    char path[STORE_PATH + 64], found[STORE_PATH + 128];
    touch("weights.h5", "x");
    in_folder("weights.h5", path);
    assert_int_equal(checkpoint_find(path, true, found, sizeof found, &err), ENTRAIN_OK);
    assert_string_equal(found, path);
}

static void test_prune(void **state) {
    (void)state;
    const int64_t steps[] = {10, 20, 30, 40, 50};
    for (size_t i = 0; i < 5; i++) write_step(steps[i]);
    touch("best.h5", "x");
    touch("step-00000060.h5.tmp", "half-written");
    touch("notes.txt", "mine");
    touch("step-00000050.h5.bak", "mine too");
    touch("step-99.h5", "not a name that the program gives");
    assert_int_equal(checkpoint_set_latest(folder, 20, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_prune(folder, 0, &err), ENTRAIN_OK); /* keep all, but for what is half-written */
    assert_true(there("step-00000010.h5"));
    assert_false(there("step-00000060.h5.tmp"));
    assert_int_equal(checkpoint_prune(folder, 2, &err), ENTRAIN_OK);
    assert_true(there("step-00000050.h5"));
    assert_true(there("step-00000040.h5"));
    assert_false(there("step-00000030.h5"));
    assert_true(there("step-00000020.h5")); /* `latest` never points to nothing */
    assert_false(there("step-00000010.h5"));
    assert_true(there("best.h5"));
    assert_true(there("notes.txt") && there("step-00000050.h5.bak") && there("step-99.h5"));
    assert_true(there("latest"));
    assert_int_equal(checkpoint_prune("no/such/run", 2, &err), ENTRAIN_DATA);
}

static int open_backend(void **state) {
    (void)state;
    return backend_open_cpu(1, &be, &err) == ENTRAIN_OK ? 0 : -1;
}

static int close_backend(void **state) {
    (void)state;
    backend_close(be);
    return 0;
}

int main(void) {
#define ROW(test) cmocka_unit_test_setup_teardown(test, make, clear)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), ROW(test_latest_is_followed), ROW(test_without_latest),
        ROW(test_nothing_to_find),    ROW(test_a_file_is_itself),   ROW(test_prune),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
