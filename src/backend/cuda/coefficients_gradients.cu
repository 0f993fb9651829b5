/*
 * The coefficient step backward, over images: the gradients of the layer's parameters, and of bn's statistics for the collective. One
 * launch of two kinds of blocks: a thread a channel, and a thread a number of the ratios' network (en) or of the control vectors (sn).
 * Where the images come in pieces, sums wait in float64 in the step's scratch for the last of them.
 */
#include "backend/cuda/coefficients_channel.cuh"

/* Whether this launch's images are the last. */
static __device__ inline bool last_piece(const coefficient_step &s) {
    return s.first + s.images >= s.d.n;
}

/* The sum over this launch's images joins those before: rounded where they are all, otherwise kept. */
static __device__ inline void store_sum(const coefficient_step &s, double sum, double *kept, float *gradient) {
    if (s.first > 0) sum += *kept;
    if (last_piece(s))
        *gradient = static_cast<float>(sum);
    else
        *kept = sum;
}

/* ---- channels ---- */

/* Sums over images at one channel: gradients of gamma and beta (K), of the ratios' convolution, and of bn's mean and variance. */
template <int K> struct channel_sums {
    double weight[K], bias[K], conv_weight;
    statistics_gradients bn;
};

template <typename F>
static __device__ inline void add_outputs(const coefficient_step &s, const image_rows &image, int c, channel_sums<F::k> &to) {
    constexpr bool ratios = F::mix == mixing::outputs;
    const output_gradients g = gradients_at(s, image.n, c);
    const double w = ratios ? conv_weight_at(s, c) : 0.0;
#pragma unroll
    for (int k = 0; k < F::k; k++) {
        const method_values method = method_at(s, image, k, c);
        const double lambda = ratios ? s.step.lambda[static_cast<size_t>(image.n) * F::k + static_cast<size_t>(k)] : 1.0;
        const double dz = ratios ? image.record[s.dz_at + k * s.step.blocks + c / s.step.r] : 0.0;
        to.weight[k] += lambda * scale_gradient(g, method);
        if (!s.spec.shift_outside)
            to.bias[k] += lambda * g.s1;
        else if (k == 0)
            to.bias[k] += g.s1;
        to.conv_weight += dz * method.ph;
        if (s.spec.methods[k] == NORM_METHOD_BN) {
            const statistics_gradients bn = statistics_backward(lambda * weight_at(s, k, c), g, method, dz * w);
            to.bn.mean += bn.mean;
            to.bn.var += bn.var;
        }
    }
}

/* mix: (2,K) */
template <int K>
static __device__ inline void add_statistics(const coefficient_step &s, const image_rows &image, const double *mix, int c,
                                             channel_sums<K> &to) {
    const output_gradients g = gradients_at(s, image.n, c);
    const method_values mixture = mixture_at<K>(s, image, mix, c);
    const statistics_gradients of_mixture = statistics_backward(weight_at(s, 0, c), g, mixture, 0.0);
    to.weight[0] += scale_gradient(g, mixture);
    to.bias[0] += g.s1;
#pragma unroll
    for (int k = 0; k < K; k++) {
        if (s.spec.methods[k] != NORM_METHOD_BN) continue;
        to.bn.mean += mix[k] * of_mixture.mean;
        to.bn.var += mix[K + k] * of_mixture.var;
    }
}

/* One gamma or beta a method, or one for all (stride 0): x (K) summed over the strands, then stored by the first. */
template <int K>
static __device__ inline void store_affine(const coefficient_step &s, const double (&x)[K], int stride, int c, double *shared, double *kept,
                                           float *gradient) {
    const bool stores = threadIdx.y == 0 && c < s.d.c;
    double all = 0.0;
#pragma unroll
    for (int k = 0; k < K; k++) {
        const double sum = strand_sum(x[k], shared);
        all += sum;
        if (stores && stride != 0) store_sum(s, sum, kept + k * stride + c, gradient + k * stride + c);
    }
    if (stores && stride == 0) store_sum(s, all, kept + c, gradient + c);
}

template <typename F>
static __device__ inline void store_channel(const coefficient_step &s, const channel_sums<F::k> &sums, int c, double *shared) {
    const bool stores = threadIdx.y == 0 && c < s.d.c;
    store_affine(s, sums.weight, s.step.weight_stride, c, shared, s.step.sums.weight, s.grads.weight);
    store_affine(s, sums.bias, s.step.bias_stride, c, shared, s.step.sums.bias, s.grads.bias);
    if constexpr (F::mix == mixing::outputs) {
        const double sum = strand_sum(sums.conv_weight, shared);
        if (stores && s.spec.conv) store_sum(s, sum, s.step.sums.conv_weight + c, s.grads.conv_weight + c);
    }
    const double mean = strand_sum(sums.bn.mean, shared), var = strand_sum(sums.bn.var, shared);
    if (!stores) return;
    s.state.bn_grad[c] = (s.first > 0 ? s.state.bn_grad[c] : 0.0) + mean;
    s.state.bn_grad[s.d.c + c] = (s.first > 0 ? s.state.bn_grad[s.d.c + c] : 0.0) + var;
}

template <typename F> static __device__ inline void channel_gradients(const coefficient_step &s, int c, double *shared) {
    channel_sums<F::k> sums = {};
    double mix[2 * F::k];
    if constexpr (F::mix == mixing::statistics) {
        control_softmax<F::k>(s.params.mean_weight, mix);
        control_softmax<F::k>(s.params.var_weight, mix + F::k);
    }
    for (int n = s.first + static_cast<int>(threadIdx.y); n < s.first + s.images && c < s.d.c; n += static_cast<int>(blockDim.y)) {
        if constexpr (F::mix == mixing::statistics)
            add_statistics<F::k>(s, image_at(s, n), mix, c, sums);
        else
            add_outputs<F>(s, image_at(s, n), c, sums);
    }
    store_channel<F>(s, sums, c, shared);
}

