/* The training loop: steps, log lines, evaluations, checkpoints, stopping and resuming. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/checkpoint.h"
#include "train/jsonl.h"
#include "train/metrics.h"
#include "train/run.h"
#include "train/trainer.h"

static volatile sig_atomic_t stop_requested = 0;

void entrain_request_stop(void) {
    stop_requested = 1;
}

/* Times since the last log line. */
typedef struct interval {
    double began, data, comm, side; /* side: evaluations and checkpoints, not part of a step */
    int64_t first_step;
} interval;

static void interval_restart(interval *v, const trainer *t) {
    *v = (interval){.began = log_seconds(), .first_step = t->step};
    (void)comm_take_seconds(t->job->c);
}

static void format_eta(double seconds, char *text, size_t size) {
    const long s = isfinite(seconds) && seconds > 0.0 ? lround(seconds) : 0;
    (void)snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static entrain_status report_step(const trainer *t, jsonl *out, const step_result *r, interval *v, entrain_error *err) {
    const config *c = t->c;
    const double steps = (double)(t->step - v->first_step);
    const double seconds = (log_seconds() - v->began - v->side) / steps;
    v->comm += comm_take_seconds(t->job->c);
    const double epoch = (double)t->step * c->train.global_batch / (double)shard_count(t->train);
    const double rate = c->train.global_batch / seconds, memory = t->job->be->ops->memory_mib(t->job->be);
    char eta[32], aux[32] = "";
    format_eta(seconds * (double)(c->train.iterations - t->step), eta, sizeof eta);
    if (c->model.aux_weight > 0.0) (void)snprintf(aux, sizeof aux, " aux %.3f", r->aux_loss);
    log_info(
        "iter %lld/%lld ep %.1f | loss %.3f%s | acc %.1f%% | lr %.2e | grad %.2f | %.0f ms (data %.0f, comm %.0f) | %.1f img/s | mem %.2f GiB | eta %s",
        (long long)t->step, (long long)c->train.iterations, epoch, r->loss, aux, 100.0 * r->accuracy, r->lr, r->grad_norm, 1e3 * seconds,
        1e3 * v->data / steps, 1e3 * v->comm / steps, rate, memory / 1024.0, eta);
    if (out == NULL) return ENTRAIN_OK;
    const jsonl_train line = {.step = t->step,
                              .epoch = epoch,
                              .loss = r->loss,
                              .aux_loss = c->model.aux_weight > 0.0 ? r->aux_loss : (double)NAN,
                              .accuracy = r->accuracy,
                              .lr = r->lr,
                              .grad_norm = r->grad_norm,
                              .images_per_second = rate,
                              .step_ms = 1e3 * seconds,
                              .data_ms = 1e3 * v->data / steps,
                              .comm_ms = 1e3 * v->comm / steps,
                              .memory_mib = memory};
    return jsonl_write_train(out, &line, err);
}

/* Evaluate, print the table, keep the best. Collective. */
static entrain_status evaluate(trainer *t, jsonl *out, entrain_error *err) {
    if (t->evaluator == NULL) return ENTRAIN_OK;
    const double since = log_seconds();
    run_evaluation v = {0};
    const params *p = &t->params;
    /* Where bn is not synchronised, each rank has running statistics of its own; rank 0's are the ones that checkpoints keep. */
    if (norm_uses_bn(&t->c->norm) && !t->c->norm.sync &&
        comm_broadcast(t->job->c, p->stats, p->stat_floats, COMM_F32, 0, t->job->be->stream) != ENTRAIN_OK)
        return error_set(err, ENTRAIN_COMM, "%s", t->job->c->error.text);
    entrain_status status = run_evaluate(t->job, t->evaluator, t->val, true, &v, err);
    if (status == ENTRAIN_OK) {
        log_info("evaluation after iteration %lld: mIoU %.4f, %lld images in %.1f s", (long long)t->step, v.figures.miou,
                 (long long)shard_count(t->val), log_seconds() - since);
        const metrics_setting setting = run_setting(t->c, t->step, shard_count(t->val));
        if (out != NULL) status = jsonl_write_eval(out, &v.figures, &setting, err);
    }
    if (status == ENTRAIN_OK && isfinite(v.figures.miou) && v.figures.miou > t->best_miou) {
        t->best_miou = v.figures.miou;
        if (t->job->c->rank == 0) status = run_save_best(t, err);
    }
    run_evaluation_free(&v);
    return status;
}

static bool due(int64_t every, int64_t step) {
    return every > 0 && step % every == 0;
}

/* Whether something is to be said about the step just queued, or what it has made is to be used or kept. */
static bool result_needed(const trainer *t) {
    const config *c = t->c;
    return due(c->train.log_every, t->step) || due(c->train.eval_every, t->step) || due(c->train.checkpoint_every, t->step) ||
           t->step == c->train.iterations;
}

/* What follows a finished update: log line, evaluation, checkpoint, in this order, so that a checkpoint knows of the best evaluation so
 * far. */
static entrain_status after_step(trainer *t, jsonl *out, const step_result *r, interval *v, entrain_error *err) {
    const bool last = t->step == t->c->train.iterations;
    entrain_status status = ENTRAIN_OK;
    if (due(t->c->train.log_every, t->step) || last) {
        status = report_step(t, out, r, v, err);
        interval_restart(v, t);
    }
    const double since = log_seconds();
    const double waited = t->job->c->seconds;
    if (status == ENTRAIN_OK && (due(t->c->train.eval_every, t->step) || last)) status = evaluate(t, out, err);
    if (status == ENTRAIN_OK && (due(t->c->train.checkpoint_every, t->step) || last || r->stop) && t->job->c->rank == 0)
        status = run_save(t, err);
    v->side += log_seconds() - since;
    t->job->c->seconds = waited; /* waiting for rank 0's files is not a step's communication */
    return status;
}

static entrain_status loop(trainer *t, jsonl *out, entrain_error *err) {
    interval v;
    interval_restart(&v, t);
    while (t->step < t->c->train.iterations) {
        step_result r;
        entrain_status status = trainer_step(t, stop_requested != 0, &r, err);
        if (status == ENTRAIN_OK && (r.stop || result_needed(t))) status = trainer_read(t, &r, err);
        if (status == ENTRAIN_OK) {
            v.data += r.data_seconds;
            status = after_step(t, out, &r, &v, err);
        }
        if (status != ENTRAIN_OK) return status;
        if (r.stop && t->step < t->c->train.iterations) {
            if (comm_barrier(t->job->c) != ENTRAIN_OK)
                return error_set(err, ENTRAIN_COMM, "%s", t->job->c->error.text); /* rank 0 has written the checkpoint */
            t->job->agreed = true;
            return error_set(
                err, ENTRAIN_STOPPED,
                "stopped on request after iteration %lld of %lld; a checkpoint is written. Run the same command with --resume to go on.",
                (long long)t->step, (long long)t->c->train.iterations);
        }
    }
    return ENTRAIN_OK;
}

entrain_status entrain_train(entrain_job *job, const entrain_config *settings, const entrain_train_options *options, entrain_error *err) {
    trainer t;
    jsonl *out = NULL;
    entrain_status status = trainer_open(&t, job, &settings->c, 0, err);
    if (status == ENTRAIN_OK) status = job_agree(job, run_open(&t, options, err), err);
    if (status == ENTRAIN_OK) {
        trainer_print_banner(&t);
        status = job->c->rank == 0 ? run_open_metrics(&t, &out, err) : ENTRAIN_OK;
        if (status == ENTRAIN_OK && t.step < t.c->train.iterations) status = trainer_start_loader(&t, err);
        status = job_agree(job, status, err);
    }
    if (status == ENTRAIN_OK) {
        job->agreed = false;
        status = loop(&t, out, err);
    }
    if (status == ENTRAIN_OK) {
        log_info("done: %lld iterations in %.0f s%s", (long long)t.step, log_seconds() - t.started,
                 t.evaluator == NULL ? "" : ", best and last checkpoints in the run folder");
        status = job_agree(job, status, err);
    }
    jsonl_close(out);
    trainer_close(&t);
    log_close();
    return status;
}
