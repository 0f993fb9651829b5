/*
 * What kernels share: elements of both types as floats, one or a vector (16 bytes) at a time, sums over a block in a fixed order, and the
 * launch that keeps a failure. Maps are (rows, C) with C innermost.
 */
#ifndef BACKEND_CUDA_KERNELS_CUH
#define BACKEND_CUDA_KERNELS_CUH

#include <cuda_bf16.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/launch.h"

/* Launch on the backend's stream; operation: a name for the message should it fail. */
#define CUDA_LAUNCH(be, operation, kernel, grid, block, shared, ...)                                                                       \
    do {                                                                                                                                   \
        EN_LAUNCH(kernel, grid, block, shared, cuda_stream(be), __VA_ARGS__);                                                              \
        cuda_check(be, cudaGetLastError(), operation);                                                                                     \
        cuda_pace(be);                                                                                                                     \
    } while (0)

enum { CUDA_WARP = 32 };

/* ---- elements ---- */

static __device__ inline float element_load(const float *p) {
    return *p;
}

static __device__ inline float element_load(const __nv_bfloat16 *p) {
    return __bfloat162float(*p);
}

static __device__ inline void element_store(float *p, float x) {
    *p = x;
}

/* To the nearest, ties to even, as dtype.h does. */
static __device__ inline void element_store(__nv_bfloat16 *p, float x) {
    *p = __float2bfloat16_rn(x);
}

/* Two floats as two bfloat16, the first in the lower half; and back. */
static __device__ inline unsigned bfloat16_pair(float first, float second) {
    return static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(first))) |
           static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(second))) << 16;
}

static __device__ inline void bfloat16_unpair(unsigned pair, float &first, float &second) {
    first = __uint_as_float(pair << 16);
    second = __uint_as_float(pair & 0xFFFF0000u);
}

/* V elements that one thread takes together. */
template <int V> struct lanes { float x[V]; };

/* As many elements as 16 bytes hold. */
template <typename T> struct vector_of { static constexpr int length = 16 / static_cast<int>(sizeof(T)); };

/* Whether maps at these places with this many channels can be taken in vectors. */
template <typename T>
static inline bool vectors_fit(size_t elements, const void *a, const void *b = nullptr, const void *c = nullptr, const void *d = nullptr) {
    const uintptr_t places =
        reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(c) | reinterpret_cast<uintptr_t>(d);
    return elements % static_cast<size_t>(vector_of<T>::length) == 0 && places % 16 == 0;
}

template <int V> static __device__ inline lanes<V> lanes_load(const float *p) {
    lanes<V> out;
    if constexpr (V == 4) {
        const float4 raw = *reinterpret_cast<const float4 *>(p);
        out.x[0] = raw.x, out.x[1] = raw.y, out.x[2] = raw.z, out.x[3] = raw.w;
    } else {
        static_assert(V == 1, "floats are taken one or four at a time");
        out.x[0] = *p;
    }
    return out;
}

template <int V> static __device__ inline lanes<V> lanes_load(const __nv_bfloat16 *p) {
    lanes<V> out;
    if constexpr (V == 8) {
        const uint4 raw = *reinterpret_cast<const uint4 *>(p);
        const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) bfloat16_unpair(words[i], out.x[2 * i], out.x[2 * i + 1]);
    } else {
        static_assert(V == 1, "bfloat16 are taken one or eight at a time");
        out.x[0] = element_load(p);
    }
    return out;
}

template <int V> static __device__ inline void lanes_store(float *p, const lanes<V> &v) {
    if constexpr (V == 4)
        *reinterpret_cast<float4 *>(p) = make_float4(v.x[0], v.x[1], v.x[2], v.x[3]);
    else
        *p = v.x[0];
}

template <int V> static __device__ inline void lanes_store(__nv_bfloat16 *p, const lanes<V> &v) {
    if constexpr (V == 8) {
        unsigned words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) words[i] = bfloat16_pair(v.x[2 * i], v.x[2 * i + 1]);
        *reinterpret_cast<uint4 *>(p) = make_uint4(words[0], words[1], words[2], words[3]);
    } else {
        element_store(p, v.x[0]);
    }
}

/* ---- sums ---- */

template <typename T> static __device__ inline T warp_sum(T x) {
#pragma unroll
    for (int offset = CUDA_WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xFFFFFFFFu, x, offset);
    return x;
}

/*
 * The sum of x over a block of whole warps (at most 32), the same on every thread. shared: one T a warp; it may be used again after the
 * next barrier.
 */
template <typename T> static __device__ inline T block_sum(T x, T *shared) {
    const int lane = static_cast<int>(threadIdx.x) % CUDA_WARP, warp = static_cast<int>(threadIdx.x) / CUDA_WARP;
    const int warps = static_cast<int>(blockDim.x) / CUDA_WARP;
    x = warp_sum(x);
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    T total = shared[0];
    for (int i = 1; i < warps; i++) total += shared[i];
    __syncthreads();
    return total;
}

/* Blocks of this many threads for count items. */
static inline unsigned blocks_for(size_t count, int threads) {
    return static_cast<unsigned>((count + static_cast<size_t>(threads) - 1) / static_cast<size_t>(threads));
}

#endif
