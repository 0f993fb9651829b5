/*
 * A training step only queues work: it neither waits for the device's results nor takes memory from it. Counted where the program calls the
 * CUDA runtime (the linker puts the functions below between the two). What may be waited for: that the launches before the last few hundred
 * have begun (cuda_pace), and the loader's batch of two steps ago.
 */
#include <cuda_runtime_api.h>
#include <stdio.h>

#include "api/internal.h"
#include "backend/cuda/cuda.h"
#include "base/log.h"
#include "check.h"
#include "small_shards.h"
#include "train/trainer.h"

enum { WARM = 3, COUNTED = 6 };

static const char CONFIG[] = "{\"model\": {\"backbone\": \"resnet18\", \"output_stride\": 16, \"head\": \"fcn\", \"aux_weight\": 0.4},"
                             " \"norm\": {\"type\": \"en\"}, \"optimizer\": {\"clip_norm\": 1.0},"
                             " \"data\": {\"train\": \"%s\", \"crop\": [33, 40], \"workers\": 1},"
                             " \"train\": {\"global_batch\": 2, \"iterations\": 1000, \"log_every\": 0}}";

/* Calls so far of what waits, and of what allocates. */
static int waits, allocations;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
#define COUNTED_CALL(counter, name, parameters, arguments)                                                                                 \
    cudaError_t __real_##name parameters;                                                                                                  \
    cudaError_t __wrap_##name parameters;                                                                                                  \
    cudaError_t __wrap_##name parameters {                                                                                                 \
        (counter)++;                                                                                                                       \
        return __real_##name arguments;                                                                                                    \
    }
COUNTED_CALL(waits, cudaEventQuery, (cudaEvent_t event), (event))
COUNTED_CALL(waits, cudaEventSynchronize, (cudaEvent_t event), (event))
COUNTED_CALL(waits, cudaStreamSynchronize, (cudaStream_t stream), (stream))
COUNTED_CALL(waits, cudaDeviceSynchronize, (void), ())
COUNTED_CALL(waits, cudaMemcpy, (void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind), (to, from, bytes, kind))
COUNTED_CALL(allocations, cudaMalloc, (void **p, size_t bytes), (p, bytes))
COUNTED_CALL(allocations, cudaFree, (void *p), (p))
COUNTED_CALL(allocations, cudaMallocHost, (void **p, size_t bytes), (p, bytes))
COUNTED_CALL(allocations, cudaFreeHost, (void *p), (p))
COUNTED_CALL(allocations, cudaEventCreateWithFlags, (cudaEvent_t * event, unsigned flags), (event, flags))
/* NOLINTEND(bugprone-reserved-identifier) */

/* Steps of random images, or of shards' images; most: waits allowed in a step besides pacing. */
static void count_steps(int random_classes, int most) {
    static config c;
    static trainer t;
    char text[1024];
    entrain_job *job = NULL;
    entrain_error err = {0};
    step_result r;
    unsigned launches = 0;
    small_shards shards = small_shards_sound(6);
    shards.same_size = true;
    small_shards_write(&shards);
    (void)snprintf(text, sizeof text, CONFIG, shards.folder);
    assert_ok(config_parse(text, "test", NULL, 0, &c, &err));
    assert_ok(entrain_job_open("cuda", &job, &err));
    assert_ok(trainer_open(&t, job, &c, random_classes, &err));
    assert_ok(trainer_start_loader(&t, &err));
    for (int step = 0; step < WARM + COUNTED; step++) {
        if (step == WARM) {
            waits = allocations = 0;
            launches = cuda_state_of(job->be)->launches;
        }
        assert_ok(trainer_step(&t, false, &r, &err));
    }
    assert_int_equal(allocations, 0);
    launches = cuda_state_of(job->be)->launches - launches;
    assert_true(launches > COUNTED * CUDA_PACE);
    assert_in_range(waits, 0, most * COUNTED + (int)(launches / CUDA_PACE) + 1);
    assert_int_equal(t.unread, WARM + COUNTED);
    assert_ok(trainer_read(&t, &r, &err));
    assert_true(waits > 0); /* reading waits: the counting counts */
    assert_true(isfinite(r.loss) && r.loss > 0.0 && r.grad_norm > 0.0);
    trainer_close(&t);
    assert_true(allocations > 0);
    entrain_job_close(job);
    small_shards_remove(&shards);
}

static void nothing_else_waits(void **state) {
    (void)state;
    count_steps(SMALL_CLASSES, 0);
}

/* One look at the event of a copy that was made long ago. */
static void only_the_loader_waits(void **state) {
    (void)state;
    count_steps(0, 1);
}

int main(void) {
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_else_waits), cmocka_unit_test(only_the_loader_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
