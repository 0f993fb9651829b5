/*
 * Convolution on the CPU: three passes (forward, gradient of data, gradient of weights) that oneDNN computes (dnnl.c). Here they are made,
 * checked and reported.
 *
 * Activations are NHWC everywhere. With oneDNN 2.6 on AVX-512 every geometry of our networks gets a jit kernel on NHWC as it is: the
 * 3-channel 7x7 stem and heads of 8, 11, 19 and 150 classes among them (brgconv forward, jit backward), so no channel is padded here.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/taps.h"
#include "base/error.h"

struct conv {
    conv_desc desc;
    dnnl_pass *pass[PASSES]; /* without training only FORWARD */
    bool by_taps[PASSES];    /* the pass is taps_product's */
};

/* One line for messages. */
static void geometry(const conv_desc *d, char *text, size_t size) {
    (void)snprintf(text, size, "convolution %dx%d of (%d,%d,%d,%d) to %d channels, stride %d, padding %d, dilation %d, groups %d%s",
                   d->kernel, d->kernel, d->n, d->h, d->w, d->c_in, d->c_out, d->stride, d->padding, d->dilation, d->groups,
                   d->type == BF16 ? ", bfloat16" : "");
}

static bool sensible(const conv_desc *d) {
    if (d->n < 1 || d->c_in < 1 || d->c_out < 1 || d->kernel < 1 || d->stride < 1 || d->padding < 0 || d->dilation < 1) return false;
    if (d->groups < 1 || d->c_in % d->groups != 0 || d->c_out % d->groups != 0) return false;
    return conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation) > 0 &&
           conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation) > 0;
}

/* All passes, and where another way is faster that one's instead. */
static int make_passes(backend *be, conv *cv) {
    const conv_desc product = taps_product(&cv->desc);
    dnnl_pass *other[PASSES] = {NULL};
    int e = dnnl_passes_create(be->state, &cv->desc, cv->pass);
    for (int k = 0; k < PASSES && e == 0; k++) {
        if (cv->pass[k] == NULL || !taps_suit(&cv->desc, (enum pass_kind)k, dnnl_pass_implementation(cv->pass[k]))) continue;
        if (other[FORWARD] == NULL) e = dnnl_passes_create(be->state, &product, other);
        if (e != 0) break;
        dnnl_pass *const regular = cv->pass[k];
        cv->pass[k] = other[k];
        other[k] = NULL;
        dnnl_pass_free(regular);
        cv->by_taps[k] = true;
    }
    for (int k = 0; k < PASSES; k++) dnnl_pass_free(other[k]);
    return e;
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

/* Of a pass by taps: the product's weights, its map, the workspace of the product. */
static size_t product_offset(const conv *cv, enum pass_kind kind) {
    return cv->by_taps[kind] ? taps_weight_bytes(&cv->desc) + taps_map_bytes(&cv->desc, kind) : 0;
}

size_t cpu_conv_workspace(const conv *cv) {
    size_t most = 0;
    for (int k = 0; k < PASSES; k++) {
        const size_t bytes = cv->pass[k] != NULL ? product_offset(cv, (enum pass_kind)k) + dnnl_pass_workspace(cv->pass[k]) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

/* oneDNN has one kind of handle for what it reads and what it writes. */
static void *handle_of(const void *p) {
    return (void *)(uintptr_t)p;
}

static int run_taps(backend *be, const conv *cv, enum pass_kind kind, void *x, void *y, float *w, float *b, void *workspace) {
    const conv_desc *const d = &cv->desc;
    float *const all_w = workspace;
    void *const all = (char *)workspace + taps_weight_bytes(d), *const rest = (char *)workspace + product_offset(cv, kind);
    if (kind != BACKWARD_WEIGHTS) taps_spread_weights(d, w, all_w);
    if (kind != FORWARD) taps_spread(d, y, all);
    const int e = dnnl_pass_run(be->state, cv->pass[kind], x, all, all_w, NULL, rest);
    if (kind == FORWARD) taps_sum(d, all, b, y);
    if (kind == BACKWARD_WEIGHTS) taps_gather_weights(d, all_w, w);
    if (kind == BACKWARD_WEIGHTS && b != NULL) taps_bias_gradient(d, y, b);
    return e;
}

static void run(backend *be, conv *cv, enum pass_kind kind, void *x, void *y, void *w, void *b, void *workspace) {
    omp_set_num_threads(be->threads);
    const int e =
        cv->by_taps[kind] ? run_taps(be, cv, kind, x, y, w, b, workspace) : dnnl_pass_run(be->state, cv->pass[kind], x, y, w, b, workspace);
    if (e == 0) return;
    char what[256];
    geometry(&cv->desc, what, sizeof what);
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
    omp_set_num_threads(be->threads);
    void *const map = cv->by_taps[pass] ? (char *)workspace + taps_weight_bytes(&cv->desc) : y;
    (void)dnnl_pass_kernel(be->state, cv->pass[pass], x, map, (char *)workspace + product_offset(cv, (enum pass_kind)pass));
}

const char *cpu_conv_implementation(const conv *cv, int pass, bool *by_taps) {
    *by_taps = cv->by_taps[pass];
    return cv->pass[pass] != NULL ? dnnl_pass_implementation(cv->pass[pass]) : "none";
}
