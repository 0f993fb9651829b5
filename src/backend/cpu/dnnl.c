/*
 * Convolution passes by oneDNN: the only file that calls it.
 *
 * Weights come and go in the plain order of a checkpoint, (O, I/groups, k, k), in float32; inside a call they are reordered to or from the
 * blocked order that oneDNN asks for, in the caller's workspace, where its scratch memory lies too. For bfloat16 maps the same reorder
 * rounds the weights to bfloat16; sums are float32 inside the kernels and gradients of weights come out float32, so that no bfloat16 copy
 * of all weights is ever kept. All objects are made beforehand; running a pass only puts the caller's pointers into them.
 */
#include "backend/cpu/dnnl.h"

#include <stdlib.h>

#include "backend/cpu/dnnl_versions.h"
#include "backend/cpu/weights.h"
#include "base/error.h"
#include "base/memory.h"

struct cpu_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* scratch memory comes from the caller */
    entrain_error failure;      /* the first call that failed while running; status ENTRAIN_OK until then */
};

/* The memory objects of a pass. X, Y, W, B stand for values or gradients as the pass has it. */
enum slot { X, Y, W, B, SCRATCH, PLAIN_W, REORDER_SCRATCH, SLOTS };

struct dnnl_pass {
    enum pass_kind kind;
    dnnl_primitive_t primitive;
    dnnl_primitive_t reorder; /* plain <-> blocked weights; NULL where oneDNN takes them plain */
    dnnl_memory_t memory[SLOTS];
    void *handle[SLOTS]; /* what each memory object points to now */
    dnnl_exec_arg_t args[5], reorder_args[3];
    int arg_count;
    int out, in, taps;    /* dimensions of the weights */
    int block;            /* our own reorder's, 0: oneDNN's */
    size_t weight_bytes;  /* of the reordered weights, rounded; they come first in the workspace */
    size_t scratch_bytes; /* primitive and reorder take turns in it */
};

/* ---- engine ---- */

entrain_status cpu_dnnl_open(cpu_dnnl **out, entrain_error *err) {
    *out = NULL;
    cpu_dnnl *d = calloc(1, sizeof *d);
    if (d == NULL) return error_set(err, ENTRAIN_DEVICE, "oneDNN: out of memory");
    dnnl_status_t s = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (s == dnnl_success) s = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (s == dnnl_success) s = dnnl_primitive_attr_create(&d->attr);
    if (s == dnnl_success) s = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (s != dnnl_success) {
        cpu_dnnl_close(d);
        return error_set(err, ENTRAIN_DEVICE, "oneDNN: cannot open its CPU engine (dnnl_status_t %d)", (int)s);
    }
    *out = d;
    return ENTRAIN_OK;
}

void cpu_dnnl_close(cpu_dnnl *d) {
    if (d == NULL) return;
    if (d->attr != NULL) (void)dnnl_primitive_attr_destroy(d->attr);
    if (d->stream != NULL) (void)dnnl_stream_destroy(d->stream);
    if (d->engine != NULL) (void)dnnl_engine_destroy(d->engine);
    free(d);
}

void cpu_dnnl_failed(cpu_dnnl *d, const char *what, int pass, int status) {
    if (d->failure.status != ENTRAIN_OK) return;
    (void)error_set(&d->failure, ENTRAIN_DEVICE, "%s: oneDNN failed while running pass %d (dnnl_status_t %d)", what, pass, status);
}

entrain_status cpu_dnnl_status(const cpu_dnnl *d, entrain_error *err) {
    if (d->failure.status == ENTRAIN_OK) return ENTRAIN_OK;
    return error_set(err, d->failure.status, "%s", d->failure.text);
}

/* Levels of instruction sets contain each other bit by bit. Below this one oneDNN computes bfloat16 by way of float32, slowly. */
bool cpu_dnnl_has_bf16(void) {
    const unsigned level = (unsigned)dnnl_get_effective_cpu_isa(), wanted = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    return (level & wanted) == wanted;
}

/* ---- what a convolution consists of ---- */

/* w and dw leave the order of the weights to oneDNN. */
typedef struct conv_layouts {
    layout *x, *y, *dy, *w, *dw, *plain_w, *b;
    window window;
} conv_layouts;

