/*
 * Convolution on the CPU: three passes (forward, gradient of data, gradient of weights) that oneDNN computes (dnnl.c). Here they are made,
 * checked and reported, and it is decided which of oneDNN's kernels computes each.
 *
 * Activations are NHWC everywhere. With oneDNN 2.6 on AVX-512 every geometry of our networks gets a jit kernel on NHWC as it is: the
 * 3-channel 7x7 stem and heads of 8, 11, 19 and 150 classes among them (brgconv forward, jit backward), so no channel is padded here.
 */
#include <omp.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/taps.h"
#include "base/error.h"

/* How a pass is computed. */
typedef enum way {
    BY_KERNEL,  /* oneDNN's convolution */
    BY_PRODUCT, /* one matrix product on the weights as they are */
    BY_TAPS     /* taps.h, around a product */
} way;

struct conv {
    conv_desc desc;
    dnnl_pass *pass[PASSES]; /* without training only FORWARD; NULL where a product takes its place */
    way ways[PASSES];
};

/*
 * Whether a matrix product of float32 is faster than a 1x1 convolution's kernel with its reorder of the weights (oneDNN 2.6.3, AVX-512,
 * maps of 25x25 and 49x49): of the backward passes where weights are many beside the pixels. A fixed rule, for a resumed run must compute
 * as the unbroken one did.
 */
static bool product_suits(const conv_desc *d, enum pass_kind kind) {
    if (d->type != F32 || d->kernel != 1 || d->stride != 1 || d->padding != 0 || d->groups != 1 || d->bias) return false;
    const int64_t pixels = (int64_t)d->n * d->h * d->w, weights = (int64_t)d->c_in * d->c_out;
    if (kind == BACKWARD_DATA) return weights >= (int64_t)1 << 20;
    return kind == BACKWARD_WEIGHTS && weights >= 16 * pixels;
}

/* Give up a pass of oneDNN's for another way. */
static void replace(conv *cv, enum pass_kind kind, way by, dnnl_pass *with) {
    dnnl_pass_free(cv->pass[kind]);
    cv->pass[kind] = with;
    cv->ways[kind] = by;
}

/* All passes, and where another way is faster that one's instead. */
static int make_passes(backend *be, conv *cv) {
    const conv_desc product = taps_product(&cv->desc);
    dnnl_pass *other[PASSES] = {NULL};
    bool made = false; /* the others, of bfloat16 */
    int e = dnnl_passes_create(be->state, &cv->desc, cv->pass);
    for (int k = 0; k < PASSES && e == 0 && !cv->desc.plain; k++) {
        const enum pass_kind kind = (enum pass_kind)k;
        if (cv->pass[k] == NULL) continue;
        if (product_suits(&cv->desc, kind)) replace(cv, kind, BY_PRODUCT, NULL);
        if (cv->pass[k] == NULL || !taps_suit(&cv->desc, kind, dnnl_pass_implementation(cv->pass[k]))) continue;
        if (cv->desc.type == BF16 && !made) e = dnnl_passes_create(be->state, &product, other);
        made = true;
        if (e != 0) break;
        replace(cv, kind, BY_TAPS, other[k]);
        other[k] = NULL;
    }
    for (int k = 0; k < PASSES; k++) dnnl_pass_free(other[k]);
    return e;
}

