/*
 * The coefficient step's own layout, and bn's part of it: sums over images of one rank, which a collective may add up over ranks before
 * they become statistics, and the way back. Other methods stay within an image: coefficients_forward.cu and coefficients_backward.cu.
 */
#include "backend/cuda/coefficients_channel.cuh"

#include <cstring>

/* ---- the step as kernels take it ---- */

/* Hands out places in a record; group_values are whole doubles, so nothing needs aligning. */
static int take(size_t *used, size_t count) {
    const size_t at = *used;
    *used += count;
    return static_cast<int>(at);
}

static void lay_out_record(coefficient_step *s) {
    static_assert(sizeof(group_values) % sizeof(double) == 0, "records are of doubles");
    const size_t k = static_cast<size_t>(s->spec.k);
    size_t used = 0;
    for (int i = 0; i < s->spec.k; i++) {
        const norm_method method = s->spec.methods[i];
        s->groups[i] = method == NORM_METHOD_LN ? 1 : method == NORM_METHOD_GN ? norm_groups(&s->spec, s->d.c) : 0;
        s->groups_at[i] = take(&used, static_cast<size_t>(s->groups[i]) * sizeof(group_values) / sizeof(double));
    }
    if (s->spec.type == NORM_EN) {
        s->dz_at = take(&used, k * static_cast<size_t>(s->step.blocks));
        s->du_at = take(&used, static_cast<size_t>(s->step.hidden));
        s->dlogits_at = take(&used, k);
    }
    if (s->spec.type == NORM_SN) s->dmix_at = take(&used, 2 * k);
    s->record_size = used;
}

bool coefficient_open(backend *be, const norm_call *call, coefficient_step *out) {
    coefficient_step s;
    memset(&s, 0, sizeof s);
    norm_step_open(call, &s.step);
    s.spec = *call->spec;
    s.d = call->dims;
    s.training = call->training;
    s.params = *call->params;
    if (call->grads != nullptr) s.grads = *call->grads;
    s.state = *call->state;
    lay_out_record(&s);
    s.records = static_cast<double *>(cuda_scratch(be));
    *out = s;
    const bool fits = s.record_size * sizeof(double) <= CUDA_SCRATCH_BYTES;
    if (!fits) cuda_check(be, cudaErrorInvalidValue, "normalisation of so many channels");
    return fits;
}

void coefficient_piece(coefficient_step *s) {
    const size_t fit = CUDA_SCRATCH_BYTES / sizeof(double) / (s->record_size > 0 ? s->record_size : 1);
    const int left = s->d.n - s->first;
    s->images = static_cast<size_t>(left) > fit ? static_cast<int>(fit) : left;
}

/* ---- bn forward ---- */

/* state->bn: [sum P m, sum P (v + m^2), sum P] of this rank's images. Reads m and v once, 8 bytes a number, the minimum. */
static __global__ void __launch_bounds__(CHANNEL_THREADS, 1) bn_sums(norm_dims d, const float *m, const float *v, double *bn) {
    EN_DYN_SHARED(double, shared);
    const int c = static_cast<int>(blockIdx.x * CUDA_WARP + threadIdx.x);
    double sum = 0.0, square = 0.0;
    for (int n = static_cast<int>(threadIdx.y); n < d.n && c < d.c; n += static_cast<int>(blockDim.y)) {
        const size_t at = static_cast<size_t>(n) * static_cast<size_t>(d.c) + static_cast<size_t>(c);
        const double mean = static_cast<double>(m[at]);
        sum += d.p * mean;
        square += d.p * (static_cast<double>(v[at]) + mean * mean);
    }
    sum = strand_sum(sum, shared);
    square = strand_sum(square, shared);
    if (threadIdx.y != 0 || c >= d.c) return;
    bn[c] = sum;
    bn[d.c + c] = square;
    if (c == 0) bn[2 * d.c] = static_cast<double>(d.n) * d.p;
}

void cuda_norm_forward_sums(backend *be, const norm_call *call) {
    const norm_dims d = call->dims;
    if (!call->training || !norm_uses_bn(call->spec)) return;
    CUDA_LAUNCH(be, "norm_forward_sums", bn_sums, channel_blocks(d.c), channel_block(d.n), channel_shared(d.n), d, call->state->m,
                call->state->v, call->state->bn);
}

/* Mean and variance of a channel over the batch, from sums over `count` pixels, or the running ones. */
static __device__ inline method_values bn_at(const coefficient_step &s, double count, int c) {
    method_values out = {static_cast<double>(s.params.running_mean[c]), static_cast<double>(s.params.running_var[c]), 0.0, 0.0};
    if (s.training) {
        out.mu = s.state.bn[c] / count;
        out.var = fmax(s.state.bn[s.d.c + c] / count - out.mu * out.mu, 0.0);
    }
    out.rsd = 1.0 / sqrt(out.var + s.spec.eps);
    return out;
}

