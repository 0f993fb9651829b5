/* Making a network runnable: shapes, convolution primitives, normalisation calls, schedule, memory. */
#include "model/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/net_internal.h"

static void shape_node(net *t, int id) {
    const node *q = &t->g->nodes[id];
    net_node *r = &t->nodes[id];
    r->out = r->again = r->grad = r->index = -1;
    r->type = q->logits ? F32 : t->o.type;
    if (q->kind == NODE_INPUT) {
        r->h = t->o.h;
        r->w = t->o.w;
        return;
    }
    const net_node *in = &t->nodes[q->inputs[0]];
    const bool windowed = q->kind == NODE_CONV || q->kind == NODE_MAXPOOL;
    r->h = windowed ? conv_out(in->h, q->kernel, q->stride, q->padding, q->dilation) : in->h;
    r->w = windowed ? conv_out(in->w, q->kernel, q->stride, q->padding, q->dilation) : in->w;
}

conv_desc net_conv_desc(const net *t, int id) {
    const node *q = &t->g->nodes[id];
    const net_node *in = &t->nodes[q->inputs[0]];
    return (conv_desc){.n = t->o.n,
                       .h = in->h,
                       .w = in->w,
                       .c_in = t->g->nodes[q->inputs[0]].channels,
                       .c_out = q->channels,
                       .kernel = q->kernel,
                       .stride = q->stride,
                       .padding = q->padding,
                       .dilation = q->dilation,
                       .groups = 1,
                       .bias = q->bias >= 0,
                       .training = t->o.training,
                       .tf32 = t->o.tf32,
                       .type = t->o.type,
                       .y_type = t->nodes[id].type};
}

static entrain_status prepare_conv(net *t, int id, entrain_error *err) {
    const conv_desc d = net_conv_desc(t, id);
    if (t->be->ops->conv_create(t->be, &d, &t->nodes[id].cv, err) == ENTRAIN_OK) return ENTRAIN_OK;
    return error_prefix(err, "%s", t->g->nodes[id].name);
}

static norm_dims dims_of(const net *t, int id) {
    return (norm_dims){t->o.n, t->nodes[id].h * t->nodes[id].w, t->g->nodes[id].channels, t->o.type};
}

static void prepare_norm(net *t, int id) {
    const node *q = &t->g->nodes[id];
    net_node *r = &t->nodes[id];
    norm_tensor list[NORM_MAX_TENSORS];
    const int count = norm_tensors(&t->g->norm, q->channels, list);
    for (int i = 0; i < count; i++) {
        float *value = params_value(t->g->params, q->tensors[i]), *grad = params_grad(t->g->params, q->tensors[i]);
        memcpy((char *)&r->params + list[i].member, &value, sizeof value);
        memcpy((char *)&r->grads + list[i].member, &grad, sizeof grad);
    }
    r->call = (norm_call){&t->g->norm, dims_of(t, id), t->o.training, &r->params, &r->grads, &r->state};
    t->norm_bytes += norm_state_bytes(&t->g->norm, r->call.dims);
    const size_t shared = norm_shared_bytes(&t->g->norm, r->call.dims);
    if (shared > t->norm_shared_bytes) t->norm_shared_bytes = shared;
}

static entrain_status prepare_nodes(net *t, entrain_error *err) {
    for (int i = 0; i < t->g->count; i++) {
        const node *q = &t->g->nodes[i];
        shape_node(t, i);
        if (t->nodes[i].h < 1 || t->nodes[i].w < 1)
            return error_set(err, ENTRAIN_CONFIG, "images of %dx%d (h x w) are too small for this network: %s has no output left", t->o.h,
                             t->o.w, q->name);
        if (q->kind == NODE_NORM) prepare_norm(t, i);
        if (q->kind == NODE_CONV && prepare_conv(t, i, err) != ENTRAIN_OK) return err->status;
    }
    const int heads[2] = {t->g->logits, t->g->aux_logits};
    for (int i = 0; i < 2; i++) {
        if (heads[i] < 0) continue;
        const tensor logits = net_tensor(t, heads[i], NULL, F32);
        const size_t bytes = t->be->ops->upsample_loss_workspace(t->be, &logits, t->o.h, t->o.w);
        if (bytes > t->loss_workspace_bytes) t->loss_workspace_bytes = bytes;
    }
    return ENTRAIN_OK;
}

static entrain_status allocate(net *t, entrain_error *err) {
    t->arena = t->be->ops->alloc(t->be, t->plan.arena_bytes);
    t->norm_memory = t->be->ops->alloc(t->be, t->norm_bytes + t->norm_shared_bytes);
    if (t->arena == NULL || t->norm_memory == NULL)
        return error_set(err, ENTRAIN_DEVICE,
                         "not enough memory for %d images of %dx%d: activations and gradients need %.1f MiB, normalisation %.1f MiB. "
                         "Use a smaller train.global_batch or data.crop, or more ranks.",
                         t->o.n, t->o.h, t->o.w, (double)t->plan.arena_bytes / 1048576.0,
                         (double)(t->norm_bytes + t->norm_shared_bytes) / 1048576.0);
    size_t offset = 0;
    for (int i = 0; i < t->g->count; i++) {
        if (t->g->nodes[i].kind != NODE_NORM) continue;
        norm_state_carve(&t->g->norm, t->nodes[i].call.dims, t->norm_memory + offset, t->norm_memory + t->norm_bytes, &t->nodes[i].state);
        offset += norm_state_bytes(&t->g->norm, t->nodes[i].call.dims);
    }
    return ENTRAIN_OK;
}