entrain_status cpu_conv_create(backend *be, const conv_desc *d, conv **out, entrain_error *err) {
    *out = NULL;
    char what[256];
    if (conv_check(d, what, sizeof what, err) != ENTRAIN_OK) return ENTRAIN_DEVICE;
    conv *cv = calloc(1, sizeof *cv);
    if (cv == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", what);
    cv->desc = *d;
    omp_set_num_threads(be->threads); /* a setting of each calling thread; oneDNN lays out its scratch memory for this number */
    const int e = make_passes(be, cv);
    if (e != 0) {
        cpu_conv_destroy(be, cv);
        return error_set(err, ENTRAIN_DEVICE, "%s: oneDNN cannot make it (dnnl_status_t %d)", what, e);
    }
    *out = cv;
    return ENTRAIN_OK;
}

void cpu_conv_destroy(backend *be, conv *cv) {
    (void)be;
    if (cv == NULL) return;
    for (int k = 0; k < PASSES; k++) dnnl_pass_free(cv->pass[k]);
    free(cv);
}

static size_t weight_bytes(const conv_desc *d) {
    return (size_t)d->c_out * (size_t)(d->c_in / d->groups) * (size_t)d->kernel * (size_t)d->kernel * sizeof(float);
}

/* Of a pass by taps: the product's weights, its map, the workspace of the product. */
static size_t product_offset(const conv *cv, enum pass_kind kind) {
    return cv->ways[kind] == BY_TAPS ? taps_weight_bytes(&cv->desc) + taps_map_bytes(&cv->desc, kind) : 0;
}

size_t cpu_conv_workspace(const conv *cv) {
    size_t most = 0;
    for (int k = 0; k < PASSES; k++) {
        size_t bytes = product_offset(cv, (enum pass_kind)k);
        if (cv->pass[k] != NULL) bytes += dnnl_pass_workspace(cv->pass[k]);
        if (cv->ways[k] == BY_PRODUCT) bytes = weight_bytes(&cv->desc); /* cpu_conv_kernel's */
        if (bytes > most) most = bytes;
    }
    return most;
}

/* oneDNN has one kind of handle for what it reads and what it writes. */
static void *handle_of(const void *p) {
    return (void *)(uintptr_t)p;
}

/* The product of all taps: oneDNN's pass for bfloat16, a plain one for float32. */
static int run_taps_product(backend *be, const conv *cv, enum pass_kind kind, void *x, void *all, float *all_w, void *rest) {
    const conv_desc *const d = &cv->desc;
    if (cv->pass[kind] != NULL) return dnnl_pass_run(be->state, cv->pass[kind], x, all, all_w, NULL, rest);
    return dnnl_product(kind, (int64_t)d->n * d->h * d->w, d->c_in, d->c_out * d->kernel * d->kernel, x, all, all_w, false);
}

static int run_taps(backend *be, const conv *cv, enum pass_kind kind, void *x, void *y, float *w, float *b, void *workspace) {
    const conv_desc *const d = &cv->desc;
    float *const all_w = workspace;
    void *const all = (char *)workspace + taps_weight_bytes(d), *const rest = (char *)workspace + product_offset(cv, kind);
    if (kind != BACKWARD_WEIGHTS) taps_spread_weights(d, w, all_w);
    if (kind != FORWARD) taps_spread(d, y, all);
    const int e = run_taps_product(be, cv, kind, x, all, all_w, rest);
    if (kind == FORWARD) taps_sum(d, all, b, y);
    if (kind == BACKWARD_WEIGHTS) taps_gather_weights(d, all_w, w);
    if (kind == BACKWARD_WEIGHTS && b != NULL) taps_bias_gradient(d, y, b);
    return e;
}

static int run_product(const conv_desc *d, enum pass_kind kind, void *x, void *y, void *w) {
    return dnnl_product(kind, (int64_t)d->n * d->h * d->w, d->c_in, d->c_out, x, y, w, false);
}

static void run(backend *be, conv *cv, enum pass_kind kind, void *x, void *y, void *w, void *b, void *workspace) {
    omp_set_num_threads(be->threads);
    int e = 0;
    switch (cv->ways[kind]) {
    case BY_KERNEL:
        e = dnnl_pass_run(be->state, cv->pass[kind], x, y, w, b, workspace);
        break;
    case BY_PRODUCT:
        e = run_product(&cv->desc, kind, x, y, w);
        break;
    case BY_TAPS:
        e = run_taps(be, cv, kind, x, y, w, b, workspace);
        break;
    }
    if (e == 0) return;
    char what[256];
    conv_describe(&cv->desc, what, sizeof what);
    cpu_dnnl_failed(be->state, what, (int)kind, e);
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
    const enum pass_kind kind = (enum pass_kind)pass;
    omp_set_num_threads(be->threads);
    if (cv->ways[kind] == BY_PRODUCT) {
        (void)run_product(&cv->desc, kind, x, y, workspace);
        return;
    }
    const bool taps = cv->ways[kind] == BY_TAPS;
    void *const map = taps ? (char *)workspace + taps_weight_bytes(&cv->desc) : y;
    void *const rest = (char *)workspace + product_offset(cv, kind);
    if (cv->pass[kind] != NULL)
        (void)dnnl_pass_kernel(be->state, cv->pass[kind], x, map, rest);
    else
        (void)run_taps_product(be, cv, kind, x, map, workspace, rest);
}

const char *cpu_conv_implementation(const conv *cv, int pass, bool *by_taps) {
    *by_taps = cv->ways[pass] == BY_TAPS;
    if (cv->pass[pass] != NULL) return dnnl_pass_implementation(cv->pass[pass]);
    return cv->ways[pass] == BY_KERNEL ? "none" : "sgemm";
}
