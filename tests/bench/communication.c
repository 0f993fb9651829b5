/*
 * What communication takes: the collective of a synchronised bn, and sums of gradients, blocking and behind computing.
 * usage: mpirun -np 2 --bind-to core bench_communication [MIB]      MIB: of gradients, default 160
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "comm/comm.h"

enum { REPEATS = 1000, PASSES = 5 };

static comm *world;

static int compare(const void *one, const void *other) {
    const double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

static void must(entrain_status status) {
    if (status == ENTRAIN_OK) return;
    (void)fprintf(stderr, "%s\n", world->error.text);
    comm_abort(world, (int)status);
}

/* One allreduce a layer and direction: sums, sums of squares and the count of C channels. */
static void bn_latency(int channels) {
    static double times[REPEATS], sums[2 * 2048 + 1];
    const size_t count = 2 * (size_t)channels + 1;
    memset(sums, 0, sizeof sums);
    for (int k = -20; k < REPEATS; k++) {
        const double since = log_seconds();
        must(comm_allreduce(world, sums, count, COMM_F64, NULL));
        if (k >= 0) times[k] = 1e6 * (log_seconds() - since);
    }
    qsort(times, REPEATS, sizeof times[0], compare);
    log_info("  %5d channels, %6zu bytes   %9.1f %9.1f %9.1f", channels, count * sizeof(double), times[0], times[REPEATS / 2],
             times[REPEATS - 1]);
}

/* Something to do that stays within the core: what it takes does not depend on memory. */
static double compute(double seconds) {
    const double until = log_seconds() + seconds;
    volatile double x = 1.0;
    while (log_seconds() < until)
        for (int i = 0; i < 1000; i++) x = x * 1.0000001 + 1e-9;
    return x;
}

/* Sum the whole in parts, `between` seconds of computing before each. Returns what all of it took, and in *spent what the calls took. */
static double pass(float *data, size_t count, size_t part, bool blocking, double between, double *spent) {
    must(comm_barrier(world));
    (void)comm_take_seconds(world);
    const double since = log_seconds();
    for (size_t at = 0; at < count; at += part) {
        const size_t n = count - at < part ? count - at : part;
        for (int look = 0; look < 4; look++) { /* a bucket is filled by several layers */
            if (between > 0.0) (void)compute(between / 4);
            if (!blocking) must(comm_progress(world));
        }
        must(comm_allreduce_start(world, data + at, n, COMM_F32, NULL));
        if (blocking) must(comm_allreduce_wait(world, NULL));
    }
    must(comm_allreduce_wait(world, NULL));
    const double seconds = log_seconds() - since;
    *spent = comm_take_seconds(world);
    return seconds;
}

static double best_pass(float *data, size_t count, size_t part, bool blocking, double between, double *spent) {
    double best = 1e30;
    for (int k = 0; k < PASSES; k++) {
        double mine = 0.0;
        const double seconds = pass(data, count, part, blocking, between, &mine);
        if (seconds >= best) continue;
        best = seconds;
        *spent = mine;
    }
    return best;
}

static void gradient_sums(const char *memory, float *data, size_t count) {
    const double work = 0.4; /* seconds of computing: about half of a step */
    log_info("gradients, %.0f MiB in %s memory, behind %.0f ms of computing:", (double)count * sizeof *data / 1048576.0, memory,
             1e3 * work);
    log_info("  part MiB   blocking alone   blocking + computing   started + computing   of it in calls   hidden");
    for (size_t kib = 256; kib * 256 <= count; kib *= 4) {
        const size_t part = kib * 256, parts = (count + part - 1) / part;
        double spent = 0.0;
        const double alone = best_pass(data, count, part, true, 0.0, &spent);
        const double blocking = best_pass(data, count, part, true, work / (double)parts, &spent);
        const double started = best_pass(data, count, part, false, work / (double)parts, &spent);
        log_info("  %8.2f %13.1f ms %19.1f ms %18.1f ms %13.1f ms %7.0f %%", (double)kib / 1024.0, 1e3 * alone, 1e3 * blocking,
                 1e3 * started, 1e3 * spent, 100.0 * (1.0 - spent / alone));
    }
}

int main(int argc, char **argv) {
    entrain_error err;
    if (comm_open(&world, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return (int)err.status;
    }
    log_set_rank(world->rank);
    const long mib = argc > 1 ? strtol(argv[1], NULL, 10) : 160;
    const size_t count = (size_t)(mib > 0 ? mib : 1) * 262144;
    log_info("%d ranks (%s)", world->size, world->ops->name);
    log_info("bn's collective, microseconds:  minimum    median   maximum");
    for (int channels = 64; channels <= 2048; channels *= 2) bn_latency(channels);
    float *shared = comm_alloc_shared(world, count * sizeof *shared);
    if (shared != NULL)
        gradient_sums("shared", shared, count);
    else
        log_info("no shared memory: one rank, several hosts, or forbidden");
    float *any = memory_alloc(count * sizeof *any);
    if (any != NULL) gradient_sums("any", any, count);
    memory_free(any);
    if (shared != NULL) comm_release_shared(world, shared);
    comm_close(world);
    return 0;
}
