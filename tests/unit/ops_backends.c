/* The backends that the operations are tested on. */
#include "ops_backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "guarded_backend.h"

typedef struct backend_row {
    const char *device; /* as ENTRAIN_TEST_DEVICE names it */
    const char *name;
    entrain_status (*open)(int threads, backend **out, entrain_error *err);
} backend_row;

#ifdef ENTRAIN_HAVE_CUDA
static entrain_status open_cuda(int threads, backend **out, entrain_error *err) {
    const char *rank = getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    const int devices = backend_cuda_devices(err);
    if (devices == 0) return ENTRAIN_DEVICE;
    return backend_open_cuda(rank != NULL ? atoi(rank) % devices : 0, threads, out, err);
}
#endif

static const backend_row BACKENDS[] = {
    {"cpu", "cpu", backend_open_cpu},
    {"cpu", "guarded", backend_open_guarded},
#ifdef ENTRAIN_HAVE_CUDA
    {"cuda", "cuda", open_cuda},
#endif
};
enum { BACKEND_COUNT = sizeof BACKENDS / sizeof *BACKENDS, THREADS = 2 };

static const backend_row *current;

static const char *device(void) {
    const char *named = getenv("ENTRAIN_TEST_DEVICE");
    return named != NULL && *named != '\0' ? named : "cpu";
}

static bool chosen(const backend_row *row) {
    return strcmp(row->device, device()) == 0;
}

static int open_current(void **state) {
    entrain_error err = {0};
    backend *be = NULL;
    if (current->open(THREADS, &be, &err) != ENTRAIN_OK) {
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

static int run_on(const backend_row *row, const struct CMUnitTest *tests, size_t count) {
    current = row;
    return _cmocka_run_group_tests(row->name, tests, count, open_current, close_current);
}

bool test_device_missing(void) {
    entrain_error why = {0};
    if (strcmp(device(), "cuda") != 0 || backend_cuda_devices(&why) > 0) return false;
    (void)printf("%s\n", why.text);
    return true;
}

int ops_run(const struct CMUnitTest *tests, size_t count) {
    if (test_device_missing()) return TEST_SKIPPED;
    int failed = 0, run = 0;
    for (int k = 0; k < BACKEND_COUNT; k++) {
        if (!chosen(&BACKENDS[k])) continue;
        failed += run_on(&BACKENDS[k], tests, count);
        run++;
    }
    if (run > 0) return failed;
    (void)fprintf(stderr, "ENTRAIN_TEST_DEVICE=%s: this build has no such device\n", device());
    return 1;
}

int ops_run_cpu(const struct CMUnitTest *tests, size_t count) {
    return chosen(&BACKENDS[0]) ? run_on(&BACKENDS[0], tests, count) : 0;
}

entrain_status open_test_ranks(backend *be, comm **out, entrain_error *err) {
    comm *between = NULL;
    entrain_status status = comm_open(out, err);
    if (status != ENTRAIN_OK || be->stream == NULL || (*out)->size == 1) return status;
    status = comm_open_nccl(*out, &between, err);
    if (status != ENTRAIN_OK) return status;
    be->watch = comm_watch;
    be->watched = *out = between;
    return ENTRAIN_OK;
}

entrain_status open_test_backend(int threads, backend **out, entrain_error *err) {
    for (int k = 0; k < BACKEND_COUNT; k++)
        if (chosen(&BACKENDS[k])) return BACKENDS[k].open(threads, out, err);
    return error_set(err, ENTRAIN_DEVICE, "ENTRAIN_TEST_DEVICE=%s: this build has no such device", device());
}
