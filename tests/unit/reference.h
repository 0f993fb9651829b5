/*
 * Every operation of the backends once more, in float64, in the plainest loops: what the tests hold the backends against. test_reference.c
 * proves the backward passes by finite differences. Layouts as in backend/backend.h: maps (N,H,W,C), convolution weights
 * (O, I/groups, k, k). Outputs are overwritten.
 */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include "backend/backend.h"

typedef struct ref_map {
    int n, h, w, c;
} ref_map;

static inline size_t ref_count(ref_map m) {
    return (size_t)m.n * (size_t)m.h * (size_t)m.w * (size_t)m.c;
}

ref_map ref_conv_in(const conv_desc *d);
ref_map ref_conv_out(const conv_desc *d);
size_t ref_conv_weights(const conv_desc *d);
void ref_conv_forward(const conv_desc *d, const double *x, const double *w, const double *bias, double *y);
void ref_conv_backward_data(const conv_desc *d, const double *dy, const double *w, double *dx);
void ref_conv_backward_weights(const conv_desc *d, const double *x, const double *dy, double *dw, double *dbias);

ref_map ref_maxpool_out(ref_map in, int kernel, int stride, int padding);
void ref_maxpool_forward(ref_map in, const double *x, int kernel, int stride, int padding, double *y, uint8_t *argmax);
void ref_maxpool_backward(ref_map in, const double *dy, const uint8_t *argmax, int kernel, int stride, int padding, double *dx);

void ref_global_pool_forward(ref_map in, const double *x, double *y);
void ref_global_pool_backward(ref_map in, const double *dy, double *dx);

void ref_resize_forward(ref_map in, int out_h, int out_w, const double *x, double *y);
void ref_resize_backward(ref_map in, int out_h, int out_w, const double *dy, double *dx);

/* Through the large map: resize, softmax cross-entropy at each pixel, resize's backward pass. dx may be NULL. */
void ref_upsample_loss(ref_map in, const double *x, const uint8_t *labels, int label_h, int label_w, const double *class_weights,
                       double *dx, loss_sums *sums);

#endif
