/* One update: data, forward, loss, backward, sums over ranks, SGD. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/lr.h"
#include "train/trainer.h"

static tensor image_tensor(const trainer *t) {
    return (tensor){t->images, (int)(t->end - t->begin), t->height, t->width, 3, t->type};
}

static int slot_of(const trainer *t) {
    return t->loader == NULL ? 0 : (int)(t->step % BACKEND_SLOTS); /* random images stay */
}

/* The loader may fill a slot's batch again once it is on the device. */
static void release_batch(trainer *t, int slot) {
    if (t->held[slot] == NULL) return;
    t->job->be->ops->stage_wait(t->job->be, slot);
    loader_release(t->loader, t->held[slot]);
    t->held[slot] = NULL;
}

/* Send the loader's next batch to the device, to be normalised there, and let the loader go on. */
static entrain_status fetch(trainer *t, double *seconds, entrain_error *err) {
    backend *be = t->job->be;
    const int slot = slot_of(t);
    t->first = (uint64_t)t->step * (uint64_t)t->c->train.global_batch + (uint64_t)t->begin;
    if (t->loader == NULL) return ENTRAIN_OK;
    const double since = log_seconds();
    const batch *b = NULL;
    release_batch(t, slot);
    const entrain_status status = loader_next(t->loader, &b, err);
    *seconds = log_seconds() - since;
    if (status != ENTRAIN_OK) return status;
    tensor images = image_tensor(t);
    const size_t pixels = tensor_count(&images) / 3;
    t->held[slot] = b;
    be->ops->stage(be, slot, t->bytes[slot], b->images, 3 * pixels);
    be->ops->stage(be, slot, t->labels[slot], b->labels, pixels);
    if (be->host_memory) release_batch(t, slot);
    be->ops->stage_use(be, slot);
    be->ops->normalise(be, t->bytes[slot], t->c->data.mean, t->c->data.std, &images);
    return ENTRAIN_OK;
}

/*
 * The loss, or the gradient, of a step is not finite, and all ranks are here together: find the first layer whose values are not, and let
 * the lowest rank that found one speak. A ReLU can hide one from the loss. what: "the loss is inf"; gradient: a tensor with such a
 * gradient, or NULL. Layers that have got new weights meanwhile are not looked at: their values would be others than those of the step.
 * Where the device has gone on to later steps, it is the last one's images that are looked at.
 */
static entrain_status explain_nonfinite(trainer *t, long long step, const char *what, const char *gradient, entrain_error *err) {
    static const char advice[] = "Lower optimizer.lr, lengthen schedule.warmup or set optimizer.clip_norm, and go on from the last "
                                 "checkpoint with --resume.";
    const double lr = lr_at(t->c, step - 1);
    int at = 0;
    const char *layer = net_find_nonfinite(t->net, t->images, t->first, t->update.nonfinite_node, &at);
    const bool known = comm_any(t->job->c, layer != NULL);
    if (layer != NULL)
        error_set(err, ENTRAIN_NONFINITE,
                  "step %lld: %s; the first layer with a value that is not finite is %s (image %d of rank %d, lr %g). %s", step, what,
                  layer, at, t->job->c->rank, lr, advice);
    else
        error_set(err, ENTRAIN_NONFINITE, "step %lld: %s; every layer's values are finite, but not %s%s (lr %g). %s", step, what,
                  gradient == NULL ? "the loss itself" : "the gradient of ", gradient == NULL ? "" : gradient, lr, advice);
    return job_agree(t->job, known && layer == NULL ? ENTRAIN_OK : ENTRAIN_NONFINITE, err);
}

static entrain_status communication(const trainer *t, entrain_error *err) {
    return error_set(err, ENTRAIN_COMM, "step %lld: %s", (long long)t->step + 1, t->job->c->error.text);
}

