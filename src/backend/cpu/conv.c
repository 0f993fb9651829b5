/*
 * Convolution through oneDNN: the only file that calls it.
 *
 * Activations are NHWC everywhere. Weights come and go in the plain order of a checkpoint, (O, I/groups, k, k); inside a call they are
 * reordered to or from the blocked order that oneDNN asks for, in the caller's workspace, where its scratch memory lies too. With two
 * images of 193x193 on AVX-512 that adds 2 to 5 % to most convolutions of ResNet-50 at output stride 8 and 12 % to the 150-class head;
 * with larger maps less, as the weights stay the same.
 *
 * A convolution is three passes (forward, gradient of data, gradient of weights), each one primitive and at most one reorder. All of
 * their objects are made by conv_create; running a pass only puts the callers' pointers into them.
 *
 * With oneDNN 2.6 on AVX-512 every geometry of our networks gets a jit kernel on NHWC as it is: the 3-channel 7x7 stem and heads of 8,
 * 11, 19 and 150 classes among them (brgconv forward, jit backward), so no channel is padded here.
 */
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/error.h"
#include "base/memory.h"

#if DNNL_VERSION_MAJOR != 2
#error "conv.c is written for oneDNN 2.x"
#endif

struct cpu_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    entrain_error failure; /* the first call that failed while running; status ENTRAIN_OK until then */
};

enum pass_kind { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, PASSES };

/* The memory objects of a pass. X, Y, W, B stand for values or gradients as the pass has it. */
enum slot { X, Y, W, B, SCRATCH, PLAIN_W, REORDER_SCRATCH, SLOTS };

typedef struct conv_pass {
    dnnl_primitive_t primitive;
    dnnl_primitive_t reorder; /* plain <-> blocked weights; NULL where oneDNN takes them plain */
    dnnl_memory_t memory[SLOTS];
    void *handle[SLOTS]; /* what each memory object points to now */
    dnnl_exec_arg_t args[5], reorder_args[3];
    int arg_count;
    size_t weight_bytes;  /* of the reordered weights, rounded; they come first in the workspace */
    size_t scratch_bytes; /* primitive and reorder take turns in it */
} conv_pass;

struct conv {
    conv_desc desc;
    conv_pass pass[PASSES]; /* without training only FORWARD */
};

/* ---- engine ---- */

entrain_status cpu_dnnl_open(cpu_dnnl **out, entrain_error *err) {
    *out = NULL;
    cpu_dnnl *d = calloc(1, sizeof *d);
    if (d == NULL) return error_set(err, ENTRAIN_DEVICE, "oneDNN: out of memory");
    dnnl_status_t s = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (s == dnnl_success) s = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (s != dnnl_success) {
        cpu_dnnl_close(d);
        return error_set(err, ENTRAIN_DEVICE, "oneDNN: cannot open its CPU engine (dnnl_status_t %d)", (int)s);
    }
    *out = d;
    return ENTRAIN_OK;
}

void cpu_dnnl_close(cpu_dnnl *d) {
    if (d == NULL) return;
    if (d->stream != NULL) (void)dnnl_stream_destroy(d->stream);
    if (d->engine != NULL) (void)dnnl_engine_destroy(d->engine);
    free(d);
}

entrain_status cpu_dnnl_status(const cpu_dnnl *d, entrain_error *err) {
    if (d->failure.status == ENTRAIN_OK) return ENTRAIN_OK;
    return error_set(err, d->failure.status, "%s", d->failure.text);
}

/* ---- making ---- */

/* The five descriptions that a pass starts from; blocked leaves the order of the weights to oneDNN. */
typedef struct conv_shapes {
    dnnl_memory_desc_t x, y, plain_w, blocked_w, b;
    dnnl_dims_t stride, dilation, padding;
} conv_shapes;