static dnnl_data_type_t type_of(dtype type) {
    return type == BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t make_layouts(const conv_desc *d, conv_layouts *s) {
    const int oh = conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation);
    const int ow = conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation);
    const int i = d->c_in / d->groups, o = d->c_out / d->groups;
    const dnnl_dims_t x = {d->n, d->c_in, d->h, d->w}, y = {d->n, d->c_out, oh, ow}, b = {d->c_out};
    const dnnl_dims_t w = {o, i, d->kernel, d->kernel}, grouped_w = {d->groups, o, i, d->kernel, d->kernel};
    const int rank = d->groups > 1 ? 5 : 4;
    const dnnl_dim_t *const w_dims = d->groups > 1 ? grouped_w : w;
    const dnnl_data_type_t type = type_of(d->type);
    for (int k = 0; k < 2; k++) {
        s->window.stride[k] = d->stride;
        s->window.dilation[k] = d->dilation - 1; /* oneDNN counts the holes */
        s->window.padding[k] = d->padding;
    }
    dnnl_status_t e = layout_create(&s->x, 4, x, type, dnnl_nhwc);
    if (e == dnnl_success) e = layout_create(&s->y, 4, y, type_of(d->y_type), dnnl_nhwc);
    if (e == dnnl_success) e = layout_create(&s->dy, 4, y, type, dnnl_nhwc);
    if (e == dnnl_success && d->bias) e = layout_create(&s->b, 1, b, dnnl_f32, dnnl_a);
    if (e == dnnl_success) e = layout_create(&s->plain_w, rank, w_dims, dnnl_f32, rank == 5 ? dnnl_goihw : dnnl_oihw);
    if (e == dnnl_success) e = layout_create(&s->w, rank, w_dims, type, dnnl_format_tag_any);
    if (e == dnnl_success) e = layout_create(&s->dw, rank, w_dims, dnnl_f32, dnnl_format_tag_any);
    return e;
}

static void destroy_layouts(conv_layouts *s) {
    layout *const all[] = {s->x, s->y, s->dy, s->w, s->dw, s->plain_w, s->b};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) layout_destroy(all[k]);
}

/*
 * Geometries where a generated kernel of oneDNN 2.6.3, 3.2 or 3.13.2 gives wrong numbers, reads what nobody wrote or writes behind its
 * scratch memory (found by running random geometries on different instruction sets and types against each other): any type: strided 1x1
 * windows over channels that do not fill a vector; bfloat16: windows larger than the map; weight gradients of dilated windows over channels
 * that do not fill a vector; data gradients of 1x1 windows from an odd number of channels. Of our networks' layers only a classifier with
 * an odd number of classes is one. Matrix products, the next choice, are right.
 */
static bool distrusted(const conv_desc *d, enum pass_kind kind) {
    enum { VECTOR = 16 };
    const int in = d->c_in / d->groups, out = d->c_out / d->groups;
    if (d->kernel == 1 && d->stride > 1 && in % VECTOR != 0) return true;
    if (d->type != BF16) return false;
    if (d->kernel > 1 && (d->w < d->kernel || d->h < d->kernel)) return true;
    if (kind == BACKWARD_DATA) return d->kernel == 1 && out % 2 != 0;
    return kind == BACKWARD_WEIGHTS && d->kernel > 1 && d->dilation > 1 && in % VECTOR != 0;
}

/* A backward pass wants a forward one of its own types as a hint. */
static dnnl_status_t describe(const cpu_dnnl *dnnl, const conv_desc *d, const conv_layouts *s, enum pass_kind kind,
                              const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out) {
    switch (kind) {
    case FORWARD:
        return describe_forward(dnnl->engine, dnnl->attr, s->x, s->w, s->b, s->y, &s->window, distrusted(d, kind), out);
    case BACKWARD_DATA:
        return describe_backward_data(dnnl->engine, dnnl->attr, s->x, s->w, s->dy, &s->window, hint, distrusted(d, kind), out);
    default:
        return describe_backward_weights(dnnl->engine, dnnl->attr, s->x, s->dw, s->b, s->dy, &s->window, hint, distrusted(d, kind), out);
    }
}

/* ---- making ---- */

/* A memory object without memory; a description of no bytes gives none. */
static dnnl_status_t make_memory(dnnl_engine_t engine, const layout *l, dnnl_memory_t *out) {
    return dnnl_memory_desc_get_size(l) > 0 ? dnnl_memory_create(out, l, engine, DNNL_MEMORY_NONE) : dnnl_success;
}

static void make_arguments(dnnl_pass *p) {
    static const int names[PASSES][4] = {{DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS},
                                         {DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, 0},
                                         {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS}};
    for (int slot = X; slot <= SCRATCH; slot++) {
        if (p->memory[slot] == NULL) continue;
        p->args[p->arg_count++] = (dnnl_exec_arg_t){slot == SCRATCH ? DNNL_ARG_SCRATCHPAD : names[p->kind][slot], p->memory[slot]};
    }
}

