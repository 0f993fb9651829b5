/*
 * EN's mixing ratios of one image, a block an image, from its normalised pooled features ph (K,C):
 *   z_kj = sum over block j of w_c ph_kc;  V = z z^T;  h = act(W1 flatten(V) + b1);  lambda = softmax(W2 h + b2)
 * and back. V, h and lambda are kept from forward to backward; z is computed again.
 */
#ifndef BACKEND_CUDA_COEFFICIENTS_RATIOS_CUH
#define BACKEND_CUDA_COEFFICIENTS_RATIOS_CUH

#include "backend/cuda/coefficients_image.cuh"

/*
 * use(j, z) by one thread for each of the J blocks of r channels, with z (K). As many lanes as a block has channels, a warp at most, add it
 * up together, so that both long and short blocks keep the threads busy.
 */
template <int K, typename Use>
static __device__ inline void each_block(const coefficient_step &s, const image_rows &image, const Use &use) {
    const int r = s.step.r, thread = static_cast<int>(threadIdx.x);
    int team = 1;
    while (team < r && team < CUDA_WARP) team *= 2;
    const int lane = thread % team, teams = static_cast<int>(blockDim.x) / team;
    for (int first = 0; first < s.step.blocks; first += teams) { /* the same number of turns for all lanes */
        const int j = first + thread / team;
        double z[K] = {};
        for (int i = lane; i < r && j < s.step.blocks; i += team) {
            const double w = conv_weight_at(s, j * r + i);
#pragma unroll
            for (int k = 0; k < K; k++) z[k] += w * features_at(s, image, k, j * r + i);
        }
        for (int offset = team / 2; offset > 0; offset /= 2) {
#pragma unroll
            for (int k = 0; k < K; k++) z[k] += __shfl_xor_sync(0xFFFFFFFFu, z[k], offset);
        }
        if (lane == 0 && j < s.step.blocks) use(j, z);
    }
}

/* V (K,K) of the image to shared->outer and to what is kept. */
template <int K> static __device__ inline void outer_product(const coefficient_step &s, const image_rows &image, image_shared *shared) {
    double upper[K * (K + 1) / 2] = {};
    each_block<K>(s, image, [&](int, const double(&z)[K]) {
        int at = 0;
#pragma unroll
        for (int i = 0; i < K; i++) {
#pragma unroll
            for (int j = i; j < K; j++) upper[at++] += z[i] * z[j];
        }
    });
    block_sums(upper, shared);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < K * K) {
        const int i = min(thread / K, thread % K), j = max(thread / K, thread % K);
        const double v = shared->totals[i * K - i * (i - 1) / 2 + j - i];
        shared->outer[thread] = v;
        s.step.outer[static_cast<size_t>(image.n) * K * K + static_cast<size_t>(thread)] = v;
    }
    __syncthreads();
}

/* The hidden layer (pi K) of an image, which is kept. */
static __device__ inline double *hidden_of(const coefficient_step &s, int n) {
    return s.step.h + static_cast<size_t>(n) * static_cast<size_t>(s.step.hidden);
}

template <int K> static __device__ inline void hidden_layer(const coefficient_step &s, double *h, const image_shared *shared) {
    for (int i = static_cast<int>(threadIdx.x); i < s.step.hidden; i += static_cast<int>(blockDim.x)) {
        const float *w = s.params.fc1_weight + i * K * K;
        double u = static_cast<double>(s.params.fc1_bias[i]);
#pragma unroll
        for (int j = 0; j < K * K; j++) u += static_cast<double>(w[j]) * shared->outer[j];
        h[i] = s.spec.activation == NORM_TANH ? tanh(u) : fmax(u, 0.0);
    }
    __syncthreads();
}

/* out[i] = sum over the hidden units of term(i, unit), for i < count: a warp each. Ends with a barrier. */
template <typename Term> static __device__ inline void sums_of_units(int count, int hidden, double *out, const Term &term) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % CUDA_WARP;
    for (int i = thread / CUDA_WARP; i < count; i += static_cast<int>(blockDim.x) / CUDA_WARP) {
        double sum = 0.0;
        for (int unit = lane; unit < hidden; unit += CUDA_WARP) sum += term(i, unit);
        sum = warp_sum(sum);
        if (lane == 0) out[i] = sum;
    }
    __syncthreads();
}