static dnnl_status_t describe(const conv_desc *d, conv_shapes *s) {
    const int oh = conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation);
    const int ow = conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation);
    const int i = d->c_in / d->groups, o = d->c_out / d->groups;
    const dnnl_dims_t x = {d->n, d->c_in, d->h, d->w}, y = {d->n, d->c_out, oh, ow}, b = {d->c_out};
    const dnnl_dims_t w = {o, i, d->kernel, d->kernel}, grouped_w = {d->groups, o, i, d->kernel, d->kernel};
    const int rank = d->groups > 1 ? 5 : 4;
    const dnnl_dim_t *const w_dims = d->groups > 1 ? grouped_w : w;
    for (int k = 0; k < 2; k++) {
        s->stride[k] = d->stride;
        s->dilation[k] = d->dilation - 1; /* oneDNN counts the holes */
        s->padding[k] = d->padding;
    }
    dnnl_status_t e = dnnl_memory_desc_init_by_tag(&s->x, 4, x, dnnl_f32, dnnl_nhwc);
    if (e == dnnl_success) e = dnnl_memory_desc_init_by_tag(&s->y, 4, y, dnnl_f32, dnnl_nhwc);
    if (e == dnnl_success) e = dnnl_memory_desc_init_by_tag(&s->b, 1, b, dnnl_f32, dnnl_a);
    if (e == dnnl_success) e = dnnl_memory_desc_init_by_tag(&s->plain_w, rank, w_dims, dnnl_f32, rank == 5 ? dnnl_goihw : dnnl_oihw);
    if (e == dnnl_success) e = dnnl_memory_desc_init_by_tag(&s->blocked_w, rank, w_dims, dnnl_f32, dnnl_format_tag_any);
    return e;
}

/*
 * The primitive's description of one pass; the backward ones need the forward one as a hint. dnnl_convolution_direct, not auto: that
 * might choose Winograd, which is less exact.
 */
static dnnl_status_t describe_pass(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const conv_shapes *s, bool bias,
                                   enum pass_kind kind, const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *out) {
    const dnnl_memory_desc_t *const b = bias ? &s->b : NULL;
    dnnl_convolution_desc_t c;
    dnnl_status_t e = dnnl_success;
    switch (kind) {
    case FORWARD:
        e = dnnl_dilated_convolution_forward_desc_init(&c, dnnl_forward_training, dnnl_convolution_direct, &s->x, &s->blocked_w, b, &s->y,
                                                       s->stride, s->dilation, s->padding, s->padding);
        break;
    case BACKWARD_DATA:
        e = dnnl_dilated_convolution_backward_data_desc_init(&c, dnnl_convolution_direct, &s->x, &s->blocked_w, &s->y, s->stride,
                                                             s->dilation, s->padding, s->padding);
        break;
    default:
        e = dnnl_dilated_convolution_backward_weights_desc_init(&c, dnnl_convolution_direct, &s->x, &s->blocked_w, b, &s->y, s->stride,
                                                                s->dilation, s->padding, s->padding);
    }
    return e == dnnl_success ? dnnl_primitive_desc_create(out, &c, attr, engine, forward) : e;
}

/* A memory object without memory; a description of no bytes gives none. */
static dnnl_status_t make_memory(dnnl_engine_t engine, const dnnl_memory_desc_t *md, dnnl_memory_t *out) {
    return dnnl_memory_desc_get_size(md) > 0 ? dnnl_memory_create(out, md, engine, DNNL_MEMORY_NONE) : dnnl_success;
}

static dnnl_status_t make_reorder(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const dnnl_memory_desc_t *from,
                                  const dnnl_memory_desc_t *to, conv_pass *p) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t e = dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, attr);
    if (e != dnnl_success) return e;
    const dnnl_memory_desc_t *const scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    e = dnnl_primitive_create(&p->reorder, pd);
    if (e == dnnl_success) e = make_memory(engine, scratch, &p->memory[REORDER_SCRATCH]);
    const size_t bytes = dnnl_memory_desc_get_size(scratch);
    if (bytes > p->scratch_bytes) p->scratch_bytes = bytes;
    (void)dnnl_primitive_desc_destroy(pd);
    return e;
}

