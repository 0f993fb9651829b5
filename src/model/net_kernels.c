/* The convolutions of a step alone: the floor of its time. */
#include "base/error.h"
#include "base/log.h"
#include "model/net_internal.h"

/* A convolution of the net, or the library's in its place, and where its passes work. */
typedef struct measured {
    net *t;
    const net_step *s;
    conv *cv;
    void *workspace;
    double *seconds;
} measured;

static void *input_of(const measured *m) {
    const bool first = m->t->g->nodes[m->t->g->nodes[m->s->node].inputs[0]].kind == NODE_INPUT;
    return first ? (void *)(uintptr_t)m->t->images : net_at(m->t, m->s->x);
}

/* One kernel; the whole pass comes first, so that the workspace holds its weights and the caches what they would. */
static void time_kernel(const measured *m, int pass, void *x, void *y) {
    m->t->be->ops->finish(m->t->be);
    const double since = log_seconds();
    m->t->be->ops->conv_kernel(m->t->be, m->cv, pass, x, y, m->workspace);
    m->t->be->ops->finish(m->t->be);
    m->seconds[pass] += log_seconds() - since;
}

static void forward_kernel(const measured *m) {
    const params *p = m->t->g->params;
    const node *q = &m->t->g->nodes[m->s->node];
    void *const x = input_of(m), *const y = net_at(m->t, m->s->y);
    m->t->be->ops->conv_forward(m->t->be, m->cv, x, params_value(p, q->weight), params_value(p, q->bias), y, m->workspace);
    time_kernel(m, 0, x, y);
}

static void backward_kernels(const measured *m) {
    const params *p = m->t->g->params;
    const node *q = &m->t->g->nodes[m->s->node];
    void *const x = input_of(m), *const dy = net_at(m->t, m->s->dy), *const dx = net_at(m->t, m->s->dx);
    m->t->be->ops->conv_backward_weights(m->t->be, m->cv, x, dy, params_grad(p, q->weight), params_grad(p, q->bias), m->workspace);
    time_kernel(m, 2, x, dy);
    if (dx == NULL) return;
    m->t->be->ops->conv_backward_data(m->t->be, m->cv, dy, params_value(p, q->weight), dx, m->workspace);
    time_kernel(m, 1, dx, dy);
}

static entrain_status time_step(measured *m, bool plain, entrain_error *err) {
    backend *be = m->t->be;
    m->cv = m->t->nodes[m->s->node].cv;
    m->workspace = net_at(m->t, m->s->workspace);
    if (plain) {
        conv_desc d = net_conv_desc(m->t, m->s->node);
        d.plain = true;
        const entrain_status status = be->ops->conv_create(be, &d, &m->cv, err);
        if (status != ENTRAIN_OK) return status;
        m->workspace = be->ops->alloc(be, be->ops->conv_workspace(m->cv));
    }
    if (m->workspace != NULL && m->s->kind == STEP_FORWARD) forward_kernel(m);
    if (m->workspace != NULL && m->s->kind == STEP_BACKWARD) backward_kernels(m);
    const bool done = m->workspace != NULL;
    if (plain) {
        be->ops->conv_destroy(be, m->cv);
        if (done) be->ops->release(be, m->workspace);
    }
    return done ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "out of memory for a convolution's workspace");
}

static double operations_of(const net *t, const net_step *s) {
    const node *q = &t->g->nodes[s->node];
    const double one = 2.0 * (double)net_count(t, s->node) * t->g->nodes[q->inputs[0]].channels * q->kernel * q->kernel;
    return s->kind == STEP_BACKWARD && s->dx >= 0 ? 2.0 * one : one;
}

entrain_status net_time_kernels(net *t, bool plain, double seconds[3], double *operations, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    *operations = 0.0;
    for (int i = 0; i < 3; i++) seconds[i] = 0.0;
    for (int i = 0; i < t->step_count && status == ENTRAIN_OK; i++) {
        measured m = {.t = t, .s = &t->steps[i], .seconds = seconds};
        if (t->g->nodes[m.s->node].kind != NODE_CONV || (m.s->kind != STEP_FORWARD && m.s->kind != STEP_BACKWARD)) continue;
        status = time_step(&m, plain, err);
        *operations += operations_of(t, m.s);
    }
    return status;
}
