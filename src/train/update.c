#include "train/update.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Bytes of a bucket: long enough to be summed at full speed, short enough that little is left to do after the last one. */
static const size_t BUCKET_BYTES = (size_t)4 << 20;

static sgd_segment segment_of(const update *u, const param *q, const bucket *b) {
    const bool decayed = q->decay || u->c->optimizer.decay_norm;
    return (sgd_segment){q->offset - b->begin, q->count, q->head ? (float)u->c->optimizer.head_lr_multiplier : 1.0f,
                         decayed ? (float)u->c->optimizer.weight_decay : 0.0f};
}

/* One segment for each run of neighbours that SGD treats alike, bucket by bucket. */
static entrain_status make_segments(update *u, entrain_error *err) {
    const size_t bytes = ((size_t)u->p->count + 1) * sizeof(sgd_segment);
    sgd_segment *segments = calloc(1, bytes);
    u->first_segment = calloc((size_t)u->buckets.count + 1, sizeof *u->first_segment);
    u->segments = u->be->ops->alloc(u->be, bytes);
    if (segments == NULL || u->first_segment == NULL || u->segments == NULL) {
        free(segments);
        return error_set(err, ENTRAIN_DEVICE, "out of memory for the optimiser");
    }
    int count = 0;
    for (int k = 0; k < u->buckets.count; k++) {
        const bucket *b = &u->buckets.list[k];
        u->first_segment[k] = count;
        for (int i = 0; i < u->p->count; i++) {
            const param *q = &u->p->list[i];
            if (!q->learned || q->offset < b->begin || q->offset >= b->end) continue;
            const sgd_segment next = segment_of(u, q, b);
            sgd_segment *last = count > u->first_segment[k] ? &segments[count - 1] : NULL;
            if (last != NULL && last->lr_scale == next.lr_scale && last->decay == next.decay)
                last->count = next.offset + next.count - last->offset; /* the padding between tensors is 0 and stays 0 */
            else
                segments[count++] = next;
        }
    }
    u->first_segment[u->buckets.count] = count;
    u->be->ops->upload(u->be, u->segments, segments, bytes);
    free(segments);
    return ENTRAIN_OK;
}

entrain_status update_open(update *u, const config *c, const graph *g, backend *be, comm *ranks, entrain_error *err) {
    *u = (update){.c = c, .p = g->params, .be = be, .ranks = ranks};
    u->at_once = ranks->size == 1 && c->optimizer.clip_norm <= 0.0 && be->host_memory;
    entrain_status status = buckets_make(g, BUCKET_BYTES, &u->buckets, err);
    if (status == ENTRAIN_OK) status = make_segments(u, err);
    for (int k = 0; k < u->buckets.count && status == ENTRAIN_OK && u->at_once; k++)
        params_fold_gradients(u->p, u->buckets.list[k].begin, u->buckets.list[k].end);
    if (status == ENTRAIN_OK && u->at_once) u->p->grad_floats = u->buckets.longest;
    return status;
}

void update_close(update *u) {
    buckets_free(&u->buckets);
    if (u->segments != NULL) u->be->ops->release(u->be, u->segments);
    free(u->first_segment);
}

void update_begin(update *u, double lr, double *squares) {
    buckets_restart(&u->buckets);
    u->lr = lr;
    u->squares = squares;
    u->nonfinite = NULL;
    u->nonfinite_node = INT_MAX;
}

static size_t length(const bucket *b) {
    return b->end - b->begin;
}

static float *gradients(const update *u, const bucket *b) {
    return u->p->grad + (u->at_once ? 0 : b->begin);
}

/* The parameter that backward met last: the first one in its order. */
static void find_nonfinite(update *u, const bucket *b) {
    for (int i = u->p->count - 1; i >= 0 && u->nonfinite == NULL; i--) {
        const param *q = &u->p->list[i];
        if (!q->learned || q->offset < b->begin || q->offset >= b->end) continue;
        if (u->be->ops->find_nonfinite(u->be, params_grad(u->p, i), q->count, F32) >= 0) u->nonfinite = q->name;
    }
}

static void step(const update *u, int k) {
    const bucket *b = &u->buckets.list[k];
    const int first = u->first_segment[k];
    const sgd_rule rule = {.lr = u->lr,
                           .momentum = u->c->optimizer.momentum,
                           .nesterov = u->c->optimizer.nesterov,
                           .clip_norm = u->c->optimizer.clip_norm,
                           .squares = u->squares};
    u->be->ops->sgd(u->be, u->p->value + b->begin, gradients(u, b), u->p->momentum + b->begin, length(b), u->segments + first,
                    u->first_segment[k + 1] - first, &rule);
}

/* All buckets' gradients come to lie in one memory: between this one's tensors is what others have left there. */
static void clear_padding(update *u, const bucket *b) {
    size_t end = b->end;
    for (int i = u->p->count - 1; i >= 0; i--) {
        const param *q = &u->p->list[i];
        if (!q->learned || q->offset < b->begin || q->offset >= b->end) continue;
        const size_t begin = q->offset + q->count;
        u->be->ops->zero(u->be, gradients(u, b) + (begin - b->begin), (end - begin) * sizeof(float));
        end = q->offset;
    }
}

entrain_status update_node(void *context, int id) {
    update *u = context;
    const bucket *b = buckets_next(&u->buckets, id);
    entrain_status status = ENTRAIN_OK;
    if (b != NULL && u->at_once && isfinite(*u->squares)) {
        clear_padding(u, b);
        u->be->ops->sum_squares(u->be, gradients(u, b), length(b), u->squares);
        if (isfinite(*u->squares)) {
            step(u, (int)(b - u->buckets.list));
        } else {
            find_nonfinite(u, b);
            u->nonfinite_node = b > u->buckets.list ? b[-1].node : INT_MAX;
        }
    }
    if (u->ranks->size == 1) return ENTRAIN_OK;
    if (b != NULL) status = comm_allreduce_start(u->ranks, gradients(u, b), length(b), COMM_F32, u->be->stream);
    return status == ENTRAIN_OK ? comm_progress(u->ranks) : status;
}

/*
 * The squares of all gradients. Each rank has the sums of all and looks at its share of the buckets, so that the work, which is reading, is
 * divided too; a NaN or an infinity anywhere reaches all. Collective.
 */
static entrain_status all_squares(update *u) {
    for (int k = u->ranks->rank; k < u->buckets.count; k += u->ranks->size)
        u->be->ops->sum_squares(u->be, gradients(u, &u->buckets.list[k]), length(&u->buckets.list[k]), u->squares);
    return comm_allreduce(u->ranks, u->squares, 1, COMM_F64, u->be->stream);
}

entrain_status update_finish(update *u) {
    if (u->at_once) return ENTRAIN_OK;
    entrain_status status = comm_allreduce_wait(u->ranks, u->be->stream);
    if (status == ENTRAIN_OK) status = all_squares(u);
    for (int k = 0; k < u->buckets.count && status == ENTRAIN_OK; k++) step(u, k);
    return status;
}

void update_explain(update *u) {
    for (int k = 0; k < u->buckets.count && !u->at_once; k++) find_nonfinite(u, &u->buckets.list[k]);
}
