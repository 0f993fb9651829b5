/*
 * The coefficient step on the device: what its files share. In all of them arithmetic is float64, as on the host (norm/step.h), whose names
 * and formulas these are; N*K*C numbers are few. Three shapes of kernels make it up:
 *   a block an image (coefficients_image.cuh):          what sums over an image's channels: ln, gn, the ratios
 *   a thread a channel (coefficients_channel.cuh):      what sums over images: bn, the parameters' gradients
 *   a thread a number
 * Rows (K,C) of an image are never stored: mu, 1/sd and ph follow from the moments and from a few numbers of each of the image's groups.
 * These, and what the image kernels leave to the channel kernels, lie in a record an image in the backend's scratch; where the records of
 * all images would not fit a step goes through the images piece by piece.
 */
#ifndef BACKEND_CUDA_COEFFICIENTS_CUH
#define BACKEND_CUDA_COEFFICIENTS_CUH

#include "backend/cuda/kernels.cuh"

extern "C" {
#include "norm/step.h"
}

/* How a type mixes its methods: one method; en's outputs; sn's statistics. */
enum class mixing { alone, outputs, statistics };

/* What kernels are compiled for. */
template <int K, mixing M> struct form {
    static constexpr int k = K;
    static constexpr mixing mix = M;
};

/* Statistics of one group of an image's channels, and in backward what each of its channels takes of their gradients. */
struct group_values {
    double mean, var, rsd; /* rsd: 1/sd */
    double mean_share, var_share;
};

/* A layer's step as kernels take it, by value; pointers are to the device's memory. Of step only the kept pieces and sums are used. */
struct coefficient_step {
    norm_step step;
    norm_spec spec;
    norm_dims d;
    bool training;
    norm_params params, grads;
    norm_state state;
    int groups[NORM_MAX_METHODS]; /* of each method; 0 where it has none (in, bn) */
    /* records: (images, record_size) doubles; in each, at these places ... */
    double *records;
    size_t record_size;
    int groups_at[NORM_MAX_METHODS]; /* group_values (groups) */
    int dz_at;                       /* (K,J) gradient of z */
    int du_at;                       /* (pi K) gradient of the hidden layer before its activation */
    int dlogits_at;                  /* (K) */
    int dmix_at;                     /* (2K) sn: gradients of both mixtures */
    int first, images;               /* this launch's */
};

/* The step with its records, for all images. False, with the failure kept, where not even one image's record fits. */
bool coefficient_open(backend *be, const norm_call *call, coefficient_step *out);
/* The next piece of the images whose records fit, beginning at out->first; at least one launch's worth even where there are none. */
void coefficient_piece(coefficient_step *s);

/* bn's statistics from the sums of all ranks, and for a layer of bn alone its coefficients (coefficients.cu). */
void coefficient_bn_finish(backend *be, const coefficient_step *s);
/* The sums over images of the parameters' gradients and of bn's, from the records (coefficients_gradients.cu). */
void coefficient_gradients(backend *be, const coefficient_step *s);

/* Whether the layer is of bn and nothing else, whose images have nothing that the channel kernels do not know. */
static inline bool coefficient_only_bn(const norm_spec *spec) {
    return spec->type == NORM_BN;
}

/* launch(form<...>{}) for the layer's form. */
template <mixing M, typename Launch> static inline void coefficient_with_methods(int k, const Launch &launch) {
    static_assert(NORM_MAX_METHODS == 4, "one line a number of methods");
    if (k == 1) launch(form<1, M>{});
    if (k == 2) launch(form<2, M>{});
    if (k == 3) launch(form<3, M>{});
    if (k == 4) launch(form<4, M>{});
}

template <typename Launch> static inline void coefficient_with_form(const norm_spec *spec, const Launch &launch) {
    if (spec->type == NORM_EN)
        coefficient_with_methods<mixing::outputs>(spec->k, launch);
    else if (spec->type == NORM_SN)
        coefficient_with_methods<mixing::statistics>(spec->k, launch);
    else
        launch(form<1, mixing::alone>{});
}

/* ---- one method at one image and channel ---- */

/* The moments of an image: rows (C) of m and v, and its record. */
struct image_rows {
    int n;
    const float *m, *v; /* (C) */
    double *record;
};

static __device__ inline image_rows image_at(const coefficient_step &s, int n) {
    const size_t row = static_cast<size_t>(n) * static_cast<size_t>(s.d.c);
    return {n, s.state.m + row, s.state.v + row, s.records + static_cast<size_t>(n - s.first) * s.record_size};
}

