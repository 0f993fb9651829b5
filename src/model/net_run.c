/* Executing the schedule: each step is one or two operations of the backend's table. */
#include "model/net_internal.h"

static const void *value_of(const net *t, int id, int buffer) {
    return t->g->nodes[id].kind == NODE_INPUT ? t->images : net_at(t, buffer);
}

static const float *conv_bias(const net *t, const node *q) {
    return params_value(t->g->params, q->bias);
}

static entrain_status forward_step(net *t, const net_step *s, uint64_t first_position) {
    const backend_ops *ops = t->be->ops;
    const node *q = &t->g->nodes[s->node];
    net_node *r = &t->nodes[s->node];
    const int input = q->inputs[0];
    const void *x = value_of(t, input, s->x);
    void *y = net_at(t, s->y);
    /* The operations take tensors whose data they may write; inputs are only read. */
    tensor out = net_tensor(t, s->node, y, r->type);
    tensor in = net_tensor(t, input, net_at(t, s->x), t->nodes[input].type);
    switch (q->kind) {
    case NODE_CONV:
        ops->conv_forward(t->be, r->cv, x, params_value(t->g->params, q->weight), conv_bias(t, q), y, net_at(t, s->workspace));
        break;
    case NODE_NORM:
        return norm_forward(t->be, t->c, &r->call, x, net_at(t, s->residual), q->relu, y);
    case NODE_MAXPOOL:
        ops->maxpool_forward(t->be, &in, q->kernel, q->stride, q->padding, &out, net_at(t, r->index));
        break;
    case NODE_ADD: {
        const void *inputs[NODE_MAX_INPUTS];
        for (int i = 0; i < q->input_count; i++) inputs[i] = net_at(t, t->nodes[q->inputs[i]].out);
        ops->add(t->be, inputs, q->input_count, y, net_count(t, s->node), r->type);
        break;
    }
    case NODE_DROPOUT: {
        const double rate = t->o.training ? q->rate : 0.0;
        ops->dropout(t->be, &in, rate, t->o.seed, (uint32_t)s->node, first_position, &out);
        break;
    }
    case NODE_INPUT:
        break;
    }
    return ENTRAIN_OK;
}

static entrain_status backward_step(net *t, const net_step *s, uint64_t first_position) {
    const backend_ops *ops = t->be->ops;
    const node *q = &t->g->nodes[s->node];
    net_node *r = &t->nodes[s->node];
    const int input = q->inputs[0];
    const void *x = value_of(t, input, s->x), *dy = net_at(t, s->dy);
    void *dx = net_at(t, s->dx);
    entrain_status status = ENTRAIN_OK;
    tensor dout = net_tensor(t, s->node, net_at(t, s->dy), t->o.type);
    tensor din = net_tensor(t, input, dx, t->o.type);
    switch (q->kind) {
    case NODE_CONV:
        ops->conv_backward_weights(t->be, r->cv, x, dy, params_grad(t->g->params, q->weight), params_grad(t->g->params, q->bias),
                                   net_at(t, s->workspace));
        if (dx != NULL) ops->conv_backward_data(t->be, r->cv, dy, params_value(t->g->params, q->weight), dx, net_at(t, s->workspace));
        break;
    case NODE_NORM:
        status = norm_backward(t->be, t->c, &r->call, dy, q->relu, net_at(t, s->y), x, dx, net_at(t, s->dresidual));
        break;
    case NODE_MAXPOOL:
        ops->maxpool_backward(t->be, &dout, net_at(t, r->index), q->kernel, q->stride, q->padding, &din);
        break;
    case NODE_DROPOUT:
        ops->dropout(t->be, &dout, q->rate, t->o.seed, (uint32_t)s->node, first_position, &din);
        break;
    case NODE_ADD:
    case NODE_INPUT:
        break;
    }
    if (s->add_dx >= 0) ops->accumulate(t->be, dx, net_at(t, s->add_dx), net_count(t, input), t->o.type);
    if (s->add_dresidual >= 0)
        ops->accumulate(t->be, net_at(t, s->dresidual), net_at(t, s->add_dresidual), net_count(t, q->inputs[1]), t->o.type);
    return status;
}

static void recompute_step(const net *t, const net_step *s) {
    const net_node *r = &t->nodes[s->node];
    t->be->ops->norm_affine(t->be, net_at(t, s->x), r->call.dims, r->state.m, r->state.a, r->state.b, net_at(t, s->residual),
                            t->g->nodes[s->node].relu, net_at(t, s->y));
}

entrain_status net_forward(net *t, const void *images, uint64_t first_position) {
    t->images = images;
    t->first_position = first_position;
    entrain_status status = ENTRAIN_OK;
    for (int i = 0; i < t->forward_count && status == ENTRAIN_OK; i++) status = forward_step(t, &t->steps[i], first_position);
    return status;
}

tensor net_logits(const net *t) {
    return net_tensor(t, t->g->logits, net_at(t, t->nodes[t->g->logits].out), F32);
}

void net_loss(net *t, const uint8_t *labels, loss_sums *sums) {
    const int heads[2] = {t->g->logits, t->g->aux_logits};
    for (int i = 0; i < 2; i++) {
        if (heads[i] < 0) continue;
        const net_node *r = &t->nodes[heads[i]];
        const tensor logits = net_tensor(t, heads[i], net_at(t, r->out), F32),
                     gradient = net_tensor(t, heads[i], net_at(t, r->grad), t->o.type);
        t->be->ops->upsample_loss(t->be, &logits, labels, t->o.h, t->o.w, t->o.class_weights, r->grad >= 0 ? &gradient : NULL, &sums[i],
                                  net_at(t, t->steps[t->loss_step].workspace));
    }
}

entrain_status net_backward(net *t, const double *valid) {
    const int heads[2] = {t->g->logits, t->g->aux_logits};
    const double weights[2] = {1.0, t->o.aux_weight};
    for (int i = 0; i < 2; i++)
        if (heads[i] >= 0)
            t->be->ops->scale(t->be, net_at(t, t->nodes[heads[i]].grad), weights[i], valid, net_count(t, heads[i]), t->o.type);
    entrain_status status = ENTRAIN_OK;
    for (int i = t->forward_count; i < t->step_count && status == ENTRAIN_OK; i++) {
        const net_step *s = &t->steps[i];
        if (s->kind == STEP_RECOMPUTE) recompute_step(t, s);
        if (s->kind != STEP_BACKWARD) continue;
        status = backward_step(t, s, t->first_position);
        if (status == ENTRAIN_OK && t->o.finished != NULL) status = t->o.finished(t->o.finished_context, s->node);
    }
    return status;
}

const char *net_find_nonfinite(net *t, const void *images, uint64_t first_position, int nodes, int *image) {
    const char *found = NULL;
    t->images = images;
    for (int i = 0; i < t->forward_count; i++) {
        const int id = t->steps[i].node;
        if (forward_step(t, &t->steps[i], first_position) != ENTRAIN_OK) return found;
        if (found != NULL || id >= nodes) continue; /* go on all the same: other ranks are in the same collectives */
        const int64_t where = t->be->ops->find_nonfinite(t->be, net_at(t, t->nodes[id].out), net_count(t, id), t->nodes[id].type);
        if (where < 0) continue;
        found = t->g->nodes[id].name;
        *image = (int)(where / (int64_t)(net_count(t, id) / (size_t)t->o.n));
    }
    return found;
}