/* lambda (K) of the image to shared->ratios, to what is kept, and rounded to the state. */
template <int K> static __device__ inline void ratios_forward(const coefficient_step &s, const image_rows &image, image_shared *shared) {
    double *h = hidden_of(s, image.n);
    outer_product<K>(s, image, shared);
    hidden_layer<K>(s, h, shared);
    sums_of_units(K, s.step.hidden, shared->ratios,
                  [&](int i, int unit) { return static_cast<double>(s.params.fc2_weight[i * s.step.hidden + unit]) * h[unit]; });
    if (threadIdx.x == 0) {
        double lambda[K], top = 0.0, sum = 0.0;
#pragma unroll
        for (int k = 0; k < K; k++) {
            lambda[k] = shared->ratios[k] + static_cast<double>(s.params.fc2_bias[k]);
            top = k == 0 ? lambda[k] : fmax(top, lambda[k]);
        }
#pragma unroll
        for (int k = 0; k < K; k++) sum += lambda[k] = exp(lambda[k] - top);
#pragma unroll
        for (int k = 0; k < K; k++) {
            const size_t at = static_cast<size_t>(image.n) * K + static_cast<size_t>(k);
            shared->ratios[k] = lambda[k] / sum;
            s.step.lambda[at] = lambda[k] / sum;
            s.state.lambda[at] = static_cast<float>(lambda[k] / sum);
        }
    }
    __syncthreads();
}

/* ---- backward ---- */

/* The activation's slope, from its value. */
static __device__ inline double slope(norm_activation activation, double h) {
    if (activation == NORM_TANH) return 1.0 - h * h;
    return h > 0.0 ? 1.0 : 0.0;
}

/* Through the softmax: the logits' gradient to shared->ratios and to the record. */
template <int K>
static __device__ inline void softmax_backward(const coefficient_step &s, const image_rows &image, const double (&dlambda)[K],
                                               image_shared *shared) {
    if (threadIdx.x == 0) {
        const double *lambda = s.step.lambda + static_cast<size_t>(image.n) * K;
        double mean = 0.0;
#pragma unroll
        for (int k = 0; k < K; k++) mean += lambda[k] * dlambda[k];
#pragma unroll
        for (int k = 0; k < K; k++) {
            const double dlogit = lambda[k] * (dlambda[k] - mean);
            shared->ratios[k] = dlogit;
            image.record[s.dlogits_at + k] = dlogit;
        }
    }
    __syncthreads();
}

/* From dlambda to the gradients of the logits, of the hidden layer and of z, in the image's record. Ends with a barrier. */
template <int K>
static __device__ inline void ratios_backward(const coefficient_step &s, const image_rows &image, const double (&dlambda)[K],
                                              image_shared *shared) {
    const int hidden = s.step.hidden;
    const double *h = hidden_of(s, image.n);
    double *du = image.record + s.du_at, *dz = image.record + s.dz_at;
    softmax_backward<K>(s, image, dlambda, shared);
    for (int i = static_cast<int>(threadIdx.x); i < hidden; i += static_cast<int>(blockDim.x)) {
        double dh = 0.0;
#pragma unroll
        for (int k = 0; k < K; k++) dh += static_cast<double>(s.params.fc2_weight[k * hidden + i]) * shared->ratios[k];
        du[i] = dh * slope(s.spec.activation, h[i]);
    }
    __syncthreads();
    sums_of_units(K * K, hidden, shared->outer,
                  [&](int i, int unit) { return du[unit] * static_cast<double>(s.params.fc1_weight[unit * K * K + i]); });
    each_block<K>(s, image, [&](int j, const double(&z)[K]) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
#pragma unroll
            for (int i = 0; i < K; i++) sum += (shared->outer[k * K + i] + shared->outer[i * K + k]) * z[i];
            dz[k * s.step.blocks + j] = sum;
        }
    });
    __syncthreads();
}

#endif
