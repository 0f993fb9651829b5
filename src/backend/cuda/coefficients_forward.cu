/*
 * The coefficient step forward: from the moments of an image to its coefficients (a, b), for all types but bn alone, a block an image.
 * The host's version is norm/coefficients.c.
 */
#include "backend/cuda/coefficients_ratios.cuh"

/* a and b of a channel before rounding. */
struct coefficients {
    double a, b;
};

/* sum_k lambda_k (gamma_k xhat_k + beta_k): about m, gamma (X - mu) / sd is gamma (X - m) / sd + gamma ph. */
template <typename F>
static __device__ inline coefficients mixed_outputs(const coefficient_step &s, const image_rows &image, const double *lambda, int c) {
    coefficients out = {0.0, s.spec.shift_outside ? bias_at(s, 0, c) : 0.0};
#pragma unroll
    for (int k = 0; k < F::k; k++) {
        const double ratio = F::mix == mixing::outputs ? lambda[k] : 1.0, scale = ratio * weight_at(s, k, c);
        const method_values method = method_at(s, image, k, c);
        out.a += scale * method.rsd;
        out.b += scale * method.ph;
        if (!s.spec.shift_outside) out.b += ratio * bias_at(s, k, c);
    }
    return out;
}

template <typename F>
static __device__ inline coefficients mixed_statistics(const coefficient_step &s, const image_rows &image, const double *mix, int c) {
    const double weight = weight_at(s, 0, c);
    const method_values mixture = mixture_at<F::k>(s, image, mix, c);
    return {weight * mixture.rsd, weight * mixture.ph + bias_at(s, 0, c)};
}

/*
 * a and b of an image. Least: m and v read, a and b written, 16 bytes a number. Each group method reads m twice more and v once, the
 * ratios m once, all of it from the caches: an image's rows are a few KiB.
 */
template <typename F> static __global__ void __launch_bounds__(IMAGE_THREADS, 1) forward_images(const coefficient_step s) {
    EN_DYN_SHARED(image_shared, shared);
    const image_rows image = image_at(s, s.first + static_cast<int>(blockIdx.x));
    group_statistics<F::k>(s, image, shared);
    if constexpr (F::mix == mixing::outputs) ratios_forward<F::k>(s, image, shared);
    if constexpr (F::mix == mixing::statistics) share_mixtures<F::k>(s, shared);
    const size_t row = static_cast<size_t>(image.n) * static_cast<size_t>(s.d.c);
    for (int c = static_cast<int>(threadIdx.x); c < s.d.c; c += static_cast<int>(blockDim.x)) {
        coefficients out;
        if constexpr (F::mix == mixing::statistics)
            out = mixed_statistics<F>(s, image, shared->mix, c);
        else
            out = mixed_outputs<F>(s, image, shared->ratios, c);
        s.state.a[row + static_cast<size_t>(c)] = static_cast<float>(out.a);
        s.state.b[row + static_cast<size_t>(c)] = static_cast<float>(out.b);
    }
    if (F::mix == mixing::alone && threadIdx.x == 0) s.state.lambda[image.n] = 1.0f;
}

void cuda_norm_forward_coefficients(backend *be, const norm_call *call) {
    coefficient_step s;
    if (!coefficient_open(be, call, &s)) return;
    if (norm_uses_bn(call->spec)) coefficient_bn_finish(be, &s);
    if (coefficient_only_bn(call->spec)) return;
    for (; s.first < s.d.n; s.first += s.images) {
        coefficient_piece(&s);
        coefficient_with_form(call->spec, [&](auto chosen) {
            using F = decltype(chosen);
            CUDA_LAUNCH(be, "norm_forward_coefficients", forward_images<F>, static_cast<unsigned>(s.images), image_threads(&s),
                        sizeof(image_shared), s);
        });
    }
}