/* All but the memory. On failure *out, which net_free takes, may be NULL or half made. */
static entrain_status prepare(const graph *g, backend *be, comm *c, const net_options *o, net **out, entrain_error *err) {
    net *t = *out = calloc(1, sizeof *t);
    if (t == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the network");
    *t = (net){.g = g, .be = be, .c = c, .o = *o, .nodes = calloc((size_t)g->count, sizeof(net_node))};
    if (t->nodes == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the network");
    const entrain_status status = prepare_nodes(t, err);
    return status == ENTRAIN_OK ? schedule_build(t, err) : status;
}

entrain_status net_create(const graph *g, backend *be, comm *c, const net_options *o, net **out, entrain_error *err) {
    net *t = NULL;
    entrain_status status = prepare(g, be, c, o, &t, err);
    if (status == ENTRAIN_OK) status = allocate(t, err);
    if (status != ENTRAIN_OK) {
        net_free(t);
        t = NULL;
    }
    *out = t;
    return status;
}

entrain_status net_measure(const graph *g, backend *be, comm *c, const net_options *o, net_memory *out, entrain_error *err) {
    net *t = NULL;
    const entrain_status status = prepare(g, be, c, o, &t, err);
    if (status == ENTRAIN_OK) *out = net_get_memory(t);
    net_free(t);
    return status;
}

void net_free(net *t) {
    if (t == NULL) return;
    for (int i = 0; t->nodes != NULL && i < t->g->count; i++)
        if (t->nodes[i].cv != NULL) t->be->ops->conv_destroy(t->be, t->nodes[i].cv);
    char *const memory[] = {t->arena, t->norm_memory};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        if (memory[i] != NULL) t->be->ops->release(t->be, memory[i]);
    plan_free(&t->plan);
    free(t->steps);
    free(t->nodes);
    free(t);
}

net_memory net_get_memory(const net *t) {
    net_memory m = {.arena = t->plan.arena_bytes, .norm_state = t->norm_bytes + t->norm_shared_bytes};
    for (int i = 0; i < PLAN_KINDS; i++) {
        m.by_kind[i] = t->plan.kind_bytes[i];
        m.at_peak[i] = t->plan.peak_bytes[i];
        m.unshared += t->plan.kind_bytes[i];
    }
    return m;
}

static size_t node_params(const net *t, int id) {
    const node *q = &t->g->nodes[id];
    const param *list = t->g->params->list;
    size_t count = (q->weight >= 0 ? list[q->weight].count : 0) + (q->bias >= 0 ? list[q->bias].count : 0);
    for (int i = 0; i < q->tensor_count; i++)
        if (list[q->tensors[i]].learned) count += list[q->tensors[i]].count;
    return count;
}

void net_print_layers(const net *t) {
    static const char *const kinds[] = {"input", "conv", "norm", "maxpool", "sum", "dropout"};
    size_t total = 0;
    log_info("%-34s %-8s %-22s %12s", "layer", "kind", "output (n,h,w,c)", "parameters");
    for (int i = 0; i < t->g->count; i++) {
        const node *q = &t->g->nodes[i];
        const size_t count = node_params(t, i);
        char shape[64];
        (void)snprintf(shape, sizeof shape, "%d,%d,%d,%d", t->o.n, t->nodes[i].h, t->nodes[i].w, q->channels);
        log_info("%-34s %-8s %-22s %12zu", q->name, kinds[q->kind], shape, count);
        total += count;
    }
    log_info("%-34s %-8s %-22s %12zu", "total", "", "", total);
}

void net_print_plan(const net *t) {
    static const char *const names[PLAN_KINDS] = {"activations", "recomputed activations", "activation gradients", "pooling indices",
                                                  "workspace"};
    const double mib = 1048576.0;
    const net_memory m = net_get_memory(t);
    const params *p = t->g->params;
    log_info("memory plan for %d images of %dx%d (%s):", t->o.n, t->o.h, t->o.w, t->o.training ? "training" : "evaluation");
    size_t peak = 0;
    for (int i = 0; i < PLAN_KINDS; i++) {
        peak += m.at_peak[i];
        if (m.by_kind[i] > 0)
            log_info("  %-28s %10.1f MiB (%.1f if none shared memory)", names[i], (double)m.at_peak[i] / mib, (double)m.by_kind[i] / mib);
    }
    if (m.arena > peak) log_info("  %-28s %10.1f MiB", "gaps between them", (double)(m.arena - peak) / mib);
    log_info("  %-28s %10.1f MiB", "normalisation state", (double)m.norm_state / mib);
    const double floats = (double)p->learned_floats * sizeof(float);
    log_info("  %-28s %10.1f MiB", t->o.training ? "weights and momentum" : "weights", (t->o.training ? 2.0 : 1.0) * floats / mib);
    if (t->o.training) log_info("  %-28s %10.1f MiB", "weights' gradients", (double)p->grad_floats * sizeof(float) / mib);
    log_info("  %-28s %10.1f MiB", "total", ((double)(m.arena + m.norm_state) + (double)params_bytes(p)) / mib);
}
