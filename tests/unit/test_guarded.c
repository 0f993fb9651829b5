/* The guarded backend catches what it is for: each mistake is made in a process of its own, which must not end well. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "guarded_backend.h"
#include "ops_check.h"

enum { N = 100 };

typedef void mistake(backend *be, float *device, float *host);

static void none(backend *be, float *device, float *host) {
    be->ops->upload(be, device, host, N * sizeof *host);
    be->ops->relu_forward(be, device, device, N, F32);
    be->ops->download(be, host, device, N * sizeof *host);
}

static void host_reads_device(backend *be, float *device, float *host) {
    (void)be;
    host[0] = *(volatile float *)device;
}

static void host_writes_device(backend *be, float *device, float *host) {
    be->ops->upload(be, device, host, N * sizeof *host);
    *(volatile float *)device = 1.0f;
}

static void device_gets_host(backend *be, float *device, float *host) {
    be->ops->relu_forward(be, host, device, N, F32);
}

static void upload_from_device(backend *be, float *device, float *host) {
    (void)host;
    be->ops->upload(be, device, device, N * sizeof *device);
}

static void writes_behind(backend *be, float *device, float *host) {
    (void)host;
    be->ops->zero(be, device, 8192);
}

static void keeps_memory(backend *be, float *device, float *host) {
    (void)device, (void)host;
    assert_non_null(be->ops->alloc(be, 1));
}

/* Whether the process that does this ends with exit code 0. */
static bool ends_well(mistake *make) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        backend *be = NULL;
        float host[N] = {0};
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test */
        (void)freopen("/dev/null", "w", stderr);
        if (backend_open_guarded(1, &be, NULL) != ENTRAIN_OK) _exit(0);
        float *device = check_blank(be, N);
        make(be, device, host);
        be->ops->release(be, device);
        backend_close(be);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void mistakes_are_caught(void **state) {
    (void)state;
    assert_true(ends_well(none));
    mistake *const mistakes[] = {host_reads_device, host_writes_device, device_gets_host, upload_from_device, writes_behind, keeps_memory};
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        if (ends_well(mistakes[i])) fail_msg("mistake %zu is not caught", i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes_are_caught)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
