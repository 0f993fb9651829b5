/* The convolutions of a step alone: the floor of its time. */
#include "base/log.h"
#include "model/net_internal.h"

static void *at(const net *t, int buffer) {
    return buffer < 0 ? NULL : t->arena + t->plan.buffers[buffer].offset;
}

static double operations(const net *t, const node *q, int id) {
    return 2.0 * (double)net_count(t, id) * t->g->nodes[q->inputs[0]].channels * q->kernel * q->kernel;
}

/* One kernel: the whole pass first, so that the workspace holds its weights and the caches what they would. */
static double time_kernel(net *t, const net_step *s, int pass, void *x, void *y) {
    const double since = log_seconds();
    t->be->ops->conv_kernel(t->be, t->nodes[s->node].cv, pass, x, y, at(t, s->workspace));
    return log_seconds() - since;
}

static double forward_kernel(net *t, const net_step *s, double *seconds) {
    const node *q = &t->g->nodes[s->node];
    conv *cv = t->nodes[s->node].cv;
    const params *p = t->g->params;
    const bool first = t->g->nodes[q->inputs[0]].kind == NODE_INPUT;
    const void *x = first ? t->images : at(t, s->x);
    t->be->ops->conv_forward(t->be, cv, x, params_value(p, q->weight), params_value(p, q->bias), at(t, s->y), at(t, s->workspace));
    seconds[0] += time_kernel(t, s, 0, (void *)(uintptr_t)x, at(t, s->y));
    return operations(t, q, s->node);
}

static double backward_kernels(net *t, const net_step *s, double *seconds) {
    const node *q = &t->g->nodes[s->node];
    conv *cv = t->nodes[s->node].cv;
    const params *p = t->g->params;
    const bool first = t->g->nodes[q->inputs[0]].kind == NODE_INPUT;
    const void *x = first ? t->images : at(t, s->x);
    t->be->ops->conv_backward_weights(t->be, cv, x, at(t, s->dy), params_grad(p, q->weight), params_grad(p, q->bias), at(t, s->workspace));
    seconds[2] += time_kernel(t, s, 2, (void *)(uintptr_t)x, at(t, s->dy));
    if (s->dx < 0) return operations(t, q, s->node);
    t->be->ops->conv_backward_data(t->be, cv, at(t, s->dy), params_value(p, q->weight), at(t, s->dx), at(t, s->workspace));
    seconds[1] += time_kernel(t, s, 1, at(t, s->dx), at(t, s->dy));
    return 2.0 * operations(t, q, s->node);
}

double net_time_kernels(net *t, double seconds[3]) {
    double sum = 0.0;
    for (int i = 0; i < 3; i++) seconds[i] = 0.0;
    for (int i = 0; i < t->step_count; i++) {
        const net_step *s = &t->steps[i];
        if (t->g->nodes[s->node].kind != NODE_CONV) continue;
        if (s->kind == STEP_FORWARD) sum += forward_kernel(t, s, seconds);
        if (s->kind == STEP_BACKWARD) sum += backward_kernels(t, s, seconds);
    }
    return sum;
}
