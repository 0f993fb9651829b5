/* What net_create (net.c), its schedule (schedule.c) and its execution (net_run.c) share. */
#ifndef MODEL_NET_INTERNAL_H
#define MODEL_NET_INTERNAL_H

#include "model/net.h"

/*
 * A step of the schedule. Buffers are numbers in the plan; -1 for none. Forward steps write `out`; RECOMPUTE repeats a norm's affine pass
 * before the first backward step that needs its output; BACKWARD steps read the node's output gradient `dy` and write its inputs'
 * gradients.
 */
typedef enum step_kind { STEP_FORWARD, STEP_LOSS, STEP_RECOMPUTE, STEP_BACKWARD } step_kind;

typedef struct net_step {
    step_kind kind;
    int node;
    int x, residual, y;        /* buffers of the node's input, residual and output as they are to be read */
    int dy;                    /* gradient of the output */
    int dx, dresidual;         /* where the inputs' gradients are written, -1 where nobody needs them */
    int add_dx, add_dresidual; /* then added to these, -1 for none: the input had a gradient already */
    int workspace;             /* of this step alone, -1 for none */
} net_step;

/* One node at this net's size. */
typedef struct net_node {
    int h, w;        /* of the output */
    int out;         /* buffer of the output */
    int again;       /* buffer of the recomputed output, -1 where the output is kept */
    int grad;        /* buffer of the output's gradient, -1 before one exists */
    int index;       /* maxpool: buffer of the winners */
    dtype type;      /* of the output; the gradient is of the net's type */
    bool recomputed; /* the output is not kept for backward */
    conv *cv;
    norm_call call;
    norm_params params, grads;
    norm_state state;
} net_node;

struct net {
    const graph *g;
    backend *be;
    comm *c;
    net_options o;
    net_node *nodes; /* g->count */
    net_step *steps;
    int step_count, forward_count; /* the first forward_count steps are the forward pass */
    plan plan;
    char *arena, *norm_memory;
    size_t norm_bytes, norm_shared_bytes; /* the shared part lies behind the layers' own */
    int loss_step;
    size_t loss_workspace_bytes;
    const void *images; /* of the pass under way, of the net's type */
    uint64_t first_position;
};

/* Fill steps and the plan's lifetimes. */
entrain_status schedule_build(net *t, entrain_error *err);

/* The output of a node, or its gradient, which stands at data. */
static inline tensor net_tensor(const net *t, int id, void *data, dtype type) {
    const net_node *q = &t->nodes[id];
    return (tensor){data, t->o.n, q->h, q->w, t->g->nodes[id].channels, type};
}

/* Memory of a buffer of the plan; NULL for -1. */
static inline void *net_at(const net *t, int buffer) {
    return buffer < 0 ? NULL : t->arena + t->plan.buffers[buffer].offset;
}

conv_desc net_conv_desc(const net *t, int id);

static inline size_t net_count(const net *t, int id) {
    return (size_t)t->o.n * (size_t)t->nodes[id].h * (size_t)t->nodes[id].w * (size_t)t->g->nodes[id].channels;
}

#endif
