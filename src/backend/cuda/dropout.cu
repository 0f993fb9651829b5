/*
 * Dropout by the rule that cpu/dropout.c states: elements 4 j .. 4 j + 3 of an image take the four words of Philox at the counter
 * (j, layer, position low, position high). A thread makes the words of one j and uses them at once, so no mask is stored.
 */
extern "C" {
#include "base/random.h"
}

#include "backend/cuda/each.cuh"
#include "backend/cuda/philox.cuh"

enum { THREADS = 256, MOST_IMAGES = 65535 /* a grid's height */ };

struct dropout_rule {
    uint2 key;               /* of (seed, RANDOM_DROPOUT) */
    unsigned layer;          /* the counter's second word */
    unsigned threshold;      /* an element is kept where its word is at least this */
    float factor;            /* of what is kept */
    uint64_t first_position; /* of the first image */
};

/* x, y (n, image). ALIGNED: four elements begin at a multiple of their size. Bytes per element: two elements, the minimum. */
template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(THREADS) dropout_kernel(const T *x, T *y, int n, size_t image, dropout_rule rule) {
    const size_t quad = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x, first = 4 * quad;
    if (first >= image) return;
    for (int i = static_cast<int>(blockIdx.y); i < n; i += static_cast<int>(gridDim.y)) {
        const uint64_t position = rule.first_position + static_cast<uint64_t>(i);
        const uint4 words = philox(rule.key, make_uint4(static_cast<unsigned>(quad), rule.layer, static_cast<unsigned>(position),
                                                        static_cast<unsigned>(position >> 32)));
        const unsigned word[4] = {words.x, words.y, words.z, words.w};
        const size_t at = static_cast<size_t>(i) * image + first;
        if (ALIGNED) {
            lanes<4> value = quad_load(x + at);
#pragma unroll
            for (int k = 0; k < 4; k++) value.x[k] = word[k] >= rule.threshold ? value.x[k] * rule.factor : 0.0f;
            quad_store(y + at, value);
        } else {
#pragma unroll
            for (unsigned k = 0; k < 4; k++)
                if (first + k < image) element_store(y + at + k, word[k] >= rule.threshold ? element_load(x + at + k) * rule.factor : 0.0f);
        }
    }
}

template <typename T> static void dropout_launch(backend *be, const T *x, T *y, int n, size_t image, const dropout_rule &rule) {
    const size_t quads = (image + 3) / 4;
    const int threads = quads < THREADS ? static_cast<int>((quads + CUDA_WARP - 1) / CUDA_WARP * CUDA_WARP) : THREADS;
    const dim3 grid(blocks_for(quads, threads), static_cast<unsigned>(n < MOST_IMAGES ? n : MOST_IMAGES));
    if (image % 4 == 0 && aligned_to(4 * sizeof(T), x, y))
        CUDA_LAUNCH(be, "dropout", (dropout_kernel<T, true>), grid, static_cast<unsigned>(threads), 0, x, y, n, image, rule);
    else
        CUDA_LAUNCH(be, "dropout", (dropout_kernel<T, false>), grid, static_cast<unsigned>(threads), 0, x, y, n, image, rule);
}

void cuda_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y) {
    const size_t image = static_cast<size_t>(x->h) * static_cast<size_t>(x->w) * static_cast<size_t>(x->c);
    if (x->n == 0 || image == 0) return;
    const random_stream stream = random_open(seed, RANDOM_DROPOUT, first_position);
    dropout_rule rule;
    rule.key = make_uint2(stream.key[0], stream.key[1]);
    rule.layer = layer;
    rule.threshold = static_cast<unsigned>(rate * 4294967296.0);
    rule.factor = static_cast<float>(1.0 / (1.0 - rate));
    rule.first_position = first_position;
    if (x->type == BF16)
        dropout_launch(be, static_cast<const __nv_bfloat16 *>(x->data), static_cast<__nv_bfloat16 *>(y->data), x->n, image, rule);
    else
        dropout_launch(be, static_cast<const float *>(x->data), static_cast<float *>(y->data), x->n, image, rule);
}
