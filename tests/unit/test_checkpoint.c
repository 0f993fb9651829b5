/* Checkpoints: what is written comes back bit for bit, what does not fit is listed, weights of other programs are taken, and run folders
 * are kept in order. */
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hdf5_file.h"
#include "small_store.h"

static backend *be;
static params source, target;
static char folder[STORE_PATH], path[STORE_PATH + 64];
static entrain_error err;

static int make(void **state) {
    (void)state;
    source = store_make(be);
    target = store_make(be);
    store_fill(&source, 1);
    store_fill(&target, 2);
    store_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/a.h5", folder);
    err = (entrain_error){0};
    return 0;
}

static int clear(void **state) {
    (void)state;
    params_free(&source);
    params_free(&target);
    store_folder_remove(folder);
    return 0;
}

static void write_source(void) {
    assert_int_equal(checkpoint_write(path, &source, &store_meta, &err), ENTRAIN_OK);
}

static void assert_says(const char *text) {
    if (strstr(err.text, text) == NULL) fail_msg("the message does not say \"%s\":\n%s", text, err.text);
}

static void free_meta(const checkpoint_meta *meta) {
    free((void *)(uintptr_t)meta->config_json);
    free((void *)(uintptr_t)meta->dataset_json);
}

/* ---- reading back ---- */

static void test_round_trip(void **state) {
    (void)state;
    write_source();
    assert_false(store_equal(&source, &target));
    checkpoint_meta meta = {0};
    assert_int_equal(checkpoint_read(path, &target, true, true, &meta, &err), ENTRAIN_OK);
    assert_true(store_equal(&source, &target));
    assert_int_equal(meta.step, store_meta.step);
    assert_true(meta.seed == store_meta.seed);
    assert_true(meta.best_miou == store_meta.best_miou);
    assert_string_equal(meta.config_json, store_meta.config_json);
    assert_string_equal(meta.dataset_json, store_meta.dataset_json);
    free_meta(&meta);
}

