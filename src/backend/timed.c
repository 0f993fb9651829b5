#include "backend/timed.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

struct op_timer {
    const backend_ops *inner; /* the table in whose place this one stands */
    backend_ops table;
    op_times times;
};

const char *op_kind_name(op_kind kind) {
    static const char *const names[OP_KINDS] = {
        [OP_CONV_FORWARD] = "convolution forward",
        [OP_CONV_BACKWARD_DATA] = "convolution backward, data",
        [OP_CONV_BACKWARD_WEIGHTS] = "convolution backward, weights",
        [OP_MOMENTS] = "norm: moments",
        [OP_COEFFICIENTS] = "norm: coefficients",
        [OP_AFFINE] = "norm: affine",
        [OP_REDUCE] = "norm: backward sums",
        [OP_NORM_BACKWARD] = "norm: backward map",
        [OP_POOL] = "pooling",
        [OP_SUMS] = "sums and dropout",
        [OP_LOSS] = "upsampling and loss",
        [OP_OPTIMISER] = "optimiser",
    };
    return names[kind];
}

/* Run a call of the inner table and book it, the device idle before and after. traffic: see op_times' bytes. */
#define TIMED(kind, traffic, call)                                                                                                         \
    do {                                                                                                                                   \
        struct op_timer *const timer_ = be->timer;                                                                                         \
        timer_->inner->finish(be);                                                                                                         \
        const double since_ = log_seconds();                                                                                               \
        timer_->inner->call;                                                                                                               \
        timer_->inner->finish(be);                                                                                                         \
        timer_->times.seconds[kind] += log_seconds() - since_;                                                                             \
        timer_->times.bytes[kind] += (double)(traffic);                                                                                    \
    } while (0)

static double map_bytes(norm_dims d) {
    return (double)d.n * d.p * d.c * (double)dtype_size(d.type);
}

/* ---- convolution ---- */

static void timed_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace) {
    TIMED(OP_CONV_FORWARD, 0, conv_forward(be, cv, x, w, bias, y, workspace));
}

static void timed_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace) {
    TIMED(OP_CONV_BACKWARD_DATA, 0, conv_backward_data(be, cv, dy, w, dx, workspace));
}

static void timed_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace) {
    TIMED(OP_CONV_BACKWARD_WEIGHTS, 0, conv_backward_weights(be, cv, x, dy, dw, dbias, workspace));
}

/* ---- normalisation ---- */

static void timed_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v) {
    TIMED(OP_MOMENTS, map_bytes(d), norm_moments(be, x, d, m, v));
}

static void timed_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                              bool relu, void *y) {
    TIMED(OP_AFFINE, (residual != NULL ? 3.0 : 2.0) * map_bytes(d), norm_affine(be, x, d, m, a, b, residual, relu, y));
}

static void timed_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1,
                              float *s2) {
    TIMED(OP_REDUCE, (mask.y != NULL ? 3.0 : 2.0) * map_bytes(d), norm_reduce(be, dy, mask, x, d, m, s1, s2));
}

static void timed_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                                const float *dm, const float *dv, void *dx, void *dresidual) {
    const double maps = 3.0 + (mask.y != NULL ? 1.0 : 0.0) + (dresidual != NULL ? 1.0 : 0.0);
    TIMED(OP_NORM_BACKWARD, maps * map_bytes(d), norm_backward(be, dy, mask, x, d, a, m, dm, dv, dx, dresidual));
}

static void timed_norm_forward_sums(backend *be, const norm_call *call) {
    TIMED(OP_COEFFICIENTS, 0, norm_forward_sums(be, call));
}

static void timed_norm_forward_coefficients(backend *be, const norm_call *call) {
    TIMED(OP_COEFFICIENTS, 0, norm_forward_coefficients(be, call));
}

static void timed_norm_backward_sums(backend *be, const norm_call *call) {
    TIMED(OP_COEFFICIENTS, 0, norm_backward_sums(be, call));
}

