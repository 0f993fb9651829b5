/*
 * Training, evaluation and checkpoints on every backend, against the same on the CPU: what is above the operation table leaves the device's
 * memory alone, and a step that is only queued comes to what one that is waited for does. The guarded backend gives the CPU's bits.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/internal.h"
#include "base/log.h"
#include "check.h"
#include "ops_backends.h"
#include "small_shards.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

enum { MOST_STEPS = TRAINER_UNREAD + 3, CELLS = SMALL_CLASSES * SMALL_CLASSES };

static const char CONFIG[] =
    "{\"model\": {\"backbone\": \"resnet18\", \"output_stride\": 16, \"head\": \"deeplab_v2\", \"aux_weight\": 0.4},"
    " \"data\": {\"train\": \"%s\", \"val\": \"%s\", \"crop\": [33, 40], \"photometric\": true, \"workers\": 1},"
    " \"train\": {\"global_batch\": 3, \"iterations\": 1000, \"log_every\": 0, \"tf32\": false, \"class_weights\": [1, 0.5, 2, 1, 1]}}";

static small_shards shards; /* written once */

/* What a run comes to. */
typedef struct outcome {
    step_result results[MOST_STEPS];
    int64_t matrix[CELLS];
    float *numbers; /* values, momentum, running statistics */
    size_t count;
    entrain_status status; /* of the first step that failed */
    int64_t step;
    entrain_error err;
} outcome;

static void keep_numbers(const trainer *t, outcome *o) {
    const params *p = &t->params;
    o->count = 0;
    o->numbers = malloc((2 * p->learned_floats + p->stat_floats) * sizeof *o->numbers);
    assert_non_null(o->numbers);
    for (int i = 0; i < p->count; i++) {
        const float *const from[2] = {params_value(p, i), params_momentum(p, i)};
        for (int k = 0; k < 2 && from[k] != NULL; k++, o->count += p->list[i].count)
            p->be->ops->download(p->be, o->numbers + o->count, from[k], p->list[i].count * sizeof(float));
    }
}

/* A checkpoint read back into the device is what was written. */
static void check_checkpoint(trainer *t, const outcome *o) {
    char path[SMALL_PATH + 32];
    entrain_error err = {0};
    outcome again = {0};
    (void)snprintf(path, sizeof path, "%s/state.h5", shards.folder);
    checkpoint_meta meta = {.step = t->step, .config_json = t->config_json, .dataset_json = t->dataset_json, .best_miou = -1.0};
    assert_ok(checkpoint_write(path, &t->params, &meta, &err));
    backend *be = t->job->be;
    be->ops->zero(be, t->params.value, t->params.learned_floats * sizeof(float));
    be->ops->zero(be, t->params.momentum, t->params.learned_floats * sizeof(float));
    checkpoint_meta found = {0};
    assert_ok(checkpoint_read(path, &t->params, true, true, &found, &err));
    free((void *)(uintptr_t)found.config_json);
    free((void *)(uintptr_t)found.dataset_json);
    keep_numbers(t, &again);
    assert_memory_equal(again.numbers, o->numbers, o->count * sizeof(float));
    free(again.numbers);
    assert_int_equal(unlink(path), 0);
}

/* read_every: wait for results after so many steps, and after the last one. */
static outcome train(backend *be, const char *const *settings, int count, int steps, int read_every) {
    static config c;
    static trainer t;
    char text[1024];
    outcome o = {0};
    entrain_error err = {0};
    struct entrain_job job = {.be = be};
    (void)snprintf(text, sizeof text, CONFIG, shards.folder, shards.folder);
    assert_ok(comm_open_self(&job.c, &err));
    assert_ok(config_parse(text, "test", settings, count, &c, &err));
    assert_ok(trainer_open(&t, &job, &c, 0, &err));
    assert_ok(trainer_start_loader(&t, &err));
    for (int i = 0; i < steps && o.status == ENTRAIN_OK; i++) {
        o.status = trainer_step(&t, false, &o.results[i], &o.err);
        if (o.status == ENTRAIN_OK && ((i + 1) % read_every == 0 || i + 1 == steps)) o.status = trainer_read(&t, &o.results[i], &o.err);
    }
    o.step = t.step;
    keep_numbers(&t, &o);
    if (o.status == ENTRAIN_OK) {
        bool failed = false;
        assert_ok(evaluator_confusion(t.evaluator, t.val, job.c, false, o.matrix, &failed, &err));
        check_checkpoint(&t, &o);
    }
    trainer_close(&t);
    comm_close(job.c);
    return o;
}

/* The CPU's bits, or, on a device that adds up in another order, numbers that are close. */
static void compare(const backend *be, const outcome *got, const outcome *want) {
    assert_int_equal(got->count, want->count);
    if (be->stream == NULL) {
        assert_memory_equal(got->numbers, want->numbers, want->count * sizeof(float));
        assert_memory_equal(got->matrix, want->matrix, sizeof want->matrix);
        return;
    }
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < want->count; i++) {
        difference += pow((double)got->numbers[i] - (double)want->numbers[i], 2.0);
        norm += pow((double)want->numbers[i], 2.0);
    }
    assert_true(sqrt(difference) <= 1e-2 * sqrt(norm));
}