/* Evaluation reads the weights alone, into a store without momentum. */
static void test_weights_alone(void **state) {
    (void)state;
    write_source();
    params_free(&target);
    params full = store_make(be);
    for (int i = 0; i < full.count; i++) assert_true(params_add(&target, &full.list[i]) >= 0);
    params_free(&full);
    assert_int_equal(params_allocate(&target, be, false, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_read(path, &target, false, false, NULL, &err), ENTRAIN_OK);
    assert_true(store_equal(&target, &source));
    /* and writes a file without /optimizer, from which training cannot go on */
    assert_int_equal(checkpoint_write(path, &target, &store_meta, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_read(path, &source, true, true, NULL, &err), ENTRAIN_DATA);
    assert_says("no group /optimizer/momentum");
}

static void test_equal_contents_make_equal_files(void **state) {
    (void)state;
    size_t sizes[2];
    uint8_t *bytes[2];
    for (int i = 0; i < 2; i++) {
        write_source();
        bytes[i] = store_read_bytes(path, &sizes[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
    free(bytes[1]);
}

/* Longer than the 64 KiB that an HDF5 attribute can hold in an object's header. */
static void test_long_config(void **state) {
    (void)state;
    char *text = malloc(200001), *back = NULL;
    assert_non_null(text);
    memset(text, 'x', 200000);
    text[200000] = '\0';
    checkpoint_meta meta = store_meta;
    meta.config_json = text;
    meta.dataset_json = NULL;
    assert_int_equal(checkpoint_write(path, &source, &meta, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_read_config(path, &back, &err), ENTRAIN_OK);
    assert_string_equal(back, text);
    free(back);
    assert_int_equal(checkpoint_read_dataset(path, &back, &err), ENTRAIN_OK);
    assert_null(back);
    assert_int_equal(checkpoint_read(path, &target, true, true, NULL, &err), ENTRAIN_OK);
    free(text);
}

static void test_nowhere(void **state) {
    (void)state;
    (void)snprintf(path, sizeof path, "%s/no/such/folder.h5", folder);
    assert_int_equal(checkpoint_write(path, &source, &store_meta, &err), ENTRAIN_DATA);
    assert_says(path);
    assert_says("No such file or directory");
    assert_int_equal(checkpoint_read(path, &target, true, true, NULL, &err), ENTRAIN_DATA);
    assert_says(path);
    assert_says("No such file or directory");
}

/* ---- what does not fit ---- */

static void test_all_differences_are_listed(void **state) {
    (void)state;
    write_source();
    params other = {0};
    for (int i = 0; i < source.count; i++) {
        param q = source.list[i];
        if (strcmp(q.name, "backbone.conv1.weight") == 0) q.dims[1] = 4;
        if (strcmp(q.name, "backbone.bn1.weight") == 0) (void)snprintf(q.methods, sizeof q.methods, "in,bn,ln");
        if (strcmp(q.name, "head.convs.0.bias") == 0) (void)snprintf(q.name, sizeof q.name, "head.convs.0.shift");
        assert_true(params_add(&other, &q) >= 0);
    }
    assert_int_equal(params_allocate(&other, be, true, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_read(path, &other, true, true, NULL, &err), ENTRAIN_DATA);
    assert_says("/model/backbone.conv1.weight is (8,3,3,3), expected (8,4,3,3)");
    assert_says("/optimizer/momentum/backbone.conv1.weight is (8,3,3,3), expected (8,4,3,3)");
    assert_says("/model/backbone.bn1.weight has norm methods \"bn,in,ln\", expected \"in,bn,ln\"");
    assert_says("/model/head.convs.0.shift is missing, expected (5)");
    assert_says("/model/head.convs.0.bias is not part of this network");
    assert_null(strstr(err.text, "running_mean"));
    params_free(&other);
}

static void test_differences_beyond_the_room(void **state) {
    (void)state;
    write_source();
    params other = {0};
    for (int i = 0; i < 400; i++) {
        param q = {.rank = 1, .dims = {3}, .learned = true};
        (void)snprintf(q.name, sizeof q.name, "a.network.with.many.layers.%d.weight", i);
        assert_true(params_add(&other, &q) >= 0);
    }
    assert_int_equal(params_allocate(&other, be, true, &err), ENTRAIN_OK);
    assert_int_equal(checkpoint_read(path, &other, false, false, NULL, &err), ENTRAIN_DATA);
    assert_says("layers.0.weight is missing");
    const char *last = strstr(err.text, "  and ");
    assert_non_null(last);
    int lines = 0, unsaid = 0;
    for (const char *c = err.text; c < last; c++) lines += *c == '\n';
    assert_int_equal(sscanf(last, "  and %d more", &unsaid), 1);
    assert_int_equal(lines - 1 + unsaid, 400 + source.count);
    params_free(&other);
}

/* ---- files of other programs ---- */

static void put_doubles(hid_t group, const char *name, int rank, const hsize_t dims[], double first) {
    double values[512];
    for (int i = 0; i < 512; i++) values[i] = first + i;
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t set = H5Dcreate2(group, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    (void)H5Dclose(set);
    (void)H5Sclose(space);
}

/* /model with a fitting convolution, a norm layer of another shape, fitting statistics and a classification layer. */
static void write_foreign(void) {
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t group = H5Gcreate2(file, "/model", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_doubles(group, "backbone.conv1.weight", 4, (const hsize_t[]){8, 3, 3, 3}, 0.5);
    put_doubles(group, "backbone.bn1.weight", 1, (const hsize_t[]){8}, 1000.0);
    put_doubles(group, "backbone.bn1.running_mean", 1, (const hsize_t[]){8}, 2000.0);
    put_doubles(group, "backbone.fc.bias", 1, (const hsize_t[]){10}, 3000.0);
    (void)H5Gclose(group);
    (void)H5Fclose(file);
}

static float value_of(const params *p, const char *name, int element) {
    float *values = malloc(8192);
    const int index = params_find(p, name);
    assert_true(values != NULL && index >= 0);
    p->be->ops->download(p->be, values, params_value(p, index), p->list[index].count * sizeof *values);
    const float value = values[element];
    free(values);
    return value;
}

static void test_init_takes_what_fits(void **state) {
    (void)state;
    write_foreign();
    int taken = -1, left = -1;
    const float before = value_of(&target, "backbone.bn1.weight", 3);
    assert_int_equal(checkpoint_read_init(path, &target, &taken, &left, &err), ENTRAIN_OK);
    assert_int_equal(taken, 2);
    assert_int_equal(left, target.count - 2);
    assert_true(value_of(&target, "backbone.conv1.weight", 215) == 215.5f);
    assert_true(value_of(&target, "backbone.bn1.running_mean", 7) == 2007.0f);
    assert_true(value_of(&target, "backbone.bn1.weight", 3) == before);
    /* as a checkpoint it does not fit, and has no checksum */
    assert_int_equal(checkpoint_read(path, &target, false, false, NULL, &err), ENTRAIN_DATA);
    assert_says("/model/backbone.fc.bias is not part of this network");
    assert_int_equal(checkpoint_read(path, &target, true, false, NULL, &err), ENTRAIN_DATA);
    assert_says("no attribute `checksum`");
    char *json = NULL;
    assert_int_equal(checkpoint_read_config(path, &json, &err), ENTRAIN_DATA);
    assert_says("no attribute `config`");
}

/* Sets of parameters belong to methods in an order: under another order the layer's are left, but for its statistics. */
static void test_init_minds_methods(void **state) {
    (void)state;
    write_source();
    (void)snprintf(target.list[params_find(&target, "backbone.bn1.weight")].methods, sizeof target.list[0].methods, "ln,in,bn");
    int taken = -1, left = -1;
    assert_int_equal(checkpoint_read_init(path, &target, &taken, &left, &err), ENTRAIN_OK);
    assert_int_equal(left, 3); /* weight, bias, fc1 of the layer */
    assert_true(value_of(&target, "backbone.bn1.running_var", 1) == value_of(&source, "backbone.bn1.running_var", 1));
    assert_false(value_of(&target, "backbone.bn1.bias", 1) == value_of(&source, "backbone.bn1.bias", 1));
}

static void test_init_where_nothing_fits(void **state) {
    (void)state;
    write_foreign();
    params other = {0};
    const param q = {.name = "other.weight", .rank = 1, .dims = {3}, .learned = true};
    assert_true(params_add(&other, &q) >= 0);
    assert_int_equal(params_allocate(&other, be, true, &err), ENTRAIN_OK);
    int taken, left;
    assert_int_equal(checkpoint_read_init(path, &other, &taken, &left, &err), ENTRAIN_DATA);
    assert_says("backbone.bn1.running_mean");
    assert_says("other.weight");
    params_free(&other);
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
        ROW(test_round_trip),
        ROW(test_weights_alone),
        ROW(test_equal_contents_make_equal_files),
        ROW(test_long_config),
        ROW(test_nowhere),
        ROW(test_all_differences_are_listed),
        ROW(test_differences_beyond_the_room),
        ROW(test_init_takes_what_fits),
        ROW(test_init_minds_methods),
        ROW(test_init_where_nothing_fits),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
