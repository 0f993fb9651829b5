/*
 * A network made runnable for a fixed number and size of images: shapes, convolution primitives, the schedule of a step and its memory
 * plan, all before step 0. Several nets (training, evaluation at several sizes) can share one graph and its parameters.
 */
#ifndef MODEL_NET_H
#define MODEL_NET_H

#include <stdio.h>

#include "comm/comm.h"
#include "model/graph.h"
#include "model/plan.h"

typedef struct net_options {
    int n, h, w; /* this rank's images and their size */
    bool training;
    dtype type;    /* of activations and their gradients; logits are F32 always */
    bool tf32;     /* convolutions of float32 may use TF32 */
    uint64_t seed; /* dropout */
    double aux_weight;
    const float *class_weights; /* (classes) device memory, or NULL; must outlive the net */
    /* Called after each node's backward pass, in backward's order: the gradients of its parameters are final. NULL: nobody. */
    entrain_status (*finished)(void *context, int node);
    void *finished_context;
} net_options;

typedef struct net net;

/* What a net needs, in bytes. */
typedef struct net_memory {
    size_t arena;               /* activations, gradients and the workspace of convolutions and loss, sharing memory */
    size_t unshared;            /* what they would take without sharing */
    size_t by_kind[PLAN_KINDS]; /* of these */
    size_t at_peak[PLAN_KINDS]; /* at the step that needs most; the arena is their sum and gaps between them */
    size_t norm_state;          /* moments and coefficients */
} net_memory;

entrain_status net_create(const graph *g, backend *be, comm *c, const net_options *o, net **out, entrain_error *err);
void net_free(net *t);
/* What such a net would need, without taking it. */
entrain_status net_measure(const graph *g, backend *be, comm *c, const net_options *o, net_memory *out, entrain_error *err);

/* Forward pass of images (n,h,w,3) of the net's type in device memory. first_position: of images[0] in the run (dropout). Collective in
 * training with synchronised bn. */
entrain_status net_forward(net *t, const void *images, uint64_t first_position);
/* Logits of the last forward pass: main head (n,h',w',classes); valid until the next pass. */
tensor net_logits(const net *t);
/* Loss sums over this rank's images, in device memory: sums[0] main head, sums[1] auxiliary head, not written without one. labels (n,h,w).
 * Leaves the logits' gradients, undivided. */
void net_loss(net *t, const uint8_t *labels, loss_sums *sums);
/*
 * Backward pass: gradients of (loss + aux_weight * aux loss) / *valid, summed over this rank's images, where params_grad says; *valid is in
 * device memory. Collective like forward.
 */
entrain_status net_backward(net *t, const double *valid);

/*
 * Repeat the forward pass, looking after each of the first `nodes` nodes: the name of the first whose output is not finite, NULL if there
 * is none. Collective like forward; *image is the place of the image in the batch.
 */
const char *net_find_nonfinite(net *t, const void *images, uint64_t first_position, int nodes, int *image);

/*
 * Run every convolution of a step once more, in the order of a training step, and time its kernels alone, without what is done to the
 * weights around them: seconds of all forward, backward data and backward weights passes, summed. plain: those of the backend library's
 * convolutions, whatever the net uses. *operations: their floating point operations. After a step, for measuring: activations and gradients
 * are garbage then. ENTRAIN_DEVICE when out of memory.
 */
entrain_status net_time_kernels(net *t, bool plain, double seconds[3], double *operations, entrain_error *err);

net_memory net_get_memory(const net *t);
/* A table of the layers (name, output shape, parameters). */
void net_print_layers(const net *t);
/* The plan: bytes by category, what sharing saves. */
void net_print_plan(const net *t);

#endif
