/*
 * The normalisation engine. A layer is three steps, whatever its name: moments (reads X once), coefficients (touches only N*K*C numbers;
 * the only step in which bn, in, ln, gn, sn and en differ), affine (reads X once, writes Y once, fused with residual add and ReLU).
 * Backward mirrors it. The coefficient step holds each pass's one collective, where bn is synchronised.
 */
#ifndef NORM_NORM_H
#define NORM_NORM_H

#include "backend/backend.h"
#include "comm/comm.h"
#include "norm/spec.h"

/* One row a method: name as in norm.methods. NULL for a number outside. */
const char *norm_method_name(norm_method m);
bool norm_uses_bn(const norm_spec *spec);
/* r and the number of gn groups for C channels: the largest divisors of C not above what the spec asks for. */
int norm_reduction(const norm_spec *spec, int c);
int norm_groups(const norm_spec *spec, int c);

/* One tensor that a layer with C channels owns: name below the layer ("weight", "ratio.fc1.weight", "running_mean"). */
typedef struct norm_tensor {
    const char *name;
    int rank; /* 1 or 2 dimensions */
    int dims[2];
    bool learned;  /* false: running statistics */
    size_t member; /* offsetof(norm_params, ...) of its pointer */
} norm_tensor;
enum { NORM_MAX_TENSORS = 12 };
/* The layer's tensors in checkpoint order; returns how many. */
int norm_tensors(const norm_spec *spec, int c, norm_tensor out[NORM_MAX_TENSORS]);
/* Initial values of one of them (en.md): gamma 1, beta 0, w ~ N(0,1/r), W1 ~ N(0,s^2), the rest 0; running variance and sn weights 1.
 * index: which stream of random numbers. */
void norm_init_tensor(const norm_spec *spec, int c, const norm_tensor *t, uint64_t seed, uint64_t index, float *values);

/*
 * Bytes of a layer's state for n images of c channels: what it keeps from forward to backward, and what a pass needs besides, which all
 * layers may share. And its carving from two pieces of memory of those sizes (64-byte aligned, zeroed by the caller once).
 */
size_t norm_state_bytes(const norm_spec *spec, norm_dims d);
size_t norm_shared_bytes(const norm_spec *spec, norm_dims d);
void norm_state_carve(const norm_spec *spec, norm_dims d, void *memory, void *shared, norm_state *out);

/*
 * Forward: y = relu?(norm(x) + residual?). In training bn uses the batch (all ranks' when spec->sync) and updates the running statistics;
 * otherwise it uses them. Ranks may hold different numbers of images.
 */
entrain_status norm_forward(backend *be, comm *c, const norm_call *call, const void *x, const void *residual, bool relu, void *y);

/*
 * Backward of the above: from dy to dx, the residual's gradient (NULL without one) and the parameters' gradients. relu as in forward; y is
 * its output where there was a residual, otherwise NULL will do: the ReLU's mask is then made again from x. call->state as forward left it.
 */
entrain_status norm_backward(backend *be, comm *c, const norm_call *call, const void *dy, bool relu, const void *y, const void *x, void *dx,
                             void *dresidual);

/* The coefficient step on host memory, in float64 inside; the CPU backend's table points here. */
void norm_host_forward_sums(const norm_call *call);
void norm_host_forward_coefficients(const norm_call *call);
void norm_host_backward_sums(const norm_call *call);
void norm_host_backward_coefficients(const norm_call *call);

#endif