/* w is the order that the primitive wants or gives. */
static dnnl_status_t make_reorder(const cpu_dnnl *dnnl, const layout *w, const layout *plain, dnnl_pass *p) {
    const bool to_plain = p->kind == BACKWARD_WEIGHTS;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t e =
        dnnl_reorder_primitive_desc_create(&pd, to_plain ? w : plain, dnnl->engine, to_plain ? plain : w, dnnl->engine, dnnl->attr);
    if (e != dnnl_success) return e;
    const layout *const scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    const size_t bytes = dnnl_memory_desc_get_size(scratch);
    if (bytes > p->scratch_bytes) p->scratch_bytes = bytes;
    p->weight_bytes = memory_round(dnnl_memory_desc_get_size(w));
    e = dnnl_primitive_create(&p->reorder, pd);
    if (e == dnnl_success) e = make_memory(dnnl->engine, plain, &p->memory[PLAIN_W]);
    if (e == dnnl_success) e = make_memory(dnnl->engine, scratch, &p->memory[REORDER_SCRATCH]);
    p->reorder_args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, p->memory[to_plain ? W : PLAIN_W]};
    p->reorder_args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, p->memory[to_plain ? PLAIN_W : W]};
    p->reorder_args[2] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->memory[REORDER_SCRATCH]};
    (void)dnnl_primitive_desc_destroy(pd);
    return e;
}

/* The block of gradients in the order that weights_from_blocks reads, 0 for another. */
static int block_of(const conv_desc *d, const layout *w) {
    const dnnl_dims_t dims = {d->c_out, d->c_in, d->kernel, d->kernel};
    const struct {
        int block;
        dnnl_format_tag_t tag;
    } orders[] = {{16, dnnl_OIhw16i16o}, {8, dnnl_OIhw8i8o}};
    int block = 0;
    for (size_t k = 0; k < sizeof orders / sizeof *orders && d->groups == 1 && block == 0; k++) {
        layout *l = NULL;
        if (layout_create(&l, 4, dims, dnnl_f32, orders[k].tag) == dnnl_success && dnnl_memory_desc_equal(l, w)) block = orders[k].block;
        layout_destroy(l);
    }
    return block;
}

static dnnl_status_t make_pass(const cpu_dnnl *dnnl, const conv_desc *d, const conv_layouts *s, enum pass_kind kind,
                               const_dnnl_primitive_desc_t pd, dnnl_pass **out) {
    dnnl_pass *p = *out = calloc(1, sizeof *p);
    if (p == NULL) return dnnl_out_of_memory;
    const layout *const w =
        dnnl_primitive_desc_query_md(pd, kind == BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    const layout *const scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->kind = kind;
    p->out = d->c_out;
    p->in = d->c_in;
    p->taps = d->kernel * d->kernel;
    if (kind == BACKWARD_WEIGHTS) p->block = block_of(d, w);
    p->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    dnnl_status_t e = dnnl_primitive_create(&p->primitive, pd);
    if (e == dnnl_success) e = make_memory(dnnl->engine, s->x, &p->memory[X]);
    if (e == dnnl_success) e = make_memory(dnnl->engine, kind == FORWARD ? s->y : s->dy, &p->memory[Y]);
    if (e == dnnl_success) e = make_memory(dnnl->engine, w, &p->memory[W]);
    if (e == dnnl_success && s->b != NULL && kind != BACKWARD_DATA) e = make_memory(dnnl->engine, s->b, &p->memory[B]);
    if (e == dnnl_success) e = make_memory(dnnl->engine, scratch, &p->memory[SCRATCH]);
    if (e == dnnl_success && !dnnl_memory_desc_equal(w, s->plain_w)) e = make_reorder(dnnl, w, s->plain_w, p);
    make_arguments(p);
    return e;
}

int dnnl_passes_create(cpu_dnnl *dnnl, const conv_desc *d, dnnl_pass *pass[PASSES]) {
    conv_layouts s = {.x = NULL};
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t e = make_layouts(d, &s);
    for (int k = 0; k < (d->training ? PASSES : 1) && e == dnnl_success; k++) {
        dnnl_primitive_desc_t pd = NULL;
        if (k == BACKWARD_DATA) e = describe_forward(dnnl->engine, dnnl->attr, s.x, s.w, s.b, s.dy, &s.window, false, &hint);
        if (e == dnnl_success) e = describe(dnnl, d, &s, (enum pass_kind)k, hint, &pd);
        if (e == dnnl_success) e = make_pass(dnnl, d, &s, (enum pass_kind)k, pd, &pass[k]);
        if (pd != NULL) (void)dnnl_primitive_desc_destroy(pd);
    }
    if (hint != NULL) (void)dnnl_primitive_desc_destroy(hint);
    destroy_layouts(&s);
    return (int)e;
}

void dnnl_pass_free(dnnl_pass *p) {
    if (p == NULL) return;
    for (int i = 0; i < SLOTS; i++) {
        if (p->memory[i] != NULL) (void)dnnl_memory_destroy(p->memory[i]);
    }
    if (p->reorder != NULL) (void)dnnl_primitive_destroy(p->reorder);
    if (p->primitive != NULL) (void)dnnl_primitive_destroy(p->primitive);
    free(p);
}

size_t dnnl_pass_workspace(const dnnl_pass *p) {
    return p->weight_bytes + memory_round(p->scratch_bytes);
}

/* ---- running ---- */

/* Point a memory object to p. Skipped where it points there already: setting a handle writes zeros into the padding of blocked weights. */
static dnnl_status_t aim(dnnl_pass *p, enum slot slot, void *handle) {
    if (p->memory[slot] == NULL || p->handle[slot] == handle) return dnnl_success;
    p->handle[slot] = handle;
    return dnnl_memory_set_data_handle(p->memory[slot], handle);
}

static dnnl_status_t execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream, int count, const dnnl_exec_arg_t *args) {
    const dnnl_status_t e = dnnl_primitive_execute(primitive, stream, count, args);
    return e == dnnl_success ? dnnl_stream_wait(stream) : e;
}

