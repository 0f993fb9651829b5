/* entrain bench: some training steps, taken apart by timing the backend's operations, and the floors to hold them against. */
#include "train/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"

enum { DEFAULT_STEPS = 10, DEFAULT_WARMUP = 3, KERNEL_ROUNDS = 3, COPY_ROUNDS = 5 };
static const size_t COPY_FLOATS = (size_t)1 << 24; /* 64 MiB: more than the caches that a step's maps would fit into */

/* Random pixels and labels, some of them ignored. */
static entrain_status fill_batch(trainer *t, entrain_error *err) {
    const size_t pixels = (size_t)(t->end - t->begin) * (size_t)t->height * (size_t)t->width;
    uint8_t *images = malloc(3 * pixels);
    uint8_t *labels = malloc(pixels);
    if (images != NULL && labels != NULL) {
        random_stream s = random_open(t->c->train.seed, RANDOM_TEST, (uint64_t)t->begin);
        for (size_t i = 0; i < 3 * pixels; i++) images[i] = (uint8_t)random_range(&s, 0.0, 256.0);
        for (size_t i = 0; i < pixels; i++) {
            const int label = (int)random_range(&s, 0.0, 1.05 * t->classes);
            labels[i] = (uint8_t)(label < t->classes ? label : 255);
        }
        backend *be = t->job->be;
        tensor normalised = {t->images, (int)(t->end - t->begin), t->height, t->width, 3, t->type};
        be->ops->upload(be, t->bytes[0], images, 3 * pixels);
        be->ops->upload(be, t->labels[0], labels, pixels);
        be->ops->normalise(be, t->bytes[0], t->c->data.mean, t->c->data.std, &normalised);
    }
    const bool done = images != NULL && labels != NULL;
    free(images);
    free(labels);
    return done ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "out of memory for random images");
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarise(double *seconds, int steps, bench_figures *f) {
    for (int i = 0; i < steps; i++) f->mean += 1e3 * seconds[i] / steps;
    qsort(seconds, (size_t)steps, sizeof *seconds, ascending);
    f->shortest = 1e3 * seconds[0];
    f->median = 0.5e3 * (seconds[(steps - 1) / 2] + seconds[steps / 2]);
    f->longest = 1e3 * seconds[steps - 1];
}

