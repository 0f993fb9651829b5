/*
 * Bilinear upsampling of the logits, softmax cross-entropy and the gradient of the small logits, without the large map.
 *
 * The label pixels whose upper left neighbour is logits pixel (i, j) form cell (i, j), a rectangle that mixes the logits of four pixels
 * alone. loss.cu goes over the cells and leaves loss, counts and 8 bytes a label pixel, from which loss_gradient.cu gathers the gradient.
 * Every probability is computed three times in all: once for the loss, and once for each of the two rows of logits around it.
 */
#ifndef BACKEND_CUDA_LOSS_CUH
#define BACKEND_CUDA_LOSS_CUH

#include "backend/cuda/bilinear.cuh"
#include "backend/cuda/rows.cuh"

/* One call's maps: logits (n,h,w,c), labels (n,label_h,label_w). */
struct loss_maps {
    int n, h, w, c, label_h, label_w;
};

/* What gradients need of a label pixel. */
struct loss_pixel {
    float largest; /* logit */
    float share;   /* class weight / sum of exp(logit - largest) */
};

/* 255 is never counted; nor is a class that does not exist, which the loader should have refused. */
static __device__ inline bool label_counts(int label, int classes) {
    return label < classes && label != 255;
}

/* A logit between four others, the same bits in both kernels. */
static __device__ inline float logit_between(float a, float b, float d, float e, float fx, float fy) {
    return bilinear_mix(bilinear_mix(a, d, fy), bilinear_mix(b, e, fy), fx);
}

/* Where strip s of a line of w begins, strips being as equal as they can be. */
static __host__ __device__ inline int strip_first(int s, int strips, int w) {
    return static_cast<int>(static_cast<long long>(s) * w / strips);
}

/* loss_gradient.cu: dlogits (n,h,w,c) from what loss.cu left in pixels (n,label_h,label_w). */
void cuda_loss_gradient(backend *be, const float *logits, const uint8_t *labels, const float *class_weights, const loss_pixel *pixels,
                        const loss_maps &m, const tensor *dlogits);

#endif
