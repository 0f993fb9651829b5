/*
 * Convolution by cuDNN. Maps are NHWC, and so are the weights that cuDNN reads, (C_out, k, k, C_in/groups) of the maps' type: they are
 * packed from the parameters' (C_out, C_in/groups, k, k) float32 before a pass, into the workspace, and their gradient is unpacked from
 * there. Where cuDNN has nothing for such weights, it gets them in the parameters' order.
 *
 * Each pass has its algorithm, chosen before step 0 among those that are deterministic (algorithm.c), and its math: TF32 only where that
 * was asked for. Sums are float32 whatever the maps' type.
 *
 * cuDNN's calls for convolutions, deprecated in version 9 in favour of its graphs but served, give the same kernels with a tenth of the
 * code. They want x, w and y of one type. So a classifier with float32 logits on bfloat16 maps gets its input and its rounded weights
 * widened first (TF32 loses nothing then); and the gradient of bfloat16 weights is rounded to bfloat16 once, after it has been summed in
 * float32.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/dnn.h"
#include "base/error.h"
#include "base/memory.h"

struct cuda_dnn {
    cudnnHandle_t handle;
};

struct conv {
    conv_desc desc;
    int out_h, out_w;
    pass pass[PASSES];
};

entrain_status cuda_dnn_open(cudaStream_t stream, cuda_dnn **out, entrain_error *err) {
    cuda_dnn *d = calloc(1, sizeof *d);
    *out = d;
    if (d == NULL) return error_set(err, ENTRAIN_DEVICE, "CUDA backend: out of memory");
    cudnnStatus_t status = cudnnCreate(&d->handle);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnSetStream(d->handle, stream);
    if (status == CUDNN_STATUS_SUCCESS) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DEVICE, "cuDNN %zu cannot be used: %s. Do its version, the toolkit's and the driver's go together?",
                     cudnnGetVersion(), cudnnGetErrorString(status));
}

void cuda_dnn_close(cuda_dnn *d) {
    if (d != NULL && d->handle != NULL) (void)cudnnDestroy(d->handle);
    free(d);
}

/* ---- descriptors ---- */