static dnnl_status_t make_pass(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const conv_shapes *s, bool bias, enum pass_kind kind,
                               const_dnnl_primitive_desc_t pd, conv_pass *p) {
    const dnnl_query_t weights_query = kind == BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    const dnnl_memory_desc_t *const w = dnnl_primitive_desc_query_md(pd, weights_query, 0);
    const dnnl_memory_desc_t *const scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    const bool has_bias = bias && kind != BACKWARD_DATA;
    p->scratch_bytes = dnnl_memory_desc_get_size(scratch);

    dnnl_status_t e = dnnl_primitive_create(&p->primitive, pd);
    if (e == dnnl_success) e = make_memory(engine, &s->x, &p->memory[X]);
    if (e == dnnl_success) e = make_memory(engine, &s->y, &p->memory[Y]);
    if (e == dnnl_success) e = make_memory(engine, w, &p->memory[W]);
    if (e == dnnl_success && has_bias) e = make_memory(engine, &s->b, &p->memory[B]);
    if (e == dnnl_success) e = make_memory(engine, scratch, &p->memory[SCRATCH]);
    if (e == dnnl_success && !dnnl_memory_desc_equal(w, &s->plain_w)) {
        const bool to_plain = kind == BACKWARD_WEIGHTS;
        p->weight_bytes = memory_round(dnnl_memory_desc_get_size(w));
        e = make_memory(engine, &s->plain_w, &p->memory[PLAIN_W]);
        if (e == dnnl_success) e = make_reorder(engine, attr, to_plain ? w : &s->plain_w, to_plain ? &s->plain_w : w, p);
        p->reorder_args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, p->memory[to_plain ? W : PLAIN_W]};
        p->reorder_args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, p->memory[to_plain ? PLAIN_W : W]};
        p->reorder_args[2] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->memory[REORDER_SCRATCH]};
    }

    static const int names[PASSES][4] = {{DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS},
                                         {DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, 0},
                                         {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS}};
    for (int slot = X; slot <= SCRATCH; slot++) {
        if (p->memory[slot] == NULL) continue;
        p->args[p->arg_count++] = (dnnl_exec_arg_t){slot == SCRATCH ? DNNL_ARG_SCRATCHPAD : names[kind][slot], p->memory[slot]};
    }
    return e;
}

static dnnl_status_t make_passes(cpu_dnnl *dnnl, conv *cv) {
    const int count = cv->desc.training ? PASSES : 1;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd[PASSES] = {NULL};
    conv_shapes shapes;
    dnnl_status_t e = describe(&cv->desc, &shapes);
    if (e == dnnl_success) e = dnnl_primitive_attr_create(&attr);
    if (e == dnnl_success) e = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    for (int k = 0; k < count && e == dnnl_success; k++) {
        const enum pass_kind kind = (enum pass_kind)k;
        e = describe_pass(dnnl->engine, attr, &shapes, cv->desc.bias, kind, k > 0 ? pd[FORWARD] : NULL, &pd[k]);
        if (e == dnnl_success) e = make_pass(dnnl->engine, attr, &shapes, cv->desc.bias, kind, pd[k], &cv->pass[k]);
    }
    for (int k = 0; k < count; k++) {
        if (pd[k] != NULL) (void)dnnl_primitive_desc_destroy(pd[k]);
    }
    if (attr != NULL) (void)dnnl_primitive_attr_destroy(attr);
    return e;
}

/* One line for messages. */
static void geometry(const conv_desc *d, char *text, size_t size) {
    (void)snprintf(text, size, "convolution %dx%d of (%d,%d,%d,%d) to %d channels, stride %d, padding %d, dilation %d, groups %d",
                   d->kernel, d->kernel, d->n, d->h, d->w, d->c_in, d->c_out, d->stride, d->padding, d->dilation, d->groups);
}

static bool sensible(const conv_desc *d) {
    if (d->n < 1 || d->c_in < 1 || d->c_out < 1 || d->kernel < 1 || d->stride < 1 || d->padding < 0 || d->dilation < 1) return false;
    if (d->groups < 1 || d->c_in % d->groups != 0 || d->c_out % d->groups != 0) return false;
    return conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation) > 0 &&
           conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation) > 0;
}