static dnnl_status_t reorder(const cpu_dnnl *dnnl, dnnl_pass *p, void *w, void *workspace) {
    if (p->reorder == NULL) return dnnl_success;
    if (p->block > 0) {
        weights_from_blocks(workspace, p->out, p->in, p->taps, p->block, w);
        return dnnl_success;
    }
    dnnl_status_t e = aim(p, PLAIN_W, w);
    if (e == dnnl_success) e = aim(p, W, workspace);
    if (e == dnnl_success) e = aim(p, REORDER_SCRATCH, (unsigned char *)workspace + p->weight_bytes);
    return e == dnnl_success ? execute(p->reorder, dnnl->stream, p->memory[REORDER_SCRATCH] != NULL ? 3 : 2, p->reorder_args) : e;
}

static dnnl_status_t compute(const cpu_dnnl *dnnl, dnnl_pass *p, void *workspace) {
    const dnnl_status_t e = aim(p, SCRATCH, (unsigned char *)workspace + p->weight_bytes);
    return e == dnnl_success ? execute(p->primitive, dnnl->stream, p->arg_count, p->args) : e;
}

int dnnl_pass_run(cpu_dnnl *dnnl, dnnl_pass *p, void *x, void *y, void *w, void *b, void *workspace) {
    void *const handles[SCRATCH] = {[X] = x, [Y] = y, [W] = p->reorder != NULL ? workspace : w, [B] = b};
    dnnl_status_t e = dnnl_success;
    for (int slot = X; slot < SCRATCH && e == dnnl_success; slot++) e = aim(p, (enum slot)slot, handles[slot]);
    if (e == dnnl_success && p->kind != BACKWARD_WEIGHTS) e = reorder(dnnl, p, w, workspace);
    if (e == dnnl_success) e = compute(dnnl, p, workspace);
    if (e == dnnl_success && p->kind == BACKWARD_WEIGHTS) e = reorder(dnnl, p, w, workspace);
    return (int)e;
}

int dnnl_pass_kernel(cpu_dnnl *dnnl, dnnl_pass *p, void *x, void *y, void *workspace) {
    dnnl_status_t e = aim(p, X, x);
    if (e == dnnl_success) e = aim(p, Y, y);
    if (e == dnnl_success) e = compute(dnnl, p, workspace);
    return (int)e;
}

const char *dnnl_pass_implementation(const dnnl_pass *p) {
    const char *name = "";
    const_dnnl_primitive_desc_t pd = NULL;
    if (dnnl_primitive_get_primitive_desc(p->primitive, &pd) == dnnl_success)
        (void)dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name);
    return name;
}

int dnnl_product(enum pass_kind kind, int64_t pixels, int in, int out, float *x, float *y, float *w, bool add) {
    const float beta = add ? 1.0f : 0.0f;
    switch (kind) {
    case FORWARD:
        return (int)dnnl_sgemm('N', 'T', pixels, out, in, 1.0f, x, in, w, in, beta, y, out);
    case BACKWARD_DATA:
        return (int)dnnl_sgemm('N', 'N', pixels, in, out, 1.0f, y, out, w, in, beta, x, in);
    default:
        return (int)dnnl_sgemm('T', 'N', out, in, pixels, 1.0f, y, out, x, in, beta, w, in);
    }
}
