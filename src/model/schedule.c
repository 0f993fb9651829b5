/*
 * The schedule of a step: forward through the nodes, the loss, backward through them. It decides which buffer each step reads and writes:
 * - in evaluation a norm works in place;
 * - in training the output of a norm is not kept for backward but recomputed from X, A, B (and the residual) just before it is needed;
 *   with a residual only every second time, or a chain of blocks would have to be recomputed from its beginning;
 * - gradients are passed on in place where the receiver allows it; a second contribution to the same gradient is added.
 */
#include <stdlib.h>

#include "base/error.h"
#include "model/net_internal.h"

typedef struct builder {
    net *t;
    int capacity;
    bool failed;
    bool *again_ready; /* (nodes) the output has been recomputed already */
} builder;

static int new_buffer(builder *b, size_t bytes, plan_kind kind) {
    const int buffer = plan_add(&b->t->plan, bytes, kind);
    if (buffer < 0) b->failed = true;
    return buffer;
}

/* The next step's number, to touch buffers with. */
static int now(const builder *b) {
    return b->t->step_count;
}

static void touch(const builder *b, int buffer) {
    if (buffer >= 0 && !b->failed) plan_touch(&b->t->plan, buffer, now(b));
}

static void emit(builder *b, const net_step *step) {
    net *t = b->t;
    if (b->failed) return;
    if (t->step_count == b->capacity) {
        const int capacity = b->capacity > 0 ? 2 * b->capacity : 256;
        net_step *steps = realloc(t->steps, (size_t)capacity * sizeof *steps);
        if (steps == NULL) {
            b->failed = true;
            return;
        }
        t->steps = steps;
        b->capacity = capacity;
    }
    const int buffers[] = {step->x,      step->residual,      step->y,        step->dy, step->dx, step->dresidual,
                           step->add_dx, step->add_dresidual, step->workspace};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) touch(b, buffers[i]);
    t->steps[t->step_count++] = *step;
}

/* For one step of a convolution. */
static int conv_workspace(builder *b, int id) {
    const size_t bytes = b->t->be->ops->conv_workspace(b->t->nodes[id].cv);
    return bytes > 0 ? new_buffer(b, bytes, PLAN_WORKSPACE) : -1;
}

static net_step blank(step_kind kind, int id) {
    return (net_step){kind, id, -1, -1, -1, -1, -1, -1, -1, -1, -1};
}

/* Of a node's output, and of its gradient. */
static size_t value_bytes(const net *t, int id) {
    return net_count(t, id) * dtype_size(t->nodes[id].type);
}

static size_t grad_bytes(const net *t, int id) {
    return net_count(t, id) * dtype_size(t->o.type);
}

static bool has_residual(const node *q) {
    return q->kind == NODE_NORM && q->input_count > 1;
}

/*
 * Whether node id's output is made again in backward: what follows from a kept X and a residual that is kept, or that follows from its own
 * X alone.
 */
static bool is_recomputed(const net *t, int id) {
    const node *q = &t->g->nodes[id];
    if (!t->o.training || q->kind != NODE_NORM) return false;
    if (!has_residual(q)) return true;
    return !(has_residual(&t->g->nodes[q->inputs[1]]) && t->nodes[q->inputs[1]].recomputed);
}

static void forward_steps(builder *b) {
    net *t = b->t;
    const graph *g = t->g;
    for (int i = 1; i < g->count; i++) {
        const node *q = &g->nodes[i];
        net_step s = blank(STEP_FORWARD, i);
        t->nodes[i].recomputed = is_recomputed(t, i);
        s.x = t->nodes[q->inputs[0]].out;
        if (has_residual(q)) s.residual = t->nodes[q->inputs[1]].out;
        if (q->kind == NODE_MAXPOOL) {
            t->nodes[i].index = new_buffer(b, net_count(t, i), PLAN_INDEX);
            touch(b, t->nodes[i].index);
        }
        for (int k = 1; q->kind == NODE_ADD && k < q->input_count; k++) touch(b, t->nodes[q->inputs[k]].out);
        if (q->kind == NODE_CONV) s.workspace = conv_workspace(b, i);
        const bool in_place = !t->o.training && q->kind == NODE_NORM;
        s.y = t->nodes[i].out = in_place ? s.x : new_buffer(b, value_bytes(t, i), PLAN_ACTIVATION);
        emit(b, &s);
    }
    t->forward_count = t->step_count;
}