/* ---- the ratios' network ---- */

/* Which gradient a number is of: of image n it takes left[n left_stride] right[n right_stride], right NULL for 1. */
struct network_number {
    const double *left, *right;
    size_t left_stride, right_stride;
    double *kept;
    float *gradient;
};

/* Numbers in the order fc1.weight (pi K, K K), fc1.bias (pi K), fc2.weight (K, pi K), fc2.bias (K). */
static __host__ __device__ inline int network_numbers(int k, int hidden) {
    return hidden * k * k + hidden + k * hidden + k;
}

template <int K> static __device__ inline network_number network_at(const coefficient_step &s, int i) {
    const int hidden = s.step.hidden;
    const size_t stride = s.record_size, images_before = static_cast<size_t>(s.first);
    const double *v = s.step.outer + images_before * K * K, *h = s.step.h + images_before * static_cast<size_t>(hidden);
    const double *du = s.records + s.du_at, *dlogits = s.records + s.dlogits_at;
    if (i < hidden * K * K) return {du + i / (K * K), v + i % (K * K), stride, K * K, s.step.sums.fc1_weight + i, s.grads.fc1_weight + i};
    i -= hidden * K * K;
    if (i < hidden) return {du + i, nullptr, stride, 0, s.step.sums.fc1_bias + i, s.grads.fc1_bias + i};
    i -= hidden;
    if (i < K * hidden)
        return {dlogits + i / hidden,       h + i % hidden,        stride, static_cast<size_t>(hidden),
                s.step.sums.fc2_weight + i, s.grads.fc2_weight + i};
    i -= K * hidden;
    return {dlogits + i, nullptr, stride, 0, s.step.sums.fc2_bias + i, s.grads.fc2_bias + i};
}

template <int K> static __device__ inline void network_gradients(const coefficient_step &s, int i, double *shared) {
    const bool exists = i < network_numbers(K, s.step.hidden);
    const network_number number = network_at<K>(s, exists ? i : 0);
    double sum = 0.0;
    for (size_t n = threadIdx.y; n < static_cast<size_t>(s.images) && exists; n += blockDim.y)
        sum += number.left[n * number.left_stride] * (number.right != nullptr ? number.right[n * number.right_stride] : 1.0);
    sum = strand_sum(sum, shared);
    if (threadIdx.y == 0 && exists) store_sum(s, sum, number.kept, number.gradient);
}

/* ---- sn's control vectors ---- */

/* One of the two: the gradients (K) of its softmax, and those of the images before, to the vector's. */
template <int K>
static __device__ inline void control_backward(const coefficient_step &s, const float *control, const double *dmix, double *kept,
                                               float *gradient) {
    double mix[K], total[K], mean = 0.0;
    control_softmax<K>(control, mix);
#pragma unroll
    for (int k = 0; k < K; k++) {
        total[k] = dmix[k] + (s.first > 0 ? kept[k] : 0.0);
        mean += mix[k] * total[k];
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
        kept[k] = total[k];
        if (last_piece(s)) gradient[k] = static_cast<float>(mix[k] * (total[k] - mean));
    }
}

template <int K> static __device__ inline void control_gradients(const coefficient_step &s, double *shared) {
    const unsigned column = threadIdx.x;
    double sum = 0.0;
    for (size_t n = threadIdx.y; n < static_cast<size_t>(s.images) && column < 2 * K; n += blockDim.y)
        sum += s.records[n * s.record_size + static_cast<size_t>(s.dmix_at) + column];
    sum = strand_sum(sum, shared);
    if (threadIdx.y == 0) shared[column] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= 2) return;
    if (column == 0)
        control_backward<K>(s, s.params.mean_weight, shared, s.step.mean_dmix, s.grads.mean_weight);
    else
        control_backward<K>(s, s.params.var_weight, shared + K, s.step.var_dmix, s.grads.var_weight);
}

/* ---- the launch ---- */

/*
 * Blocks below `channels` are of channels: m, v, s1 and s2 read once, 16 bytes a number, the minimum, and a few numbers of the records. The
 * others are of the network: each number reads 16 bytes an image, from the caches.
 */
template <typename F>
static __global__ void __launch_bounds__(CHANNEL_THREADS, 1) layer_gradients(const coefficient_step s, unsigned channels) {
    EN_DYN_SHARED(double, shared);
    if (blockIdx.x < channels)
        channel_gradients<F>(s, static_cast<int>(blockIdx.x * CUDA_WARP + threadIdx.x), shared);
    else if constexpr (F::mix == mixing::outputs)
        network_gradients<F::k>(s, static_cast<int>((blockIdx.x - channels) * CUDA_WARP + threadIdx.x), shared);
    else if constexpr (F::mix == mixing::statistics)
        control_gradients<F::k>(s, shared);
}

void coefficient_gradients(backend *be, const coefficient_step *s) {
    const unsigned channels = channel_blocks(s->d.c);
    unsigned others = 0;
    if (s->spec.type == NORM_EN) others = blocks_for(static_cast<size_t>(network_numbers(s->spec.k, s->step.hidden)), CUDA_WARP);
    if (s->spec.type == NORM_SN) others = 1;
    coefficient_with_form(&s->spec, [&](auto chosen) {
        using F = decltype(chosen);
        CUDA_LAUNCH(be, "norm_backward_sums", layer_gradients<F>, channels + others, channel_block(s->images), channel_shared(s->images),
                    *s, channels);
    });
}
