/*
 * Images as the network takes them, from their bytes. A byte has 256 values: each one's number is worked out by the host, in float64 and
 * once a channel as the CPU does it, so both backends have the same bits, and the kernel needs no float64, of which many GPUs have little.
 */
#include "backend/cuda/each.cuh"

enum { RGB = 3, BYTES = 256, THREADS = 256, ROUNDS = 6, TILE = THREADS * ROUNDS * 4 };
static_assert(TILE % RGB == 0 && THREADS % RGB == 1, "the channel that a thread's bytes begin with is found from these");

struct byte_values {
    float of[RGB][BYTES];
};

/*
 * A block takes TILE bytes, a thread four of them at a time: a word read, 16 or 8 bytes written. Bytes per element: one and the output's,
 * the minimum; besides them 3 KB of values a block, which are kernel parameters. x, y (count).
 */
template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(THREADS) normalise_kernel(const uint8_t *x, byte_values values, T *y, size_t count) {
    __shared__ float value[RGB * BYTES];
#pragma unroll
    for (int c = 0; c < RGB; c++) value[c * BYTES + static_cast<int>(threadIdx.x)] = values.of[c][threadIdx.x];
    __syncthreads();
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t first = static_cast<size_t>(blockIdx.x) * TILE + (round * THREADS + threadIdx.x) * 4;
        const unsigned channel = (round + threadIdx.x) % RGB;
        if (ALIGNED && first + 4 <= count) {
            const unsigned word = *reinterpret_cast<const unsigned *>(x + first);
            lanes<4> out;
#pragma unroll
            for (unsigned k = 0; k < 4; k++) out.x[k] = value[(channel + k) % RGB * BYTES + (word >> (8 * k) & 0xFFu)];
            quad_store(y + first, out);
        } else {
            for (unsigned k = 0; k < 4 && first + k < count; k++)
                element_store(y + first + k, value[(channel + k) % RGB * BYTES + x[first + k]]);
        }
    }
}

template <typename T> static void normalise_launch(backend *be, const uint8_t *x, const byte_values &values, T *y, size_t count) {
    if (aligned_to(4, x) && aligned_to(4 * sizeof(T), y))
        CUDA_LAUNCH(be, "normalise", (normalise_kernel<T, true>), blocks_for(count, TILE), THREADS, 0, x, values, y, count);
    else
        CUDA_LAUNCH(be, "normalise", (normalise_kernel<T, false>), blocks_for(count, TILE), THREADS, 0, x, values, y, count);
}

void cuda_normalise(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y) {
    const size_t count = tensor_count(y);
    if (count == 0) return;
    byte_values values;
    for (int c = 0; c < RGB; c++) {
        const double factor = 1.0 / (255.0 * std[c]), offset = -mean[c] / std[c];
        for (int i = 0; i < BYTES; i++) values.of[c][i] = static_cast<float>(i * factor + offset);
    }
    if (y->type == BF16)
        normalise_launch(be, x, values, static_cast<__nv_bfloat16 *>(y->data), count);
    else
        normalise_launch(be, x, values, static_cast<float *>(y->data), count);
}
