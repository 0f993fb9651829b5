/* What the files of the CPU backend share: the functions that cpu.c puts into the operation table. Their meanings stand in
 * backend/backend.h. */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H

#include "backend/backend.h"

/* Loops over fewer elements than this run on one thread: waking the others would take longer. */
enum { CPU_PARALLEL_MIN = 16384 };

/* dnnl.c: the only file that calls oneDNN */
typedef struct cpu_dnnl cpu_dnnl; /* engine and stream */
entrain_status cpu_dnnl_open(cpu_dnnl **out, entrain_error *err);
void cpu_dnnl_close(cpu_dnnl *d);
/* The first call that failed while running, or ENTRAIN_OK. */
entrain_status cpu_dnnl_status(const cpu_dnnl *d, entrain_error *err);
/* Whether this processor multiplies bfloat16 by itself (avx512_bf16 or AMX). */
bool cpu_dnnl_has_bf16(void);
/* conv.c */
entrain_status cpu_conv_create(backend *be, const conv_desc *d, conv **out, entrain_error *err);
void cpu_conv_destroy(backend *be, conv *cv);
size_t cpu_conv_workspace(const conv *cv);
void cpu_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace);
void cpu_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace);
void cpu_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace);
void cpu_conv_kernel(backend *be, conv *cv, int pass, void *x, void *y, void *workspace);
/* oneDNN's name for a pass's kernel, and whether that is a product over all taps (taps.h). */
const char *cpu_conv_implementation(const conv *cv, int pass, bool *by_taps);

/* pool.c */
void cpu_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax);
void cpu_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx);
void cpu_global_pool_forward(backend *be, const tensor *x, tensor *y);
void cpu_global_pool_backward(backend *be, const tensor *dy, tensor *dx);

/* elementwise.c */
void cpu_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type);
void cpu_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type);
void cpu_upload_floats(backend *be, void *to, dtype type, const float *from_host, size_t elements);
void cpu_relu_forward(backend *be, const void *x, void *y, size_t elements, dtype type);
void cpu_relu_backward(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type);
void cpu_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type);

/* images.c */
void cpu_normalise(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y);

/* dropout.c */
void cpu_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y);

/* sums.c */
void cpu_sum_squares(backend *be, const float *x, size_t elements, double *sum);
int64_t cpu_find_nonfinite(backend *be, const void *x, size_t elements, dtype type);

/* resize.c */
void cpu_resize_forward(backend *be, const tensor *x, tensor *y);
void cpu_resize_backward(backend *be, const tensor *dy, tensor *dx);

/* loss.c */
size_t cpu_upsample_loss_workspace(backend *be, const tensor *logits, int label_h, int label_w);
void cpu_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w, const float *class_weights,
                       const tensor *dlogits, loss_sums *sums, void *workspace);

/* sgd.c */
void cpu_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
             const sgd_rule *rule);

/* norm_passes.c, norm_writes.c */
void cpu_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v);
void cpu_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                     bool relu, void *y);
void cpu_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2);
void cpu_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                       const float *dm, const float *dv, void *dx, void *dresidual);

#endif
