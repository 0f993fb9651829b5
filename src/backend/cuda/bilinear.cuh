/*
 * Bilinear interpolation along one axis as in cpu/bilinear.h (PyTorch's, align_corners false), in whole numbers: place `to` of a line of
 * `out` lies at ((2 to + 1) in - out) / (2 out) of the line of `in`, so that neighbours are exact and only the fraction is rounded, without
 * float64. Places whose left neighbour is i form segment i, a run of consecutive places; place i of the input reaches segments i-1 and i.
 */
#ifndef BACKEND_CUDA_BILINEAR_CUH
#define BACKEND_CUDA_BILINEAR_CUH

#include <cuda_runtime.h>

/* The first place of segment i; segment i ends where i + 1 begins, and segment `in` begins at `out`. */
static __host__ __device__ inline int bilinear_first(int i, int in, int out) {
    if (i <= 0) return 0;
    if (i >= in) return out;
    const long long ahead = (2LL * i + 1) * out - in;
    if (ahead <= 0) return 0;
    const long long first = (ahead + 2LL * in - 1) / (2LL * in);
    return first < out ? static_cast<int>(first) : out;
}

/* How far place `to`, of segment i, lies from i towards i + 1; 0 where either end of the line holds it. */
static __device__ inline float bilinear_fraction(int to, int i, int in, int out) {
    const long long past = (2LL * to + 1) * in - out - 2LL * out * i;
    return past <= 0 || i == in - 1 ? 0.0f : static_cast<float>(past) / static_cast<float>(2LL * out);
}

struct bilinear_place {
    int i0, i1; /* neighbours */
    float f;    /* weight of i1 */
};

static __device__ inline bilinear_place bilinear_place_of(int to, int in, int out) {
    const long long ahead = (2LL * to + 1) * in - out;
    const int i = ahead <= 0 ? 0 : static_cast<int>(static_cast<unsigned long long>(ahead) / static_cast<unsigned long long>(2LL * out));
    const int i0 = i < in - 1 ? i : in - 1;
    return bilinear_place{i0, i0 < in - 1 ? i0 + 1 : i0, bilinear_fraction(to, i0, in, out)};
}

/* (1 - f) a + f b, rounded alike wherever it is used. */
static __device__ inline float bilinear_mix(float a, float b, float f) {
    return fmaf(f, b - a, a);
}

#endif
