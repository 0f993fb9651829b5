/*
 * Damaged checkpoints and full disks. A file with changed, missing or other bytes is refused or reads as it was written, and is never a
 * crash; a write that fails leaves the old file, no rubbish, and a process that ends in order.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "small_store.h"

/* libhdf5 1.10 loses memory, and says "infinite loop closing library" at the end, when the header of an object has a wrong checksum. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static backend *be;
static params source, target;
static char folder[STORE_PATH], path[STORE_PATH + 64];
static uint8_t *bytes; /* of the sound file */
static size_t size;
static entrain_error err;

static int make(void **state) {
    (void)state;
    source = store_make(be);
    target = store_make(be);
    store_fill(&source, 1);
    store_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/a.h5", folder);
    if (checkpoint_write(path, &source, &store_meta, &err) != ENTRAIN_OK) return -1;
    bytes = store_read_bytes(path, &size);
    return 0;
}

static int clear(void **state) {
    (void)state;
    free(bytes);
    params_free(&source);
    params_free(&target);
    store_folder_remove(folder);
    return 0;
}

static bool meta_as_written(const checkpoint_meta *m) {
    return m->step == store_meta.step && m->seed == store_meta.seed && m->best_miou == store_meta.best_miou && m->config_json != NULL &&
           strcmp(m->config_json, store_meta.config_json) == 0 && m->dataset_json != NULL &&
           strcmp(m->dataset_json, store_meta.dataset_json) == 0;
}

/* Read the file as resuming does: false when it is refused. What is accepted must be what was written. */
static bool accepted(void) {
    checkpoint_meta meta = {0};
    store_fill(&target, 2);
    err = (entrain_error){0};
    const entrain_status status = checkpoint_read(path, &target, true, true, &meta, &err);
    if (status != ENTRAIN_OK) {
        assert_int_equal(status, ENTRAIN_DATA);
        assert_non_null(strstr(err.text, path));
        return false;
    }
    assert_true(store_equal(&source, &target));
    assert_true(meta_as_written(&meta));
    free((void *)(uintptr_t)meta.config_json);
    free((void *)(uintptr_t)meta.dataset_json);
    return true;
}

/* The other ways to open it need only not crash. */
static void read_otherwise(void) {
    int taken, left;
    char *json = NULL;
    (void)checkpoint_read_init(path, &target, &taken, &left, &err);
    if (checkpoint_read_config(path, &json, &err) == ENTRAIN_OK) free(json);
}

static void test_changed_bytes(void **state) {
    (void)state;
    random_stream r = random_open(3, RANDOM_TEST, 0);
    int refused = 0;
    for (int i = 0; i < 500; i++) {
        uint8_t *const byte = &bytes[random_below(&r, (uint32_t)size)];
        const uint8_t before = *byte;
        *byte ^= (uint8_t)(1u << random_below(&r, 8));
        store_write_bytes(path, bytes, size);
        refused += !accepted();
        read_otherwise();
        *byte = before;
    }
    assert_in_range(refused, 250, 500); /* what is accepted was changed in gaps between the parts */
}

/* Every byte of a tensor, of a text, and of the step counts. */
static void test_changed_contents(void **state) {
    (void)state;
    float value[4];
    const void *const parts[] = {value, store_meta.config_json, store_meta.dataset_json, "bn,in,ln", &store_meta.seed};
    const size_t lengths[] = {sizeof value, strlen(store_meta.config_json), strlen(store_meta.dataset_json), 8, sizeof store_meta.seed};
    be->ops->download(be, value, params_momentum(&source, 0), sizeof value);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        uint8_t *const at = memmem(bytes, size, parts[k], lengths[k]);
        assert_non_null(at);
        for (size_t i = 0; i < lengths[k]; i++) {
            at[i] ^= 1;
            store_write_bytes(path, bytes, size);
            assert_false(accepted());
            at[i] ^= 1;
        }
    }
    /* a tensor's values are guarded by our checksum, and the message says so */
    uint8_t *const at = memmem(bytes, size, value, sizeof value);
    at[5] ^= 0x40;
    store_write_bytes(path, bytes, size);
    assert_false(accepted());
    assert_non_null(strstr(err.text, "the checksum is wrong"));
    /* and not only when resuming */
    assert_int_equal(checkpoint_read(path, &target, false, false, NULL, &err), ENTRAIN_DATA);
    at[5] ^= 0x40;
    store_write_bytes(path, bytes, size);
    assert_true(accepted());
}

static void test_cut_files(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        store_write_bytes(path, bytes, size * (size_t)i / 100);
        assert_false(accepted());
        read_otherwise();
    }
}

static void test_garbage(void **state) {
    (void)state;
    random_stream r = random_open(4, RANDOM_TEST, 0);
    for (int i = 0; i < 50; i++) {
        /* a sound beginning, then a stretch of noise */
        const size_t begin = i == 0 ? 0 : random_below(&r, (uint32_t)size), end = begin + random_below(&r, (uint32_t)(size - begin));
        uint8_t *noisy = malloc(size);
        assert_non_null(noisy);
        memcpy(noisy, bytes, size);
        for (size_t k = begin; k < end; k++) noisy[k] = (uint8_t)random_u32(&r);
        store_write_bytes(path, noisy, size);
        (void)accepted();
        read_otherwise();
        free(noisy);
    }
}

/* ---- a full disk ---- */

static void limit_files(rlim_t most) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* In a process of its own, for libhdf5 may only fall over when that ends. Returns its exit status, negative for a signal. */
static int in_child(int (*body)(size_t limit), size_t limit) {
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) exit(body(limit));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* 0: refused with the reason, and done once there is room again. */
static int write_with_limit(size_t limit) {
    (void)signal(SIGXFSZ, SIG_IGN);
    store_fill(&source, 7);
    limit_files(limit);
    if (checkpoint_write(path, &source, &store_meta, &err) != ENTRAIN_DATA) return 1;
    limit_files(RLIM_INFINITY);
    if (strstr(err.text, path) == NULL || strstr(err.text, strerror(EFBIG)) == NULL) return 2;
    size_t now = 0;
    uint8_t *kept = store_read_bytes(path, &now);
    const bool same = now == size && memcmp(kept, bytes, size) == 0;
    free(kept);
    if (!same) return 3;
    char temporary[STORE_PATH + 80];
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (store_exists(temporary)) return 4;
    if (checkpoint_write(path, &source, &store_meta, &err) != ENTRAIN_OK) return 5;
    if (checkpoint_read(path, &target, true, true, NULL, &err) != ENTRAIN_OK) return 6;
    return store_equal(&source, &target) ? 0 : 7;
}

static void test_full_disk(void **state) {
    (void)state;
    for (size_t limit = 0; limit < size; limit += limit < 512 ? 64 : 997) {
        assert_int_equal(in_child(write_with_limit, limit), 0);
        store_write_bytes(path, bytes, size);
    }
    assert_int_equal(in_child(write_with_limit, size - 1), 0);
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
        ROW(test_full_disk), /* first: its children should find libhdf5 as it is without damaged files */
        ROW(test_changed_bytes), ROW(test_changed_contents), ROW(test_cut_files), ROW(test_garbage),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
