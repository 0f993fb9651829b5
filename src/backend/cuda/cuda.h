/*
 * What the files of the CUDA backend share: its state, how kernels are launched and failures kept, and the functions that cuda.c puts into
 * the operation table, whose meanings stand in backend/backend.h. Kernels never use the device's properties: the shape of a launch, and so
 * the order of every sum, is the same on every GPU.
 */
#ifndef BACKEND_CUDA_CUDA_H
#define BACKEND_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "backend/backend.h"

/* Scratch for reductions in two stages, used by one operation at a time: operations are in order on one stream. */
enum { CUDA_SCRATCH_BYTES = 16 << 20 };

/* At most three times as many launches wait on the stream. */
enum { CUDA_PACE = 128 };

typedef struct cuda_dnn cuda_dnn; /* dnn.c: cuDNN's handle */

typedef struct cuda_state {
    int device, major;           /* number; of its compute capability */
    cudaStream_t stream, copies; /* operations; batches on their way (stage) */
    cudaEvent_t staged[BACKEND_SLOTS], used[BACKEND_SLOTS];
    cudaEvent_t finished;
    cudaEvent_t passed[2]; /* recorded in turn, every CUDA_PACE launches */
    unsigned launches;
    void *scratch; /* CUDA_SCRATCH_BYTES */
    cuda_dnn *dnn;
    char name[192];
    uint64_t key;
    entrain_error error; /* the first failure; its status ENTRAIN_OK before one */
} cuda_state;

static inline cuda_state *cuda_state_of(const backend *be) {
    return (cuda_state *)be->state;
}

static inline cudaStream_t cuda_stream(const backend *be) {
    return cuda_state_of(be)->stream;
}

static inline void *cuda_scratch(const backend *be) {
    return cuda_state_of(be)->scratch;
}

/* Keep the first failure. what: the call, or the kernel's operation. */
void cuda_fail(backend *be, const char *what, const char *why);
void cuda_check(backend *be, cudaError_t code, const char *what);
/* Wait until the event has come to pass, asking be->watch meanwhile. */
void cuda_wait(backend *be, cudaEvent_t event);
/* To be called after each launch: waits, as cuda_wait does, where too many have been queued. */
void cuda_pace(backend *be);

/* device.c: make this GPU the calling thread's and fill device, major, name and key. ENTRAIN_DEVICE. */
entrain_status cuda_device_take(int device, cuda_state *s, entrain_error *err);

/* dnn.c */
entrain_status cuda_dnn_open(cudaStream_t stream, cuda_dnn **out, entrain_error *err);
void cuda_dnn_close(cuda_dnn *d);
entrain_status cuda_conv_create(backend *be, const conv_desc *d, conv **out, entrain_error *err);
void cuda_conv_destroy(backend *be, conv *cv);
size_t cuda_conv_workspace(const conv *cv);
void cuda_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace);
void cuda_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace);
void cuda_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace);
void cuda_conv_kernel(backend *be, conv *cv, int pass, void *x, void *y, void *workspace);

/* weights.cu: w (C_out, C_in/groups, k, k) float32 <-> what cuDNN takes for NHWC maps, (C_out, k, k, C_in/groups) of a type; taps = k k */
void cuda_weights_pack(backend *be, const float *w, int c_out, int c_in, int taps, dtype type, void *packed);
void cuda_weights_unpack(backend *be, const void *packed, int c_out, int c_in, int taps, dtype type, float *w);
/* bias.cu: y += bias for every pixel, y (rows, c); bias' gradient (c) = sum of dy (rows, c) over rows */
void cuda_bias_add(backend *be, void *y, size_t rows, int c, dtype type, const float *bias);
void cuda_bias_sum(backend *be, const void *dy, size_t rows, int c, dtype type, float *dbias);
/* elementwise.cu: one type to the other; from and to must not overlap */
void cuda_convert(backend *be, const void *from, dtype from_type, void *to, dtype to_type, size_t elements);

/* elementwise.cu */
void cuda_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type);
void cuda_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type);
void cuda_relu_forward(backend *be, const void *x, void *y, size_t elements, dtype type);
void cuda_relu_backward(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type);
void cuda_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type);

/* images.cu */
void cuda_normalise(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y);

/* pool.cu */
void cuda_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax);
void cuda_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx);

/* global_pool.cu */
void cuda_global_pool_forward(backend *be, const tensor *x, tensor *y);
void cuda_global_pool_backward(backend *be, const tensor *dy, tensor *dx);

/* dropout.cu */
void cuda_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y);

/* sums.cu */
void cuda_sum_squares(backend *be, const float *x, size_t elements, double *sum);
int64_t cuda_find_nonfinite(backend *be, const void *x, size_t elements, dtype type);

/* resize.cu */
void cuda_resize_forward(backend *be, const tensor *x, tensor *y);
void cuda_resize_backward(backend *be, const tensor *dy, tensor *dx);

/* loss.cu */
size_t cuda_upsample_loss_workspace(backend *be, const tensor *logits, int label_h, int label_w);
void cuda_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w, const float *class_weights,
                        const tensor *dlogits, loss_sums *sums, void *workspace);

/* sgd.cu */
void cuda_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
              const sgd_rule *rule);

/* norm_moments.cu, norm_affine.cu, norm_reduce.cu, norm_backward.cu */
void cuda_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v);
void cuda_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                      bool relu, void *y);
void cuda_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2);
void cuda_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                        const float *dm, const float *dv, void *dx, void *dresidual);
/* coefficients*.cu */
void cuda_norm_forward_sums(backend *be, const norm_call *call);
void cuda_norm_forward_coefficients(backend *be, const norm_call *call);
void cuda_norm_backward_sums(backend *be, const norm_call *call);
void cuda_norm_backward_coefficients(backend *be, const norm_call *call);

#ifdef __cplusplus
}
#endif

#endif
