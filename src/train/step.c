/* One update: data, forward, loss, backward, sums over ranks, SGD. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/lr.h"
#include "train/trainer.h"

/* Copy the loader's next batch to the device and let the loader go on. Returns the batch's first position in *first. */
static entrain_status fetch(trainer *t, uint64_t *first, double *seconds, entrain_error *err) {
    *first = (uint64_t)t->step * (uint64_t)t->c->train.global_batch + (uint64_t)t->begin;
    if (t->loader == NULL) return ENTRAIN_OK; /* random images stay */
    const double since = log_seconds();
    const batch *b = NULL;
    const entrain_status status = loader_next(t->loader, &b, err);
    *seconds = log_seconds() - since;
    if (status != ENTRAIN_OK) return status;
    const size_t pixels = (size_t)b->n * (size_t)t->height * (size_t)t->width;
    t->job->be->ops->upload_floats(t->job->be, t->images, t->type, b->images, 3 * pixels);
    t->job->be->ops->upload(t->job->be, t->labels, b->labels, pixels);
    *first = b->first_position;
    loader_release(t->loader, b);
    return ENTRAIN_OK;
}

enum { SUM_LOSS, SUM_AUX, SUM_VALID, SUM_CORRECT, SUM_STOP, SUMS };

/* The layer at which backward first met a gradient, summed over ranks, that is not finite: the last one in the network's order. */
static const char *nonfinite_gradient(const trainer *t) {
    const params *p = &t->params;
    for (int i = p->count - 1; i >= 0; i--)
        if (p->list[i].learned && p->be->ops->find_nonfinite(p->be, params_grad(p, i), p->list[i].count, F32) >= 0) return p->list[i].name;
    return NULL;
}

/*
 * The loss, or the gradient, is not finite, and all ranks are here together: find the first layer whose values are not, and let the lowest
 * rank that found one speak. A ReLU can hide one from the loss. what: "the loss is inf"; gradient: a tensor with such a gradient, or NULL.
 */
static entrain_status explain_nonfinite(trainer *t, uint64_t first, const char *what, const char *gradient, entrain_error *err) {
    static const char advice[] = "Lower optimizer.lr, lengthen schedule.warmup or set optimizer.clip_norm, and go on from the last "
                                 "checkpoint with --resume.";
    const long long step = (long long)t->step + 1;
    const double lr = lr_at(t->c, t->step);
    int at = 0;
    const char *layer = net_find_nonfinite(t->net, t->images, first, &at);
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

/*
 * The norm of the summed gradients. Each rank has all of them and looks at its share, so that the work, which is reading, is divided too;
 * a NaN or an infinity anywhere reaches all. Collective.
 */
static entrain_status gradient_norm(trainer *t, double *norm, entrain_error *err) {
    enum { LINE = 16 };
    backend *be = t->job->be;
    comm *c = t->job->c;
    int64_t begin, end;
    comm_share((int64_t)(t->params.learned_floats / LINE), c->rank, c->size, &begin, &end); /* the arena is whole lines */
    double squares = be->ops->sum_squares(be, t->params.grad + begin * LINE, (size_t)(end - begin) * LINE);
    if (comm_allreduce(c, &squares, 1, COMM_F64, NULL) != ENTRAIN_OK) return communication(t, err);
    *norm = sqrt(squares);
    return ENTRAIN_OK;
}

/* Wait for the gradients' sums over ranks, find their norm, clip, update. first: the batch's first position. */
static entrain_status update(trainer *t, uint64_t first, step_result *out, entrain_error *err) {
    backend *be = t->job->be;
    const config *c = t->c;
    params *p = &t->params;
    if (comm_allreduce_wait(t->job->c, be->stream) != ENTRAIN_OK) return communication(t, err);
    const entrain_status status = gradient_norm(t, &out->grad_norm, err);
    if (status != ENTRAIN_OK) return status;
    if (!isfinite(out->grad_norm)) {
        char what[128];
        (void)snprintf(what, sizeof what, "the gradient's norm is %g while the loss is %g", fabs(out->grad_norm), out->loss);
        return explain_nonfinite(t, first, what, nonfinite_gradient(t), err);
    }
    const double clip = c->optimizer.clip_norm;
    const double scale = clip > 0.0 && out->grad_norm > clip ? clip / out->grad_norm : 1.0;
    be->ops->sgd(be, p->value, p->grad, p->momentum, t->segments, t->segment_count, out->lr, c->optimizer.momentum, c->optimizer.nesterov,
                 scale);
    return be->ops->status(be, err);
}

entrain_status trainer_step(trainer *t, bool stop_requested, step_result *out, entrain_error *err) {
    uint64_t first = 0;
    loss_sums heads[2];
    t->job->agreed = false;
    memset(out, 0, sizeof *out);
    entrain_status status = fetch(t, &first, &out->data_seconds, err);
    if (status != ENTRAIN_OK) return status;
    if (net_forward(t->net, t->images, first) != ENTRAIN_OK) return communication(t, err);
    net_loss(t->net, t->labels, heads);

    double sums[SUMS] = {heads[0].loss, heads[1].loss, (double)heads[0].valid, (double)heads[0].correct, stop_requested ? 1.0 : 0.0};
    if (comm_allreduce(t->job->c, sums, SUMS, COMM_F64, NULL) != ENTRAIN_OK) return communication(t, err);
    const double valid = sums[SUM_VALID], divisor = valid > 0.0 ? valid : 1.0;
    out->aux_loss = sums[SUM_AUX] / divisor;
    out->loss = sums[SUM_LOSS] / divisor + t->c->model.aux_weight * out->aux_loss;
    out->accuracy = sums[SUM_CORRECT] / divisor;
    out->stop = sums[SUM_STOP] > 0.0;
    out->lr = lr_at(t->c, t->step);
    if (!isfinite(out->loss)) {
        char what[64];
        (void)snprintf(what, sizeof what, "the loss is %g", fabs(out->loss));
        return explain_nonfinite(t, first, what, NULL, err);
    }

    if (net_backward(t->net, valid) != ENTRAIN_OK) return communication(t, err);
    status = update(t, first, out, err);
    if (status == ENTRAIN_OK) t->step++;
    return status;
}
