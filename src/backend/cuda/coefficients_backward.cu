/*
 * The coefficient step backward, within images: from (sum g, sum g (X - m)) of an image to the gradients of its moments, through the
 * ratios, the methods' statistics and their groups of channels, a block an image. What the sums over images need of it is left in the
 * image's record for coefficients_gradients.cu.
 */
#include "backend/cuda/coefficients_ratios.cuh"

/* dlambda_k = sum_c (gamma_k T_k + beta_k S1), then through the ratios' network to the gradient of z in the record. */
template <int K> static __device__ inline void through_ratios(const coefficient_step &s, const image_rows &image, image_shared *shared) {
    double dlambda[K] = {};
    for (int c = static_cast<int>(threadIdx.x); c < s.d.c; c += static_cast<int>(blockDim.x)) {
        const output_gradients g = gradients_at(s, image.n, c);
#pragma unroll
        for (int k = 0; k < K; k++) {
            dlambda[k] += weight_at(s, k, c) * scale_gradient(g, method_at(s, image, k, c));
            if (!s.spec.shift_outside) dlambda[k] += bias_at(s, k, c) * g.s1;
        }
    }
    block_sums(dlambda, shared);
    ratios_backward<K>(s, image, dlambda, shared);
}

/* Gradients of the mixture's mean and variance. */
template <int K>
static __device__ inline statistics_gradients mixture_gradients(const coefficient_step &s, const image_rows &image, const double *mix,
                                                                int c) {
    return statistics_backward(weight_at(s, 0, c), gradients_at(s, image.n, c), mixture_at<K>(s, image, mix, c), 0.0);
}

/* Gradients of both mixtures' ratios, (2K), summed over the image's channels to the record. */
template <int K> static __device__ inline void through_mixtures(const coefficient_step &s, const image_rows &image, image_shared *shared) {
    double dmix[2 * K] = {};
    share_mixtures<K>(s, shared);
    for (int c = static_cast<int>(threadIdx.x); c < s.d.c; c += static_cast<int>(blockDim.x)) {
        const statistics_gradients g = mixture_gradients<K>(s, image, shared->mix, c);
#pragma unroll
        for (int k = 0; k < K; k++) {
            const method_values method = method_at(s, image, k, c);
            dmix[k] += g.mean * method.mu;
            dmix[K + k] += g.var * method.var;
        }
    }
    block_sums(dmix, shared);
    if (threadIdx.x < 2 * K) image.record[s.dmix_at + static_cast<int>(threadIdx.x)] = shared->totals[threadIdx.x];
}

/* Gradients of method k's statistics at one channel, and in *pooled of m through the ratios. */
template <typename F>
static __device__ inline statistics_gradients method_gradients(const coefficient_step &s, const image_rows &image,
                                                               const image_shared *shared, int k, int c, double *pooled) {
    if constexpr (F::mix == mixing::statistics) {
        const statistics_gradients g = mixture_gradients<F::k>(s, image, shared->mix, c);
        return {shared->mix[k] * g.mean, shared->mix[F::k + k] * g.var};
    } else {
        constexpr bool ratios = F::mix == mixing::outputs;
        const double lambda = ratios ? s.step.lambda[static_cast<size_t>(image.n) * F::k + static_cast<size_t>(k)] : 1.0;
        const double dph = ratios ? features_gradient(s, image, k, c) : 0.0;
        const method_values method = method_at(s, image, k, c);
        *pooled = dph * method.rsd;
        return statistics_backward(lambda * weight_at(s, k, c), gradients_at(s, image.n, c), method, dph);
    }
}

/* What every channel of a group takes of its statistics' gradients, to the record. Ends with a barrier. */
template <typename F> static __device__ inline void share_groups(const coefficient_step &s, const image_rows &image, image_shared *shared) {
#pragma unroll
    for (int k = 0; k < F::k; k++) {
        if (s.groups[k] == 0) continue;
        group_values *groups = groups_of(s, image, k);
        const int size = s.d.c / s.groups[k];
        group_sums<2>(
            s.d.c, s.groups[k], shared,
            [&](int c, double(&x)[2]) {
                double unused;
                const statistics_gradients g = method_gradients<F>(s, image, shared, k, c, &unused);
                x[0] += g.mean;
                x[1] += g.var;
            },
            [&](int group, const double(&x)[2]) {
                groups[group].mean_share = x[0] / size;
                groups[group].var_share = x[1] / size;
            });
    }
    __syncthreads();
}

/* The gradients of a channel's moments, but for what comes through bn. */
template <typename F>
static __device__ inline statistics_gradients moment_gradients(const coefficient_step &s, const image_rows &image,
                                                               const image_shared *shared, int c) {
    statistics_gradients out = {0.0, 0.0};
#pragma unroll
    for (int k = 0; k < F::k; k++) {
        double pooled = 0.0;
        statistics_gradients g = {0.0, 0.0};
        if (F::mix == mixing::outputs || s.groups[k] == 0) g = method_gradients<F>(s, image, shared, k, c, &pooled);
        out.mean += pooled;
        if (s.groups[k] > 0) {
            const group_values *group = group_of(s, image, k, c);
            g.mean = group->mean_share + 2.0 * (static_cast<double>(image.m[c]) - group->mean) * group->var_share;
            g.var = group->var_share;
        }
        if (s.spec.methods[k] == NORM_METHOD_BN) continue; /* its images wait for all ranks' sums: bn_spread */
        out.mean += g.mean;
        out.var += g.var;
    }
    return out;
}

/*
 * dm and dv of an image. Least: m, v, s1 and s2 read, dm and dv written, 24 bytes a number. Each group method reads m three times more and
 * the others once or twice, the ratios all once and m twice, from the caches.
 */
template <typename F> static __global__ void __launch_bounds__(IMAGE_THREADS, 1) backward_images(const coefficient_step s) {
    EN_DYN_SHARED(image_shared, shared);
    const image_rows image = image_at(s, s.first + static_cast<int>(blockIdx.x));
    group_statistics<F::k>(s, image, shared);
    if constexpr (F::mix == mixing::outputs) through_ratios<F::k>(s, image, shared);
    if constexpr (F::mix == mixing::statistics) through_mixtures<F::k>(s, image, shared);
    share_groups<F>(s, image, shared);
    const size_t row = static_cast<size_t>(image.n) * static_cast<size_t>(s.d.c);
    for (int c = static_cast<int>(threadIdx.x); c < s.d.c; c += static_cast<int>(blockDim.x)) {
        const statistics_gradients out = moment_gradients<F>(s, image, shared, c);
        s.state.dm[row + static_cast<size_t>(c)] = static_cast<float>(out.mean);
        s.state.dv[row + static_cast<size_t>(c)] = static_cast<float>(out.var);
    }
}

/* Gradients of the layer are sums over all images, also where there are none. */
void cuda_norm_backward_sums(backend *be, const norm_call *call) {
    coefficient_step s;
    if (!coefficient_open(be, call, &s)) return;
    do {
        coefficient_piece(&s);
        if (s.images > 0 && !coefficient_only_bn(call->spec))
            coefficient_with_form(call->spec, [&](auto chosen) {
                using F = decltype(chosen);
                CUDA_LAUNCH(be, "norm_backward_sums", backward_images<F>, static_cast<unsigned>(s.images), image_threads(&s),
                            sizeof(image_shared), s);
            });
        coefficient_gradients(be, &s);
        s.first += s.images;
    } while (s.first < s.d.n);
}