/* The buffer that holds node id's output during backward, recomputing it first where it was not kept. */
static int output_of(builder *b, int id) { // NOLINT(misc-no-recursion): at most one deep, see is_recomputed
    net *t = b->t;
    const node *q = &t->g->nodes[id];
    if (!t->nodes[id].recomputed) return t->nodes[id].out;
    if (!b->again_ready[id]) {
        b->again_ready[id] = true;
        net_step s = blank(STEP_RECOMPUTE, id);
        s.x = t->nodes[q->inputs[0]].out;
        if (has_residual(q)) s.residual = output_of(b, q->inputs[1]); /* not far: its own residual is kept */
        t->nodes[id].again = new_buffer(b, value_bytes(t, id), PLAN_RECOMPUTED);
        s.y = t->nodes[id].again;
        emit(b, &s);
    }
    return t->nodes[id].again;
}

/* Where a gradient of node id goes: a buffer of its own when it is the first, else a temporary that is then added (*add). */
static int receive(builder *b, int id, int *add) {
    net_node *q = &b->t->nodes[id];
    if (b->t->g->nodes[id].kind == NODE_INPUT) return -1;
    const int buffer = new_buffer(b, grad_bytes(b->t, id), PLAN_GRADIENT);
    if (q->grad < 0)
        q->grad = buffer;
    else
        *add = q->grad;
    return buffer;
}

/* The same, but reusing the gradient of the output where the receiver has none yet. */
static int receive_in_place(builder *b, int id, int dy, int *add) {
    net_node *q = &b->t->nodes[id];
    if (q->grad >= 0 || b->t->g->nodes[id].kind == NODE_INPUT) return receive(b, id, add);
    q->grad = dy;
    return dy;
}

/*
 * The same, writing over the input itself: the pass at hand is the last to read it. So it is for what a norm with a residual normalises,
 * which is a convolution's output and nobody else's input.
 */
static int receive_over(builder *b, int id, int x, int *add) {
    net_node *q = &b->t->nodes[id];
    if (q->grad >= 0 || b->t->g->nodes[id].kind != NODE_CONV) return receive(b, id, add);
    q->grad = x;
    return x;
}

static void backward_step(builder *b, int id) {
    net *t = b->t;
    const node *q = &t->g->nodes[id];
    net_step s = blank(STEP_BACKWARD, id);
    s.dy = t->nodes[id].grad;
    if (s.dy < 0) return; /* nobody uses this node's output */
    switch (q->kind) {
    case NODE_CONV:
        s.workspace = conv_workspace(b, id);
        s.x = output_of(b, q->inputs[0]);
        s.dx = receive(b, q->inputs[0], &s.add_dx);
        break;
    case NODE_NORM:
        if (q->relu && has_residual(q)) s.y = output_of(b, id); /* without one the mask is made again from x */
        s.x = t->nodes[q->inputs[0]].out;
        if (q->input_count > 1) {
            s.dresidual = receive_in_place(b, q->inputs[1], s.dy, &s.add_dresidual);
            s.dx = receive_over(b, q->inputs[0], s.x, &s.add_dx);
        } else {
            s.dx = receive_in_place(b, q->inputs[0], s.dy, &s.add_dx);
        }
        break;
    case NODE_MAXPOOL:
        touch(b, t->nodes[id].index);
        s.dx = receive(b, q->inputs[0], &s.add_dx);
        break;
    case NODE_DROPOUT:
        s.dx = receive_in_place(b, q->inputs[0], s.dy, &s.add_dx);
        break;
    case NODE_ADD:
        for (int k = 0; k < q->input_count; k++) t->nodes[q->inputs[k]].grad = s.dy;
        return; /* a sum hands its gradient on unchanged: nothing to execute */
    case NODE_INPUT:
        return;
    }
    emit(b, &s);
}

static void loss_and_backward(builder *b) {
    net *t = b->t;
    const int heads[2] = {t->g->logits, t->g->aux_logits};
    t->loss_step = t->step_count;
    for (int i = 0; i < 2; i++) {
        if (heads[i] < 0) continue;
        touch(b, t->nodes[heads[i]].out);
        if (!t->o.training) continue;
        t->nodes[heads[i]].grad = new_buffer(b, grad_bytes(t, heads[i]), PLAN_GRADIENT);
        touch(b, t->nodes[heads[i]].grad);
    }
    net_step s = blank(STEP_LOSS, t->g->logits);
    s.workspace = new_buffer(b, t->loss_workspace_bytes, PLAN_WORKSPACE);
    emit(b, &s);
    for (int i = t->g->count - 1; i > 0 && t->o.training && !b->failed; i--) backward_step(b, i);
}

entrain_status schedule_build(net *t, entrain_error *err) {
    builder b = {.t = t, .again_ready = calloc((size_t)t->g->count, sizeof(bool))};
    b.failed = b.again_ready == NULL;
    if (!b.failed) forward_steps(&b);
    if (!b.failed) loss_and_backward(&b);
    if (!b.failed && plan_assign(&t->plan) != 0) b.failed = true;
    free(b.again_ready);
    return b.failed ? error_set(err, ENTRAIN_DEVICE, "out of memory while planning the network's memory") : ENTRAIN_OK;
}