static __device__ inline group_values *groups_of(const coefficient_step &s, const image_rows &image, int k) {
    return reinterpret_cast<group_values *>(image.record + s.groups_at[k]);
}

static __device__ inline group_values *group_of(const coefficient_step &s, const image_rows &image, int k, int c) {
    return groups_of(s, image, k) + (s.groups[k] == 1 ? 0 : c / (s.d.c / s.groups[k]));
}

/* mu, var and 1/sd of a method, and ph = (m - mu) / sd. */
struct method_values {
    double mu, var, rsd, ph;
};

static __device__ inline method_values method_at(const coefficient_step &s, const image_rows &image, int k, int c) {
    const double m = static_cast<double>(image.m[c]);
    if (s.spec.methods[k] == NORM_METHOD_IN) {
        const double var = static_cast<double>(image.v[c]);
        return {m, var, 1.0 / sqrt(var + s.spec.eps), 0.0};
    }
    if (s.spec.methods[k] == NORM_METHOD_BN) {
        const double mu = s.state.bn[c], rsd = s.step.bn_rsd[c];
        return {mu, s.state.bn[s.d.c + c], rsd, (m - mu) * rsd};
    }
    const group_values *group = group_of(s, image, k, c);
    return {group->mean, group->var, group->rsd, (m - group->mean) * group->rsd};
}

/* Only ph, which for `in` is 0 whatever its variance. */
static __device__ inline double features_at(const coefficient_step &s, const image_rows &image, int k, int c) {
    return s.spec.methods[k] == NORM_METHOD_IN ? 0.0 : method_at(s, image, k, c).ph;
}

static __device__ inline double weight_at(const coefficient_step &s, int k, int c) {
    return static_cast<double>(s.params.weight[k * s.step.weight_stride + c]);
}

static __device__ inline double bias_at(const coefficient_step &s, int k, int c) {
    return static_cast<double>(s.params.bias[k * s.step.bias_stride + c]);
}

/* The ratios' convolution's weight. */
static __device__ inline double conv_weight_at(const coefficient_step &s, int c) {
    return s.spec.conv ? static_cast<double>(s.params.conv_weight[c]) : 1.0;
}

/* ---- sn's mixtures ---- */

/* From the control vectors to both mixtures: mean_mix (K), var_mix (K) in one piece. */
template <int K> static __device__ inline void control_softmax(const float *x, double *out) {
    double top = static_cast<double>(x[0]), sum = 0.0;
    for (int k = 1; k < K; k++) top = fmax(top, static_cast<double>(x[k]));
    for (int k = 0; k < K; k++) sum += out[k] = exp(static_cast<double>(x[k]) - top);
    for (int k = 0; k < K; k++) out[k] /= sum;
}

/* The mixture as one method; mix: both mixtures (2,K). */
template <int K>
static __device__ inline method_values mixture_at(const coefficient_step &s, const image_rows &image, const double *mix, int c) {
    double mean = 0.0, var = 0.0;
#pragma unroll
    for (int k = 0; k < K; k++) {
        const method_values method = method_at(s, image, k, c);
        mean += mix[k] * method.mu;
        var += mix[K + k] * method.var;
    }
    const double rsd = 1.0 / sqrt(var + s.spec.eps);
    return {mean, var, rsd, (static_cast<double>(image.m[c]) - mean) * rsd};
}

/* ---- backward ---- */

/* s1, s2 and the gradient of y's scale T = sum g xhat. */
struct output_gradients {
    double s1, s2;
};

static __device__ inline output_gradients gradients_at(const coefficient_step &s, int n, int c) {
    const size_t at = static_cast<size_t>(n) * static_cast<size_t>(s.d.c) + static_cast<size_t>(c);
    return {static_cast<double>(s.state.s1[at]), static_cast<double>(s.state.s2[at])};
}

static __device__ inline double scale_gradient(output_gradients g, const method_values &method) {
    return g.s2 * method.rsd + method.ph * g.s1;
}

/* Gradients of one method's mean and variance: scale is lambda gamma, dph what comes through the ratios. */
struct statistics_gradients {
    double mean, var;
};

static __device__ inline statistics_gradients statistics_backward(double scale, output_gradients g, const method_values &method,
                                                                  double dph) {
    const double t = scale_gradient(g, method);
    return {-(scale * g.s1 + dph) * method.rsd, -0.5 * (scale * t + dph * method.ph) * method.rsd * method.rsd};
}

/* The gradient of ph, from that of z in the image's record. */
static __device__ inline double features_gradient(const coefficient_step &s, const image_rows &image, int k, int c) {
    return image.record[s.dz_at + k * s.step.blocks + c / s.step.r] * conv_weight_at(s, c);
}

#endif
