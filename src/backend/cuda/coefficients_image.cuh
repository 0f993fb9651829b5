/*
 * A block an image: sums over an image's channels, each in a fixed order, and the statistics of its groups of channels.
 */
#ifndef BACKEND_CUDA_COEFFICIENTS_IMAGE_CUH
#define BACKEND_CUDA_COEFFICIENTS_IMAGE_CUH

#include "backend/cuda/coefficients.cuh"

/* Threads of a block at most, and sums at most that it makes at once: V's upper half. */
enum {
    IMAGE_THREADS = 512,
    IMAGE_WARPS = IMAGE_THREADS / CUDA_WARP,
    IMAGE_SUMS = NORM_MAX_METHODS * (NORM_MAX_METHODS + 1) / 2,
};

/* What a block shares. */
struct image_shared {
    double partial[IMAGE_SUMS * IMAGE_WARPS], totals[IMAGE_SUMS]; /* of block_sums */
    double outer[NORM_MAX_METHODS * NORM_MAX_METHODS];            /* (K,K) V, or its gradient */
    double ratios[NORM_MAX_METHODS];                              /* (K) logits, then lambda; or the logits' gradient */
    double mix[2 * NORM_MAX_METHODS];                             /* sn: (2,K) */
};

/* So many threads as there is work for at once: a channel each, or a unit of the hidden layer. */
static inline unsigned image_threads(const coefficient_step *s) {
    const int work = s->spec.type == NORM_EN && s->step.hidden > s->d.c ? s->step.hidden : s->d.c;
    const int warps = work >= IMAGE_THREADS ? IMAGE_WARPS : (work + CUDA_WARP - 1) / CUDA_WARP;
    return static_cast<unsigned>(warps * CUDA_WARP);
}

/* Each of the L numbers summed over the block, the same on every thread. */
template <int L> static __device__ inline void block_sums(double (&x)[L], image_shared *shared) {
    static_assert(L <= IMAGE_SUMS, "image_shared has room for so many");
    const int thread = static_cast<int>(threadIdx.x), warps = static_cast<int>(blockDim.x) / CUDA_WARP;
#pragma unroll
    for (int i = 0; i < L; i++) {
        x[i] = warp_sum(x[i]);
        if (thread % CUDA_WARP == 0) shared->partial[i * IMAGE_WARPS + thread / CUDA_WARP] = x[i];
    }
    __syncthreads();
    if (thread < L) {
        double total = 0.0;
        for (int i = 0; i < warps; i++) total += shared->partial[thread * IMAGE_WARPS + i];
        shared->totals[thread] = total;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < L; i++) x[i] = shared->totals[i];
}

/*
 * Sums over each of the groups of channels: term(c, x) adds a channel's L numbers to x, store(group, x) is called by one thread a group.
 * One group takes the block, more of them a warp each. The caller's barrier makes what store wrote visible.
 */
template <int L, typename Term, typename Store>
static __device__ inline void group_sums(int c, int groups, image_shared *shared, const Term &term, const Store &store) {
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    if (groups == 1) {
        double x[L] = {};
        for (int i = thread; i < c; i += threads) term(i, x);
        block_sums<L>(x, shared);
        if (thread == 0) store(0, x);
        return;
    }
    const int lane = thread % CUDA_WARP, size = c / groups;
    for (int group = thread / CUDA_WARP; group < groups; group += threads / CUDA_WARP) {
        double x[L] = {};
        for (int i = lane; i < size; i += CUDA_WARP) term(group * size + i, x);
#pragma unroll
        for (int i = 0; i < L; i++) x[i] = warp_sum(x[i]);
        if (lane == 0) store(group, x);
    }
}

/* Mean, variance and 1/sd of each group of each method that has groups, to the image's record. */
template <int K> static __device__ inline void group_statistics(const coefficient_step &s, const image_rows &image, image_shared *shared) {
#pragma unroll
    for (int k = 0; k < K; k++) {
        if (s.groups[k] == 0) continue;
        group_values *groups = groups_of(s, image, k);
        const int size = s.d.c / s.groups[k];
        group_sums<1>(
            s.d.c, s.groups[k], shared, [&](int c, double(&x)[1]) { x[0] += static_cast<double>(image.m[c]); },
            [&](int group, const double(&x)[1]) { groups[group].mean = x[0] / size; });
        __syncthreads();
        group_sums<1>(
            s.d.c, s.groups[k], shared,
            [&](int c, double(&x)[1]) {
                const double difference = static_cast<double>(image.m[c]) - group_of(s, image, k, c)->mean;
                x[0] += static_cast<double>(image.v[c]) + difference * difference;
            },
            [&](int group, const double(&x)[1]) {
                groups[group].var = x[0] / size;
                groups[group].rsd = 1.0 / sqrt(x[0] / size + s.spec.eps);
            });
        __syncthreads();
    }
}

/* sn's mixtures from the control vectors, to shared->mix. */
template <int K> static __device__ inline void share_mixtures(const coefficient_step &s, image_shared *shared) {
    if (threadIdx.x == 0) {
        control_softmax<K>(s.params.mean_weight, shared->mix);
        control_softmax<K>(s.params.var_weight, shared->mix + K);
    }
    __syncthreads();
}

#endif
