/*
 * SGD with momentum in PyTorch's order of operations, in float32, as cpu/sgd.c: one launch for a whole run of parameters, however many
 * segments it has. The gradients' norm is read from the device's memory, so nobody waits for it: a step whose gradients are not finite is
 * queued like any other and then writes nothing.
 */
#include <math.h>

#include "backend/cuda/each.cuh"

enum { THREADS = 256, ROUNDS = 4, TILE = THREADS * ROUNDS * 4 };

struct sgd_rates {
    float grad_scale, decay, momentum, step;
    bool nesterov;
};

static __device__ inline void sgd_element(float &w, float g, float &v, const sgd_rates &r) {
    const float d = r.grad_scale * g + r.decay * w;
    const float velocity = r.momentum * v + d;
    v = velocity;
    w -= r.step * (r.nesterov ? d + r.momentum * velocity : velocity);
}

static __device__ inline void sgd_quad(float *w, const float *g, float *v, const sgd_rates &r) {
    lanes<4> weight = quad_load(w), velocity = quad_load(v);
    const lanes<4> gradient = quad_load(g);
#pragma unroll
    for (int k = 0; k < 4; k++) sgd_element(weight.x[k], gradient.x[k], velocity.x[k], r);
    quad_store(w, weight);
    quad_store(v, velocity);
}

/* The last of the segments low .. high that begins at `at` or before; low where none does. */
static __device__ inline int segment_at(const sgd_segment *segments, int low, int high, size_t at) {
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (segments[middle].offset <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Elements first .. end-1, one by one: at segments' borders and where they are not aligned. s: segment_at(first). */
static __device__ inline void sgd_border(float *w, const float *g, float *v, size_t first, size_t end, const sgd_segment *segments, int s,
                                         int last, double lr, sgd_rates r) {
    for (size_t i = first; i < end; i++) {
        while (s < last && segments[s + 1].offset <= i) s++;
        const sgd_segment segment = segments[s];
        if (i < segment.offset || i - segment.offset >= segment.count) continue; /* between segments */
        r.decay = segment.decay;
        r.step = static_cast<float>(lr * static_cast<double>(segment.lr_scale));
        sgd_element(w[i], g[i], v[i], r);
    }
}

/* What clipping multiplies the gradients with. */
static __device__ inline float clip_factor(double squares, double clip_norm) {
    const double norm = sqrt(squares);
    return static_cast<float>(norm > clip_norm ? clip_norm / norm : 1.0);
}

/*
 * w, g, v (elements); segments (segment_count), of which a block looks up the first and the last that its TILE elements touch, mostly the
 * same. Bytes per element: 20 (w, g and v read, w and v written), the minimum.
 */
template <bool ALIGNED>
static __global__ void __launch_bounds__(THREADS) sgd_kernel(float *w, const float *g, float *v, size_t elements,
                                                             const sgd_segment *__restrict__ segments, int segment_count, sgd_rule rule) {
    __shared__ float shared_scale;
    sgd_rates r = {1.0f, 0.0f, static_cast<float>(rule.momentum), 0.0f, rule.nesterov};
    if (rule.squares != nullptr && !isfinite(*rule.squares)) return;
    if (rule.squares != nullptr && rule.clip_norm > 0.0) {
        if (threadIdx.x == 0) shared_scale = clip_factor(*rule.squares, rule.clip_norm);
        __syncthreads();
        r.grad_scale = shared_scale;
    }
    const size_t tile = static_cast<size_t>(blockIdx.x) * TILE, end = elements - tile < TILE ? elements : tile + TILE;
    const int low = segment_at(segments, 0, segment_count - 1, tile), high = segment_at(segments, low, segment_count - 1, end - 1);
    for (size_t first = tile + threadIdx.x * 4; first < end; first += THREADS * 4) {
        const int s = segment_at(segments, low, high, first);
        const sgd_segment segment = segments[s];
        if (ALIGNED && first >= segment.offset && first + 4 <= segment.offset + segment.count) {
            r.decay = segment.decay;
            r.step = static_cast<float>(rule.lr * static_cast<double>(segment.lr_scale));
            sgd_quad(w + first, g + first, v + first, r);
        } else {
            sgd_border(w, g, v, first, first + 4 < end ? first + 4 : end, segments, s, high, rule.lr, r);
        }
    }
}

void cuda_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
              const sgd_rule *rule) {
    if (elements == 0 || segment_count == 0) return;
    const unsigned blocks = blocks_for(elements, TILE);
    if (aligned_to(16, w, g, v))
        CUDA_LAUNCH(be, "sgd", sgd_kernel<true>, blocks, THREADS, 0, w, g, v, elements, segments, segment_count, *rule);
    else
        CUDA_LAUNCH(be, "sgd", sgd_kernel<false>, blocks, THREADS, 0, w, g, v, elements, segments, segment_count, *rule);
}