/* Take the steps; fills everything but floors and memory. bytes: of a step, by kind. */
static entrain_status measure_steps(trainer *t, int warmup, int steps, bench_figures *f, double *bytes, entrain_error *err) {
    double *seconds = calloc((size_t)steps, sizeof *seconds);
    if (seconds == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for measuring");
    entrain_status status = ENTRAIN_OK;
    step_result r;
    for (int i = 0; i < warmup + steps && status == ENTRAIN_OK; i++) {
        if (i == warmup) {
            (void)backend_take_times(t->job->be);
            (void)comm_take_seconds(t->job->c);
        }
        const double since = log_seconds();
        status = trainer_step(t, false, &r, err);
        if (status == ENTRAIN_OK) status = trainer_read(t, &r, err);
        if (i < warmup) continue;
        seconds[i - warmup] = log_seconds() - since;
        f->data += 1e3 * r.data_seconds / steps;
    }
    if (status == ENTRAIN_OK) {
        const op_times times = backend_take_times(t->job->be);
        f->steps = steps;
        f->communication = 1e3 * comm_take_seconds(t->job->c) / steps;
        summarise(seconds, steps, f);
        f->other = f->mean - f->communication - f->data;
        for (int k = 0; k < OP_KINDS; k++) {
            f->operation[k] = 1e3 * times.seconds[k] / steps;
            f->other -= f->operation[k];
            bytes[k] = times.bytes[k] / steps;
        }
    }
    free(seconds);
    return status;
}

/* Bytes per second that a copy reads and writes, on this rank's threads, while the other ranks do the same. 0 without memory. */
static double copy_rate(trainer *t) {
    backend *be = t->job->be;
    float *from = be->ops->alloc(be, COPY_FLOATS * sizeof *from), *to = be->ops->alloc(be, COPY_FLOATS * sizeof *to);
    const void *const inputs[1] = {from};
    double best = 0.0;
    (void)comm_barrier(t->job->c);
    for (int i = 0; i < COPY_ROUNDS && from != NULL && to != NULL; i++) {
        const double since = log_seconds();
        be->ops->add(be, inputs, 1, to, COPY_FLOATS, F32);
        be->ops->finish(be);
        const double rate = 2.0 * (double)COPY_FLOATS * sizeof *from / (log_seconds() - since);
        if (rate > best) best = rate;
    }
    if (from != NULL) be->ops->release(be, from);
    if (to != NULL) be->ops->release(be, to);
    return best;
}

/* The shortest of some rounds over the convolutions' kernels: milliseconds of each pass. */
static entrain_status measure_kernels(trainer *t, bool plain, double shortest[3], bench_figures *f, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    for (int i = 0; i < KERNEL_ROUNDS && status == ENTRAIN_OK; i++) {
        double seconds[3], operations;
        (void)comm_barrier(t->job->c); /* all ranks at it together, as in a step */
        status = net_time_kernels(t->net, plain, seconds, &operations, err);
        f->operations = operations / 1e9;
        for (int k = 0; k < 3; k++)
            if (i == 0 || 1e3 * seconds[k] < shortest[k]) shortest[k] = 1e3 * seconds[k];
    }
    return status;
}

/* Floors: of convolutions their kernels alone, of sweeps over maps the bytes that they cannot avoid. */
static entrain_status measure_floors(trainer *t, const double *bytes, bench_figures *f, entrain_error *err) {
    double library[3] = {0.0, 0.0, 0.0};
    entrain_status status = measure_kernels(t, false, &f->floor[OP_CONV_FORWARD], f, err);
    if (status == ENTRAIN_OK) status = measure_kernels(t, true, library, f, err);
    for (int k = 0; k < 3; k++) {
        f->convolutions += f->floor[OP_CONV_FORWARD + k];
        f->library += library[k];
    }
    const double rate = copy_rate(t);
    f->copy_rate = rate / 1e9;
    for (int k = 0; k < OP_KINDS; k++)
        if (bytes[k] > 0.0 && rate > 0.0) f->floor[k] = 1e3 * bytes[k] / rate;
    return status;
}

static entrain_status measure(trainer *t, const entrain_bench_options *o, bench_figures *f, entrain_error *err) {
    double bytes[OP_KINDS] = {0.0};
    const int steps = o->steps > 0 ? o->steps : DEFAULT_STEPS, warmup = o->steps > 0 ? o->warmup : DEFAULT_WARMUP;
    entrain_status status = t->train == NULL ? fill_batch(t, err) : trainer_start_loader(t, err);
    if (status == ENTRAIN_OK) status = backend_time(t->job->be, err);
    status = job_agree(t->job, status, err);
    if (status == ENTRAIN_OK) {
        t->job->agreed = false;
        status = measure_steps(t, warmup, steps, f, bytes, err);
    }
    if (status != ENTRAIN_OK) return status;
    f->planned = trainer_planned_bytes(t) / 1048576.0;
    f->peak = memory_peak_mib();
    return measure_floors(t, bytes, f, err);
}

entrain_status entrain_bench(entrain_job *job, const entrain_config *settings, const entrain_bench_options *options, entrain_error *err) {
    trainer t;
    bench_figures f = {.before = memory_resident_mib()};
    config c = settings->c;
    const int64_t needed = (options->steps > 0 ? options->steps + options->warmup : DEFAULT_STEPS + DEFAULT_WARMUP);
    if (c.train.iterations < needed) c.train.iterations = needed; /* the loader prepares no more than a run would take */
    c.data.val[0] = '\0';
    entrain_status status = trainer_open(&t, job, &c, options->random_classes, err);
    if (status == ENTRAIN_OK) {
        trainer_print_banner(&t);
        status = measure(&t, options, &f, err);
    }
    if (status == ENTRAIN_OK && job->c->rank == 0) {
        bench_print(&t, &f);
        if (options->json != NULL) status = bench_write_json(&t, &f, options->json, err);
    }
    if (status == ENTRAIN_OK) status = job_agree(job, status, err);
    trainer_close(&t);
    return status;
}