/* The figures of a step from its sums, which may be incomplete yet. */
static void take_figures(const trainer *t, const step_sums *sums, step_result *out) {
    const double valid = sums->heads[0].valid, divisor = valid > 0.0 ? valid : 1.0;
    out->aux_loss = sums->heads[1].loss / divisor;
    out->loss = sums->heads[0].loss / divisor + t->c->model.aux_weight * out->aux_loss;
    out->accuracy = sums->heads[0].correct / divisor;
    out->grad_norm = sqrt(sums->squares);
}

/* step: counted from 1. */
static entrain_status check_figures(trainer *t, long long step, const step_result *r, entrain_error *err) {
    char what[128];
    if (isfinite(r->loss) && isfinite(r->grad_norm)) return ENTRAIN_OK;
    if (!isfinite(r->loss)) {
        (void)snprintf(what, sizeof what, "the loss is %g", fabs(r->loss));
        return explain_nonfinite(t, step, what, NULL, err);
    }
    if (step == t->step) update_explain(&t->update);
    (void)snprintf(what, sizeof what, "the gradient's norm is %g while the loss is %g", fabs(r->grad_norm), r->loss);
    return explain_nonfinite(t, step, what, t->update.nonfinite != NULL ? t->update.nonfinite : "some parameter", err);
}

entrain_status trainer_read(trainer *t, step_result *out, entrain_error *err) {
    step_sums sums[TRAINER_UNREAD];
    const int count = t->unread;
    backend *be = t->job->be;
    if (count > 0) be->ops->download(be, sums, t->sums, (size_t)count * sizeof *sums);
    t->unread = 0;
    entrain_status status = be->ops->status(be, err);
    for (int i = 0; i < count && status == ENTRAIN_OK; i++) {
        take_figures(t, &sums[i], out);
        status = check_figures(t, (long long)t->step - count + i + 1, out, err);
    }
    return status;
}

/* The passes and the update of the images at hand. */
static entrain_status compute(trainer *t, step_sums *sums, step_result *out, entrain_error *err) {
    backend *be = t->job->be;
    const int slot = slot_of(t);
    be->ops->zero(be, sums, sizeof *sums);
    if (net_forward(t->net, t->images, t->first) != ENTRAIN_OK) return communication(t, err);
    net_loss(t->net, t->labels[slot], sums->heads);
    be->ops->stage_end(be, slot);
    if (comm_allreduce(t->job->c, sums->heads, STEP_HEAD_NUMBERS, COMM_F64, be->stream) != ENTRAIN_OK) return communication(t, err);
    out->lr = lr_at(t->c, t->step);
    update_begin(&t->update, out->lr, &sums->squares);
    if (be->host_memory) { /* known already: without a backward pass the layer is easier to find */
        take_figures(t, sums, out);
        const entrain_status status = check_figures(t, (long long)t->step + 1, out, err);
        if (status != ENTRAIN_OK) return status;
    }
    if (net_backward(t->net, &sums->heads[0].valid) != ENTRAIN_OK) return communication(t, err);
    return update_finish(&t->update) == ENTRAIN_OK ? be->ops->status(be, err) : communication(t, err);
}

entrain_status trainer_step(trainer *t, bool stop_requested, step_result *out, entrain_error *err) {
    t->job->agreed = false;
    memset(out, 0, sizeof *out);
    entrain_status status = fetch(t, &out->data_seconds, err);
    if (status != ENTRAIN_OK) return status;
    out->stop = comm_any(t->job->c, stop_requested);
    if (t->job->c->error.status != ENTRAIN_OK) return communication(t, err);
    status = compute(t, &t->sums[t->unread], out, err);
    if (status != ENTRAIN_OK) return status;
    t->unread++;
    t->step++;
    if (!t->job->be->host_memory && t->unread < TRAINER_UNREAD) return ENTRAIN_OK;
    status = trainer_read(t, out, err);
    if (status != ENTRAIN_OK) t->step--;
    return status;
}
