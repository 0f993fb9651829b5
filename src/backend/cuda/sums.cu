/*
 * What all elements come to, in two stages: each block leaves one number in scratch, one more block takes these in order. How many blocks
 * there are depends on the length alone, and the same elements meet the same thread whether they are aligned or not.
 */
#include <float.h>
#include <math.h>

#include "backend/cuda/each.cuh"

enum { THREADS = 256, WARPS = THREADS / CUDA_WARP, QUADS = 4 /* that a thread should have, until there are MOST_BLOCKS blocks */ };
static constexpr size_t MOST_BLOCKS = 1024;

static unsigned blocks_of(size_t elements) {
    const size_t tile = static_cast<size_t>(THREADS) * QUADS * 4, blocks = (elements + tile - 1) / tile;
    return static_cast<unsigned>(blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS);
}

/* ---- sum of squares ---- */

/* Of elements first .. first+3, or as many of them as there are. */
template <bool ALIGNED> static __device__ inline double quad_squares(const float *x, size_t first, size_t elements) {
    lanes<4> value;
    if (ALIGNED && first + 4 <= elements) {
        value = quad_load(x + first);
    } else {
#pragma unroll
        for (unsigned k = 0; k < 4; k++) value.x[k] = first + k < elements ? x[first + k] : 0.0f;
    }
    const double a = value.x[0], b = value.x[1], c = value.x[2], d = value.x[3];
    return (a * a + b * b) + (c * c + d * d);
}

/* x (elements), partial (blocks). Bytes per element: 4, the minimum. */
template <bool ALIGNED> static __global__ void __launch_bounds__(THREADS) squares_kernel(const float *x, size_t elements, double *partial) {
    __shared__ double shared[WARPS];
    const size_t stride = static_cast<size_t>(gridDim.x) * THREADS * 4;
    double sum = 0.0;
#pragma unroll 4
    for (size_t i = (static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x) * 4; i < elements; i += stride)
        sum += quad_squares<ALIGNED>(x, i, elements);
    const double total = block_sum(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

/* One block. partial (count), sum (1). */
static __global__ void __launch_bounds__(THREADS) squares_finish_kernel(const double *partial, unsigned count, double *sum) {
    __shared__ double shared[WARPS];
    double own = 0.0;
    for (unsigned i = threadIdx.x; i < count; i += THREADS) own += partial[i];
    const double total = block_sum(own, shared);
    if (threadIdx.x == 0) *sum += total;
}

void cuda_sum_squares(backend *be, const float *x, size_t elements, double *sum) {
    if (elements == 0) return;
    const unsigned blocks = blocks_of(elements);
    double *partial = static_cast<double *>(cuda_scratch(be));
    if (aligned_to(16, x))
        CUDA_LAUNCH(be, "sum_squares", squares_kernel<true>, blocks, THREADS, 0, x, elements, partial);
    else
        CUDA_LAUNCH(be, "sum_squares", squares_kernel<false>, blocks, THREADS, 0, x, elements, partial);
    CUDA_LAUNCH(be, "sum_squares", squares_finish_kernel, 1, THREADS, 0, partial, blocks, sum);
}

/* ---- the first element that is not finite ---- */

static const int64_t NOWHERE = INT64_MAX;

static __device__ inline bool nonfinite(float x) {
    return !(fabsf(x) <= FLT_MAX);
}

static __device__ inline int64_t block_min(int64_t x, long long *shared) {
    const unsigned lane = threadIdx.x % CUDA_WARP;
    long long least = x;
#pragma unroll
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) {
        const long long other = __shfl_xor_sync(0xFFFFFFFFu, least, offset);
        least = other < least ? other : least;
    }
    if (lane == 0) shared[threadIdx.x / CUDA_WARP] = least;
    __syncthreads();
    for (int i = 0; i < WARPS; i++) least = shared[i] < least ? shared[i] : least;
    return least;
}

/* x (elements), where (blocks): NOWHERE or an index. Bytes per element: one element, the minimum. */
template <typename T, int V>
static __global__ void __launch_bounds__(THREADS) nonfinite_kernel(const T *x, size_t elements, int64_t *where) {
    __shared__ long long shared[WARPS];
    const size_t stride = static_cast<size_t>(gridDim.x) * THREADS * V;
    int64_t least = NOWHERE;
    for (size_t i = (static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x) * V; i < elements && least == NOWHERE; i += stride) {
        const lanes<V> value = lanes_load<V>(x + i);
#pragma unroll
        for (int k = V - 1; k >= 0; k--)
            if (nonfinite(value.x[k])) least = static_cast<int64_t>(i) + k;
    }
    least = block_min(least, shared);
    if (threadIdx.x == 0) where[blockIdx.x] = least;
}

/* One block. where (count), first (1): the least of them, or -1. */
static __global__ void __launch_bounds__(THREADS) nonfinite_finish_kernel(const int64_t *where, unsigned count, int64_t *first) {
    __shared__ long long shared[WARPS];
    int64_t least = NOWHERE;
    for (unsigned i = threadIdx.x; i < count; i += THREADS) least = where[i] < least ? where[i] : least;
    least = block_min(least, shared);
    if (threadIdx.x == 0) *first = least == NOWHERE ? -1 : least;
}

template <typename T> static void nonfinite_launch(backend *be, const void *data, size_t elements, int64_t *where, unsigned blocks) {
    constexpr int V = vector_of<T>::length;
    const T *x = static_cast<const T *>(data);
    if (vectors_fit<T>(elements, x))
        CUDA_LAUNCH(be, "find_nonfinite", (nonfinite_kernel<T, V>), blocks, THREADS, 0, x, elements, where);
    else
        CUDA_LAUNCH(be, "find_nonfinite", (nonfinite_kernel<T, 1>), blocks, THREADS, 0, x, elements, where);
}

int64_t cuda_find_nonfinite(backend *be, const void *x, size_t elements, dtype type) {
    if (elements == 0) return -1;
    const unsigned blocks = blocks_of(elements);
    int64_t *first = static_cast<int64_t *>(cuda_scratch(be)), *where = first + 1, found = -1;
    (type == BF16 ? nonfinite_launch<__nv_bfloat16> : nonfinite_launch<float>)(be, x, elements, where, blocks);
    CUDA_LAUNCH(be, "find_nonfinite", nonfinite_finish_kernel, 1, THREADS, 0, where, blocks, first);
    be->ops->download(be, &found, first, sizeof found);
    return found;
}
