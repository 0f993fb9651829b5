/* The engine: a layer's passes in their order, on any backend, with the one collective of each direction. */
#include "norm/norm.h"

/*
 * Whether bn's sums cross ranks. Every rank decides alike, from what all of them share: the configuration and the number of ranks, never
 * from how many images it holds itself.
 */
static bool crosses_ranks(const comm *c, const norm_call *call) {
    return call->training && call->spec->sync && c->size > 1 && norm_uses_bn(call->spec);
}

entrain_status norm_forward(backend *be, comm *c, const norm_call *call, const void *x, const void *residual, bool relu, void *y) {
    const backend_ops *ops = be->ops;
    const norm_state *s = call->state;
    if (call->training || call->spec->type != NORM_BN) ops->norm_moments(be, x, call->dims, s->m, s->v);
    ops->norm_forward_sums(be, call);
    if (crosses_ranks(c, call)) {
        const entrain_status status = comm_allreduce(c, s->bn, 2 * (size_t)call->dims.c + 1, COMM_F64, be->stream);
        if (status != ENTRAIN_OK) return status;
    }
    ops->norm_forward_coefficients(be, call);
    ops->norm_affine(be, x, call->dims, s->m, s->a, s->b, residual, relu, y);
    return ENTRAIN_OK;
}

entrain_status norm_backward(backend *be, comm *c, const norm_call *call, const void *dy, bool relu, const void *y, const void *x, void *dx,
                             void *dresidual) {
    const backend_ops *ops = be->ops;
    const norm_state *s = call->state;
    norm_mask mask = {NULL, NULL, NULL};
    if (relu && y != NULL) mask.y = y;
    if (relu && y == NULL) mask = (norm_mask){NULL, s->a, s->b};
    ops->norm_reduce(be, dy, mask, x, call->dims, s->m, s->s1, s->s2);
    ops->norm_backward_sums(be, call);
    if (crosses_ranks(c, call)) {
        const entrain_status status = comm_allreduce(c, s->bn_grad, 2 * (size_t)call->dims.c, COMM_F64, be->stream);
        if (status != ENTRAIN_OK) return status;
    }
    ops->norm_backward_coefficients(be, call);
    ops->norm_backward(be, dy, mask, x, call->dims, s->a, s->m, s->dm, s->dv, dx, dresidual);
    return ENTRAIN_OK;
}
