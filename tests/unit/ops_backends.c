/* The backends that the operations are tested on. */
#include "ops_backends.h"

#include <stdio.h>

typedef struct backend_row {
    const char *name;
    entrain_status (*open)(backend **out, entrain_error *err);
} backend_row;

static entrain_status open_cpu(backend **out, entrain_error *err) {
    return backend_open_cpu(2, out, err);
}

static const backend_row BACKENDS[] = {
    {"cpu", open_cpu},
};

static const backend_row *current;

static int open_current(void **state) {
    entrain_error err = {0};
    backend *be = NULL;
    if (current->open(&be, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s: %s\n", current->name, err.text);
        return -1;
    }
    *state = be;
    return 0;
}

static int close_current(void **state) {
    backend *be = *state;
    entrain_error err = {0};
    const int failed = be->ops->status(be, &err) != ENTRAIN_OK;
    if (failed) (void)fprintf(stderr, "%s: %s\n", current->name, err.text);
    backend_close(be);
    return failed ? -1 : 0;
}

int ops_run(const struct CMUnitTest *tests, size_t count) {
    int failed = 0;
    for (size_t k = 0; k < sizeof BACKENDS / sizeof *BACKENDS; k++) {
        current = &BACKENDS[k];
        failed += _cmocka_run_group_tests(current->name, tests, count, open_current, close_current);
    }
    return failed;
}