static __device__ inline void move_running(const coefficient_step &s, double count, const method_values &bn, int c) {
    const double kept = 1.0 - s.spec.momentum, unbiased = count / (count > 2.0 ? count - 1.0 : 1.0);
    float *mean = s.params.running_mean + c, *var = s.params.running_var + c;
    *mean = static_cast<float>(kept * static_cast<double>(*mean) + s.spec.momentum * bn.mu);
    *var = static_cast<float>(kept * static_cast<double>(*var) + s.spec.momentum * bn.var * unbiased);
}

/* The coefficients of a layer of bn alone, for the strand's images. In evaluation they are about the running mean, and m is not known. */
static __device__ inline void bn_coefficients(const coefficient_step &s, const method_values &bn, int c) {
    const double weight = weight_at(s, 0, c), bias = bias_at(s, 0, c);
    for (int n = static_cast<int>(threadIdx.y); n < s.d.n; n += static_cast<int>(blockDim.y)) {
        const size_t at = static_cast<size_t>(n) * static_cast<size_t>(s.d.c) + static_cast<size_t>(c);
        if (!s.training) s.state.m[at] = static_cast<float>(bn.mu);
        s.state.a[at] = static_cast<float>(weight * bn.rsd);
        s.state.b[at] = static_cast<float>(weight * ((static_cast<double>(s.state.m[at]) - bn.mu) * bn.rsd) + bias);
        if (c == 0) s.state.lambda[n] = 1.0f;
    }
}

/*
 * From all ranks' sums to mean and variance in their place, 1/sd, and the running statistics' update; for a layer of bn alone the
 * coefficients too. 56 bytes a channel, and for bn alone 12 a number (m read, a and b written), the minimum.
 */
static __global__ void __launch_bounds__(CHANNEL_THREADS, 1) bn_finish(const coefficient_step s, bool coefficients) {
    const int c = static_cast<int>(blockIdx.x * CUDA_WARP + threadIdx.x);
    const double count = s.training ? s.state.bn[2 * s.d.c] : 1.0;
    const bool known = c < s.d.c && count >= 1.0; /* otherwise no rank has an image */
    method_values bn = {0.0, 0.0, 0.0, 0.0};
    if (known) bn = bn_at(s, count, c);
    __syncthreads(); /* all strands have read the sums */
    if (!known) return;
    if (coefficients) bn_coefficients(s, bn, c);
    if (threadIdx.y != 0) return;
    s.state.bn[c] = bn.mu;
    s.state.bn[s.d.c + c] = bn.var;
    s.step.bn_rsd[c] = bn.rsd;
    if (s.training) move_running(s, count, bn, c);
}

void coefficient_bn_finish(backend *be, const coefficient_step *s) {
    const bool coefficients = coefficient_only_bn(&s->spec);
    CUDA_LAUNCH(be, "norm_forward_coefficients", bn_finish, channel_blocks(s->d.c), channel_block(coefficients ? s->d.n : 1), 0, *s,
                coefficients);
}

/* ---- bn backward ---- */

/*
 * What each image takes of the gradients of bn's mean and variance, which are summed over all ranks: added to dm and dv, or, in a layer of
 * bn alone, all there is. Reads m and writes dm and dv, 12 bytes a number, the minimum; 8 more to add.
 */
static __global__ void __launch_bounds__(256)
    bn_spread(norm_dims d, const float *m, const double *bn, const double *bn_grad, bool add, float *dm, float *dv) {
    const size_t channels = static_cast<size_t>(d.c), count = static_cast<size_t>(d.n) * channels;
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const size_t c = i % channels;
    const double share = d.p / bn[2 * channels]; /* 1/M weighed by pixels */
    const double s1 = bn_grad[c], s2 = bn_grad[channels + c];
    const double mean = share * (s1 + 2.0 * (static_cast<double>(m[i]) - bn[c]) * s2), var = share * s2;
    dm[i] = static_cast<float>(add ? static_cast<double>(dm[i]) + mean : mean);
    dv[i] = static_cast<float>(add ? static_cast<double>(dv[i]) + var : var);
}

void cuda_norm_backward_coefficients(backend *be, const norm_call *call) {
    const norm_dims d = call->dims;
    const norm_state *state = call->state;
    const size_t count = static_cast<size_t>(d.n) * static_cast<size_t>(d.c);
    if (count == 0 || !norm_uses_bn(call->spec)) return;
    CUDA_LAUNCH(be, "norm_backward_coefficients", bn_spread, blocks_for(count, 256), 256, 0, d, state->m, state->bn, state->bn_grad,
                !coefficient_only_bn(call->spec), state->dm, state->dv);
}