static void timed_norm_backward_coefficients(backend *be, const norm_call *call) {
    TIMED(OP_COEFFICIENTS, 0, norm_backward_coefficients(be, call));
}

/* ---- the rest ---- */

static double tensor_bytes(const tensor *t) {
    return (double)(tensor_count(t) * dtype_size(t->type));
}

static void timed_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax) {
    TIMED(OP_POOL, tensor_bytes(x) + tensor_bytes(y) + (double)tensor_count(y), maxpool_forward(be, x, kernel, stride, padding, y, argmax));
}

static void timed_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx) {
    TIMED(OP_POOL, tensor_bytes(dx) + tensor_bytes(dy) + (double)tensor_count(dy),
          maxpool_backward(be, dy, argmax, kernel, stride, padding, dx));
}

static void timed_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type) {
    TIMED(OP_SUMS, (double)(count + 1) * (double)(elements * dtype_size(type)), add(be, inputs, count, y, elements, type));
}

static void timed_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type) {
    TIMED(OP_SUMS, 3.0 * (double)(elements * dtype_size(type)), accumulate(be, x, y, elements, type));
}

static void timed_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y) {
    TIMED(OP_SUMS, 2.0 * tensor_bytes(x), dropout(be, x, rate, seed, layer, first_position, y));
}

static void timed_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type) {
    TIMED(OP_LOSS, 0, scale(be, x, factor, divisor, elements, type));
}

static void timed_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w,
                                const float *class_weights, const tensor *dlogits, loss_sums *sums, void *workspace) {
    TIMED(OP_LOSS, 0, upsample_loss(be, logits, labels, label_h, label_w, class_weights, dlogits, sums, workspace));
}

static void timed_sum_squares(backend *be, const float *x, size_t elements, double *sum) {
    TIMED(OP_OPTIMISER, (double)elements * sizeof(float), sum_squares(be, x, elements, sum));
}

static void timed_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
                      const sgd_rule *rule) {
    TIMED(OP_OPTIMISER, 5.0 * (double)elements * sizeof(float), sgd(be, w, g, v, elements, segments, segment_count, rule));
}

static void timed_close(backend *be) {
    struct op_timer *timer = be->timer;
    be->ops = timer->inner;
    be->timer = NULL;
    free(timer);
    be->ops->close(be);
}

static void fill_table(backend_ops *t) {
    t->close = timed_close;
    t->conv_forward = timed_conv_forward;
    t->conv_backward_data = timed_conv_backward_data;
    t->conv_backward_weights = timed_conv_backward_weights;
    t->norm_moments = timed_norm_moments;
    t->norm_affine = timed_norm_affine;
    t->norm_reduce = timed_norm_reduce;
    t->norm_backward = timed_norm_backward;
    t->norm_forward_sums = timed_norm_forward_sums;
    t->norm_forward_coefficients = timed_norm_forward_coefficients;
    t->norm_backward_sums = timed_norm_backward_sums;
    t->norm_backward_coefficients = timed_norm_backward_coefficients;
    t->maxpool_forward = timed_maxpool_forward;
    t->maxpool_backward = timed_maxpool_backward;
    t->add = timed_add;
    t->accumulate = timed_accumulate;
    t->dropout = timed_dropout;
    t->scale = timed_scale;
    t->upsample_loss = timed_upsample_loss;
    t->sum_squares = timed_sum_squares;
    t->sgd = timed_sgd;
}

entrain_status backend_time(backend *be, entrain_error *err) {
    struct op_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for timing");
    timer->inner = be->ops;
    timer->table = *be->ops;
    fill_table(&timer->table);
    be->timer = timer;
    be->ops = &timer->table;
    return ENTRAIN_OK;
}

op_times backend_take_times(backend *be) {
    const op_times taken = be->timer->times;
    memset(&be->timer->times, 0, sizeof be->timer->times);
    return taken;
}