static void compare_result(const backend *be, const step_result *got, const step_result *want) {
    const double tolerance = be->stream == NULL ? 0.0 : 1e-2;
    assert_near(got->loss, want->loss, tolerance * want->loss);
    assert_near(got->aux_loss, want->aux_loss, tolerance * want->loss);
    assert_near(got->accuracy, want->accuracy, tolerance);
    assert_near(got->grad_norm, want->grad_norm, 5.0 * tolerance * want->grad_norm);
    assert_near(got->lr, want->lr, 0.0);
}

static void check_run(backend *be, const char *const *settings, int count, int steps, int read_every) {
    backend *cpu = NULL;
    entrain_error err = {0};
    assert_ok(backend_open_cpu(be->threads, &cpu, &err));
    outcome want = train(cpu, settings, count, steps, 1), got = train(be, settings, count, steps, read_every);
    backend_close(cpu);
    if (want.status != ENTRAIN_OK) fail_msg("on the CPU: %s", want.err.text);
    if (got.status != ENTRAIN_OK) fail_msg("%s", got.err.text);
    assert_int_equal(got.step, steps);
    compare(be, &got, &want);
    for (int i = read_every - 1; i < steps; i += read_every) compare_result(be, &got.results[i], &want.results[i]);
    compare_result(be, &got.results[steps - 1], &want.results[steps - 1]);
    free(got.numbers);
    free(want.numbers);
}

static void as_it_is(void **state) {
    check_run(*state, NULL, 0, 4, 1);
}

static void clipped_and_queued(void **state) {
    const char *const settings[] = {"optimizer.clip_norm=0.5", "optimizer.nesterov=true", "norm.type=bn", "model.aux_weight=0"};
    check_run(*state, settings, 4, 5, 2);
}

static void other_rates(void **state) {
    const char *const settings[] = {"norm.type=sn", "optimizer.head_lr_multiplier=10", "model.head=fcn", "train.shuffle=false"};
    check_run(*state, settings, 4, 3, 3);
}

static void bfloat16(void **state) {
    backend *be = *state;
    const char *const settings[] = {"train.precision=bf16"};
    if (be->stream != NULL || !be->ops->supports(be, BF16)) {
        print_message("skipped: %s\n", be->stream != NULL ? "float32 is compared" : "no instructions for bfloat16");
        skip();
    }
    check_run(be, settings, 1, 3, 2);
}

/* More steps than results can wait: they are read in between. */
static void more_steps_than_results_can_wait(void **state) {
    backend *be = *state;
    const char *const settings[] = {"norm.type=gn", "data.crop=17,17", "model.head=fcn", "model.aux_weight=0", "train.global_batch=1"};
    if (be->host_memory) skip();    /* every step is read at once */
    if (be->stream != NULL) skip(); /* so many steps amplify a rounding */
    check_run(be, settings, 5, MOST_STEPS, MOST_STEPS);
}

/* A learning rate that is far too high: however many steps were queued behind it, it is the first bad one that is named, and the same. */
static void divergence_is_reported(void **state) {
    backend *be = *state, *cpu = NULL;
    const char *const settings[] = {"optimizer.lr=1e6", "schedule.warmup=0", "norm.type=bn"};
    entrain_error err = {0};
    assert_ok(backend_open_cpu(be->threads, &cpu, &err));
    outcome want = train(cpu, settings, 3, 12, 1);
    backend_close(cpu);
    free(want.numbers);
    assert_int_equal(want.status, ENTRAIN_NONFINITE);
    const size_t named = (size_t)(strchr(want.err.text, ':') - want.err.text);
    for (int read_every = be->stream != NULL ? 12 : 1; read_every <= 12; read_every += 11) {
        outcome o = train(be, settings, 3, 12, read_every);
        free(o.numbers);
        assert_int_equal(o.status, ENTRAIN_NONFINITE);
        if (strncmp(o.err.text, want.err.text, named + 1) != 0) fail_msg("want the step of: %s; got: %s", want.err.text, o.err.text);
        assert_non_null(strstr(o.err.text, "Lower optimizer.lr"));
    }
}

int main(void) {
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_it_is),
                                       cmocka_unit_test(clipped_and_queued),
                                       cmocka_unit_test(other_rates),
                                       cmocka_unit_test(bfloat16),
                                       cmocka_unit_test(more_steps_than_results_can_wait),
                                       cmocka_unit_test(divergence_is_reported)};
    shards = small_shards_sound(6);
    shards.same_size = true;
    small_shards_write(&shards);
    const int failed = ops_run(tests, sizeof tests / sizeof *tests);
    small_shards_remove(&shards);
    return failed;
}