static cudnnDataType_t data_type(dtype type) {
    return type == BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

static cudnnMathType_t math_type(const conv_desc *d, dtype type) {
    if (type == BF16) return CUDNN_TENSOR_OP_MATH;
    return d->tf32 || d->type == BF16 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

static cudnnStatus_t describe(const conv *cv, pass *p) {
    const conv_desc *d = &cv->desc;
    const cudnnDataType_t type = data_type(p->type);
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;
    THEN(s, cudnnCreateTensorDescriptor(&p->x));
    THEN(s, cudnnCreateTensorDescriptor(&p->y));
    THEN(s, cudnnCreateFilterDescriptor(&p->w));
    THEN(s, cudnnCreateConvolutionDescriptor(&p->conv));
    THEN(s, cudnnSetTensor4dDescriptor(p->x, CUDNN_TENSOR_NHWC, type, d->n, d->c_in, d->h, d->w));
    THEN(s, cudnnSetTensor4dDescriptor(p->y, CUDNN_TENSOR_NHWC, type, d->n, d->c_out, cv->out_h, cv->out_w));
    THEN(s, cudnnSetConvolution2dDescriptor(p->conv, d->padding, d->padding, d->stride, d->stride, d->dilation, d->dilation,
                                            CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    THEN(s, cudnnSetConvolutionGroupCount(p->conv, d->groups));
    THEN(s, cudnnSetConvolutionMathType(p->conv, math_type(d, p->type)));
    return s;
}

/* The order of w that cuDNN can work with, and how. */
static cudnnStatus_t settle_weights(cudnnHandle_t h, const conv_desc *d, int kind, pass *p) {
    static const cudnnTensorFormat_t orders[2] = {CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NCHW};
    cudnnStatus_t first = CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < 2; i++) {
        cudnnStatus_t s =
            cudnnSetFilter4dDescriptor(p->w, data_type(p->type), orders[i], d->c_out, d->c_in / d->groups, d->kernel, d->kernel);
        THEN(s, dnn_choose(h, kind, p));
        p->channels_first = i > 0;
        if (s == CUDNN_STATUS_SUCCESS) return s;
        if (i == 0) first = s;
    }
    return first;
}

static cudnnStatus_t make_passes(cudnnHandle_t h, conv *cv) {
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;
    for (int k = 0; k < (cv->desc.training ? PASSES : 1); k++) {
        cv->pass[k].type = k == FORWARD ? cv->desc.y_type : cv->desc.type;
        THEN(s, describe(cv, &cv->pass[k]));
        THEN(s, settle_weights(h, &cv->desc, k, &cv->pass[k]));
    }
    return s;
}

entrain_status cuda_conv_create(backend *be, const conv_desc *d, conv **out, entrain_error *err) {
    *out = NULL;
    char what[256];
    if (conv_check(d, what, sizeof what, err) != ENTRAIN_OK) return ENTRAIN_DEVICE;
    conv *cv = calloc(1, sizeof *cv);
    if (cv == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", what);
    cv->desc = *d;
    cv->out_h = conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation);
    cv->out_w = conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation);
    const cudnnStatus_t s = make_passes(cuda_state_of(be)->dnn->handle, cv);
    if (s == CUDNN_STATUS_SUCCESS) {
        *out = cv;
        return ENTRAIN_OK;
    }
    cuda_conv_destroy(be, cv);
    return error_set(err, ENTRAIN_DEVICE, "%s: cuDNN %zu has no deterministic algorithm for it on %s: %s", what, cudnnGetVersion(),
                     cuda_state_of(be)->name, cudnnGetErrorString(s));
}

void cuda_conv_destroy(backend *be, conv *cv) {
    (void)be;
    if (cv == NULL) return;
    for (int k = 0; k < PASSES; k++) {
        const pass *p = &cv->pass[k];
        if (p->x != NULL) (void)cudnnDestroyTensorDescriptor(p->x);
        if (p->y != NULL) (void)cudnnDestroyTensorDescriptor(p->y);
        if (p->w != NULL) (void)cudnnDestroyFilterDescriptor(p->w);
        if (p->conv != NULL) (void)cudnnDestroyConvolutionDescriptor(p->conv);
    }
    free(cv);
}

/* ---- workspace: packed weights, then x widened where it must be (before that, the weights on their way), then cuDNN's ---- */

static size_t weights(const conv *cv) {
    const conv_desc *d = &cv->desc;
    return (size_t)d->c_out * (size_t)(d->c_in / d->groups) * (size_t)(d->kernel * d->kernel);
}

static size_t weights_bytes(const conv *cv, const pass *p) {
    return memory_round(weights(cv) * dtype_size(p->type));
}

static size_t inputs(const conv *cv) {
    return (size_t)cv->desc.n * (size_t)cv->desc.h * (size_t)cv->desc.w * (size_t)cv->desc.c_in;
}

static size_t widened_bytes(const conv *cv, const pass *p) {
    if (p->type == cv->desc.type) return 0;
    const size_t x = memory_round(inputs(cv) * dtype_size(p->type)), w = memory_round(weights(cv) * dtype_size(cv->desc.type));
    return x > w ? x : w;
}

size_t cuda_conv_workspace(const conv *cv) {
    size_t most = 0;
    for (int k = 0; k < PASSES; k++) {
        const pass *p = &cv->pass[k];
        if (p->conv == NULL) continue;
        const size_t bytes = weights_bytes(cv, p) + widened_bytes(cv, p) + p->bytes;
        if (bytes > most) most = bytes;
    }
    return most;
}

/* ---- running ---- */

static const float ONE = 1.0f, ZERO = 0.0f;

static void run(backend *be, const conv *cv, int kind, const void *x, const void *y, void *workspace) {
    const pass *p = &cv->pass[kind];
    cudnnHandle_t h = cuda_state_of(be)->dnn->handle;
    void *const w = workspace, *const rest = (char *)workspace + weights_bytes(cv, p) + widened_bytes(cv, p);
    void *const x_out = (void *)(uintptr_t)x, *const y_out = (void *)(uintptr_t)y; /* one of the two, or w, is written */
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;
    if (kind == FORWARD)
        s = cudnnConvolutionForward(h, &ONE, p->x, x, p->w, w, p->conv, (cudnnConvolutionFwdAlgo_t)p->algorithm, rest, p->bytes, &ZERO,
                                    p->y, y_out);
    if (kind == BACKWARD_DATA)
        s = cudnnConvolutionBackwardData(h, &ONE, p->w, w, p->y, y, p->conv, (cudnnConvolutionBwdDataAlgo_t)p->algorithm, rest, p->bytes,
                                         &ZERO, p->x, x_out);
    if (kind == BACKWARD_WEIGHTS)
        s = cudnnConvolutionBackwardFilter(h, &ONE, p->x, x, p->y, y, p->conv, (cudnnConvolutionBwdFilterAlgo_t)p->algorithm, rest,
                                           p->bytes, &ZERO, p->w, w);
    cuda_pace(be);
    if (s == CUDNN_STATUS_SUCCESS) return;
    char what[256];
    conv_describe(&cv->desc, what, sizeof what);
    cuda_fail(be, what, cudnnGetErrorString(s));
}

/* The weights of cv's type to `to`, in the order of pass p. */
static void pack(backend *be, const conv *cv, const pass *p, const float *w, void *to) {
    const conv_desc *d = &cv->desc;
    if (p->channels_first)
        cuda_convert(be, w, F32, to, d->type, weights(cv));
    else
        cuda_weights_pack(be, w, d->c_out, d->c_in / d->groups, d->kernel * d->kernel, d->type, to);
}

static void unpack(backend *be, const conv *cv, const pass *p, const void *from, float *dw) {
    const conv_desc *d = &cv->desc;
    if (p->channels_first)
        cuda_convert(be, from, p->type, dw, F32, weights(cv));
    else
        cuda_weights_unpack(be, from, d->c_out, d->c_in / d->groups, d->kernel * d->kernel, p->type, dw);
}

void cuda_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace) {
    const pass *p = &cv->pass[FORWARD];
    if (widened_bytes(cv, p) == 0) {
        pack(be, cv, p, w, workspace);
    } else {
        void *const wide = (char *)workspace + weights_bytes(cv, p);
        pack(be, cv, p, w, wide);
        cuda_convert(be, wide, cv->desc.type, workspace, p->type, weights(cv));
        cuda_convert(be, x, cv->desc.type, wide, p->type, inputs(cv));
        x = wide;
    }
    run(be, cv, FORWARD, x, y, workspace);
    if (bias != NULL)
        cuda_bias_add(be, y, (size_t)cv->desc.n * (size_t)cv->out_h * (size_t)cv->out_w, cv->desc.c_out, cv->desc.y_type, bias);
}

void cuda_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace) {
    pack(be, cv, &cv->pass[BACKWARD_DATA], w, workspace);
    run(be, cv, BACKWARD_DATA, dx, dy, workspace);
}

void cuda_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace) {
    const conv_desc *d = &cv->desc;
    run(be, cv, BACKWARD_WEIGHTS, x, dy, workspace);
    unpack(be, cv, &cv->pass[BACKWARD_WEIGHTS], workspace, dw);
    if (dbias != NULL) cuda_bias_sum(be, dy, (size_t)d->n * (size_t)cv->out_h * (size_t)cv->out_w, d->c_out, d->type, dbias);
}

void cuda_conv_kernel(backend *be, conv *cv, int kind, void *x, void *y, void *workspace) {
    const bool widened = widened_bytes(cv, &cv->pass[kind]) > 0;
    run(be, cv, kind, widened ? (char *)workspace + weights_bytes(cv, &cv->pass[kind]) : x, y, workspace);
}