entrain_status cpu_conv_create(backend *be, const conv_desc *d, conv **out, entrain_error *err) {
    *out = NULL;
    char what[256];
    geometry(d, what, sizeof what);
    if (!sensible(d)) {
        return error_set(err, ENTRAIN_DEVICE,
                         "%s: no such convolution; sizes must be positive, groups divide both channel counts and the "
                         "window fit into the padded map",
                         what);
    }
    conv *cv = calloc(1, sizeof *cv);
    if (cv == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", what);
    cv->desc = *d;
    omp_set_num_threads(be->threads); /* a setting of each calling thread; oneDNN lays out its scratch memory for this number */
    const dnnl_status_t e = make_passes(be->state, cv);
    if (e != dnnl_success) {
        cpu_conv_destroy(be, cv);
        return error_set(err, ENTRAIN_DEVICE, "%s: oneDNN cannot make it (dnnl_status_t %d)", what, (int)e);
    }
    *out = cv;
    return ENTRAIN_OK;
}

void cpu_conv_destroy(backend *be, conv *cv) {
    (void)be;
    if (cv == NULL) return;
    for (int k = 0; k < PASSES; k++) {
        conv_pass *p = &cv->pass[k];
        for (int i = 0; i < SLOTS; i++) {
            if (p->memory[i] != NULL) (void)dnnl_memory_destroy(p->memory[i]);
        }
        if (p->reorder != NULL) (void)dnnl_primitive_destroy(p->reorder);
        if (p->primitive != NULL) (void)dnnl_primitive_destroy(p->primitive);
    }
    free(cv);
}

size_t cpu_conv_workspace(const conv *cv) {
    size_t most = 0;
    for (int k = 0; k < PASSES; k++) {
        const size_t bytes = cv->pass[k].weight_bytes + memory_round(cv->pass[k].scratch_bytes);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* ---- running ---- */

/* oneDNN has one kind of handle for what it reads and what it writes. */
static void *handle_of(const void *p) {
    return (void *)(uintptr_t)p;
}

/* Point a memory object to p. Skipped where it points there already: setting a handle writes zeros into the padding of blocked weights. */
static dnnl_status_t aim(conv_pass *p, enum slot slot, void *handle) {
    if (p->memory[slot] == NULL || p->handle[slot] == handle) return dnnl_success;
    p->handle[slot] = handle;
    return dnnl_memory_set_data_handle(p->memory[slot], handle);
}

static dnnl_status_t execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream, int count, const dnnl_exec_arg_t *args) {
    const dnnl_status_t e = dnnl_primitive_execute(primitive, stream, count, args);
    return e == dnnl_success ? dnnl_stream_wait(stream) : e;
}

static void run(backend *be, conv *cv, enum pass_kind kind, void *x, void *y, void *w, void *b, void *workspace) {
    cpu_dnnl *const dnnl = be->state;
    conv_pass *const p = &cv->pass[kind];
    unsigned char *const scratch = (unsigned char *)workspace + p->weight_bytes;
    const int reorder_count = p->memory[REORDER_SCRATCH] != NULL ? 3 : 2;
    omp_set_num_threads(be->threads);

    dnnl_status_t e = aim(p, X, x);
    if (e == dnnl_success) e = aim(p, Y, y);
    if (e == dnnl_success) e = aim(p, B, b);
    if (e == dnnl_success) e = aim(p, PLAIN_W, w);
    if (e == dnnl_success) e = aim(p, W, p->reorder != NULL ? workspace : w);
    if (e == dnnl_success) e = aim(p, SCRATCH, scratch);
    if (e == dnnl_success) e = aim(p, REORDER_SCRATCH, scratch);

    if (e == dnnl_success && p->reorder != NULL && kind != BACKWARD_WEIGHTS)
        e = execute(p->reorder, dnnl->stream, reorder_count, p->reorder_args);
    if (e == dnnl_success) e = execute(p->primitive, dnnl->stream, p->arg_count, p->args);
    if (e == dnnl_success && p->reorder != NULL && kind == BACKWARD_WEIGHTS)
        e = execute(p->reorder, dnnl->stream, reorder_count, p->reorder_args);

    if (e != dnnl_success && dnnl->failure.status == ENTRAIN_OK) {
        char what[256];
        geometry(&cv->desc, what, sizeof what);
        (void)error_set(&dnnl->failure, ENTRAIN_DEVICE, "%s: oneDNN failed while running pass %d (dnnl_status_t %d)", what, (int)kind,
                        (int)e);
    }
}

void cpu_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace) {
    run(be, cv, FORWARD, handle_of(x), y, handle_of(w), handle_of(bias), workspace);
}

void cpu_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace) {
    run(be, cv, BACKWARD_DATA, dx, handle_of(dy), handle_of(w), NULL, workspace);
}

void cpu_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace) {
    run(be, cv, BACKWARD_WEIGHTS, handle_of(x), handle_of(dy), dw, dbias, workspace);
}

void cpu_conv_kernel(backend *be, conv *cv, int pass, void *x, void *y, void *workspace) {
    cpu_dnnl *const dnnl = be->state;
    conv_pass *const p = &cv->pass[pass];
    omp_set_num_threads(be->threads);
    dnnl_status_t e = aim(p, X, x);
    if (e == dnnl_success) e = aim(p, Y, y);
    if (e == dnnl_success) e = aim(p, W, workspace);
    if (e == dnnl_success) e = aim(p, B, workspace);
    if (e == dnnl_success) e = aim(p, SCRATCH, (unsigned char *)workspace + p->weight_bytes);
    if (e == dnnl_success) (void)execute(p->primitive, dnnl->stream, p->arg_count, p->args);
}
