/* See small_store.h. */
#include "small_store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const checkpoint_meta store_meta = {
    .step = 1234,
    .seed = UINT64_C(9007199254740991),
    .config_json = "{\"model\":{\"backbone\":\"resnet18\"}}",
    .dataset_json = "{\"dataset\":\"caf\xc3\xa9\"}",
    .best_miou = 0.4375,
};

params store_make(backend *be) {
    static const param descriptions[] = {
        {.name = "backbone.conv1.weight", .rank = 4, .dims = {8, 3, 3, 3}, .learned = true, .decay = true},
        {.name = "backbone.bn1.weight", .rank = 2, .dims = {3, 8}, .learned = true, .methods = "bn,in,ln"},
        {.name = "backbone.bn1.bias", .rank = 2, .dims = {3, 8}, .learned = true},
        {.name = "backbone.bn1.ratio.fc1.weight", .rank = 2, .dims = {75, 9}, .learned = true, .decay = true},
        {.name = "backbone.bn1.running_mean", .rank = 1, .dims = {8}, .learned = false},
        {.name = "backbone.bn1.running_var", .rank = 1, .dims = {8}, .learned = false},
        {.name = "head.convs.0.weight", .rank = 4, .dims = {5, 8, 1, 1}, .learned = true, .head = true, .decay = true},
        {.name = "head.convs.0.bias", .rank = 1, .dims = {5}, .learned = true, .head = true},
    };
    params p = {0};
    entrain_error err = {0};
    for (size_t i = 0; i < sizeof descriptions / sizeof descriptions[0]; i++) assert_true(params_add(&p, &descriptions[i]) >= 0);
    assert_int_equal(params_allocate(&p, be, true, &err), ENTRAIN_OK);
    return p;
}

static void fill(const params *p, float *to, size_t count, unsigned *state) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        *state = *state * 1664525u + 1013904223u;
        values[i] = (float)(int)(*state >> 8) / 8388608.0f - 1.0f;
    }
    p->be->ops->upload(p->be, to, values, count * sizeof *values);
    free(values);
}

void store_fill(params *p, unsigned seed) {
    for (int i = 0; i < p->count; i++) {
        fill(p, params_value(p, i), p->list[i].count, &seed);
        if (params_momentum(p, i) != NULL) fill(p, params_momentum(p, i), p->list[i].count, &seed);
    }
}

static bool same_values(const params *a, const float *x, const params *b, const float *y, size_t count) {
    float *host = calloc(2 * count, sizeof *host);
    assert_non_null(host);
    a->be->ops->download(a->be, host, x, count * sizeof *host);
    b->be->ops->download(b->be, host + count, y, count * sizeof *host);
    const bool same = memcmp(host, host + count, count * sizeof *host) == 0;
    free(host);
    return same;
}

bool store_equal(const params *a, const params *b) {
    for (int i = 0; i < a->count; i++) {
        if (!same_values(a, params_value(a, i), b, params_value(b, i), a->list[i].count)) return false;
        if (params_momentum(a, i) != NULL && !same_values(a, params_momentum(a, i), b, params_momentum(b, i), a->list[i].count))
            return false;
    }
    return true;
}

void store_folder_make(char folder[STORE_PATH]) {
    char inner[STORE_PATH + 16];
    (void)snprintf(folder, STORE_PATH, "%s/entrain-store-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(inner, sizeof inner, "%s/checkpoints", folder);
    assert_int_equal(mkdir(inner, 0777), 0);
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where) {
    (void)s, (void)kind, (void)where;
    return remove(path);
}

void store_folder_remove(const char *folder) {
    assert_int_equal(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

uint8_t *store_read_bytes(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    (void)fclose(f);
    return bytes;
}

void store_write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

bool store_exists(const char *path) {
    return access(path, F_OK) == 0;
}
