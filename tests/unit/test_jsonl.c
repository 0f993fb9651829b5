/* metrics.jsonl: the lines' exact form, numbers that come back exactly, and cutting the file back on resuming. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "small_store.h"
#include "train/jsonl.h"

static char folder[STORE_PATH], path[STORE_PATH + 64];
static entrain_error err;

static int make(void **state) {
    (void)state;
    store_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    return 0;
}

static int clear(void **state) {
    (void)state;
    store_folder_remove(folder);
    return 0;
}

static void assert_holds(const char *expected) {
    size_t size;
    uint8_t *bytes = store_read_bytes(path, &size);
    bytes[size] = 0;
    assert_string_equal((const char *)bytes, expected);
    free(bytes);
}

static jsonl_train train_line(int64_t step) {
    return (jsonl_train){.step = step,
                         .epoch = 0.5,
                         .loss = 1.0 / 3.0,
                         .aux_loss = (double)NAN,
                         .accuracy = 0.25,
                         .lr = 0.0099,
                         .grad_norm = (double)INFINITY,
                         .images_per_second = 51.25,
                         .step_ms = 312.5,
                         .data_ms = 4.0,
                         .comm_ms = 21.0,
                         .memory_mib = 1024.0};
}

static void test_lines(void **state) {
    (void)state;
    jsonl *j = NULL;
    const int64_t matrix[4] = {3, 1, 0, 0};
    const double scales[] = {1.0};
    const metrics_setting setting = {.step = 50, .scales = scales, .scale_count = 1, .images = 7};
    const jsonl_train line = train_line(50);
    metrics m;
    metrics_compute(matrix, 2, &m);
    assert_int_equal(jsonl_open(path, &j, &err), ENTRAIN_OK);
    assert_int_equal(jsonl_write_train(j, &line, &err), ENTRAIN_OK);
    jsonl_close(j);
    assert_int_equal(jsonl_open(path, &j, &err), ENTRAIN_OK); /* appends */
    assert_int_equal(jsonl_write_eval(j, &m, &setting, &err), ENTRAIN_OK);
    assert_holds(
        "{\"kind\":\"train\",\"step\":50,\"epoch\":0.5,\"loss\":0.33333333333333331,\"aux_loss\":null,\"accuracy\":0.25,\"lr\":0.0099,"
        "\"grad_norm\":null,\"images_per_second\":51.25,\"step_ms\":312.5,\"data_ms\":4,\"comm_ms\":21,\"memory_mib\":1024}\n"
        "{\"kind\":\"eval\",\"step\":50,\"miou\":0.375,\"macc\":0.75,\"aacc\":0.75,\"iou\":[0.75,0],\"scales\":[1],\"flip\":false,"
        "\"images\":7}\n");
    jsonl_close(j);
}

static void test_unwritable(void **state) {
    (void)state;
    jsonl *j = NULL;
    assert_int_equal(jsonl_open("no/such/folder/metrics.jsonl", &j, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "no/such/folder/metrics.jsonl"));
    assert_null(j);
}

static void test_full_disk(void **state) {
    (void)state;
    jsonl *j = NULL;
    const jsonl_train line = train_line(1);
    struct rlimit before, limit = {.rlim_cur = 300, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit.rlim_max = before.rlim_max;
    assert_int_equal(jsonl_open(path, &j, &err), ENTRAIN_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const entrain_status first = jsonl_write_train(j, &line, &err), second = jsonl_write_train(j, &line, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    jsonl_close(j);
    assert_int_equal(first, ENTRAIN_OK);
    assert_int_equal(second, ENTRAIN_DATA);
    assert_non_null(strstr(err.text, path));
}

static void test_cut_back(void **state) {
    (void)state;
    static const char text[] = "{\"kind\":\"train\",\"step\":50,\"loss\":1}\n"
                               "{\"kind\":\"eval\",\"step\":100}\n"
                               "{\"kind\":\"train\",\"step\":150}\n"
                               "not a line\n"
                               "{\"kind\":\"train\",\"step\":100,\"l\n"
                               "{\"kind\":\"train\",\"step\":99} {}\n"
                               "\n"
                               "{\"kind\":\"eval\",\"step\":101}\n"
                               "{\"step\":3,\"kind\":\"train\"}\n"
                               "{\"kind\":\"train\",\"step\":60}";
    store_write_bytes(path, text, sizeof text - 1);
    assert_int_equal(jsonl_truncate_after(path, 100, &err), ENTRAIN_OK);
    assert_holds("{\"kind\":\"train\",\"step\":50,\"loss\":1}\n{\"kind\":\"eval\",\"step\":100}\n{\"step\":3,\"kind\":\"train\"}\n");
    assert_int_equal(jsonl_truncate_after(path, 0, &err), ENTRAIN_OK);
    assert_holds("");
}

static void test_nothing_to_cut(void **state) {
    (void)state;
    assert_int_equal(jsonl_truncate_after(path, 100, &err), ENTRAIN_OK);
    assert_false(store_exists(path));
    store_write_bytes(path, "{\"step\":7}\n", 11);
    assert_int_equal(jsonl_truncate_after(path, 7, &err), ENTRAIN_OK);
    assert_holds("{\"step\":7}\n");
}

int main(void) {
#define ROW(test) cmocka_unit_test_setup_teardown(test, make, clear)
    const struct CMUnitTest tests[] = {
        ROW(test_lines), ROW(test_unwritable), ROW(test_full_disk), ROW(test_cut_back), ROW(test_nothing_to_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
