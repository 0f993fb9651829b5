/*
 * Operations that treat every element alike. A structure with the operation's pointers has apply<V>(i), which takes elements i .. i+V-1;
 * here a thread is found for each V of them, and for each of the few that are left over. V is 1 where the pointers are not aligned.
 */
#ifndef BACKEND_CUDA_EACH_CUH
#define BACKEND_CUDA_EACH_CUH

#include "backend/cuda/kernels.cuh"

enum { EACH_THREADS = 256 };

template <int V, typename Operation>
static __global__ void __launch_bounds__(EACH_THREADS) each_kernel(Operation operation, size_t vectors, size_t elements) {
    const size_t i = static_cast<size_t>(blockIdx.x) * EACH_THREADS + threadIdx.x;
    if (i < vectors) {
        operation.template apply<V>(i * V);
    } else {
        const size_t single = vectors * V + (i - vectors);
        if (single < elements) operation.template apply<1>(single);
    }
}

/* name: for a failure's message. aligned: whether the operation's vectors of V elements are. */
template <int V, typename Operation>
static void each_launch(backend *be, const char *name, const Operation &operation, size_t elements, bool aligned) {
    if (elements == 0) return;
    const size_t vectors = elements / V, threads = aligned ? vectors + elements % V : elements;
    if (aligned)
        CUDA_LAUNCH(be, name, (each_kernel<V, Operation>), blocks_for(threads, EACH_THREADS), EACH_THREADS, 0, operation, vectors,
                    elements);
    else
        CUDA_LAUNCH(be, name, (each_kernel<1, Operation>), blocks_for(threads, EACH_THREADS), EACH_THREADS, 0, operation, elements,
                    elements);
}

/* Whether all of these are multiples of so many bytes. */
static inline bool aligned_to(size_t bytes, const void *a, const void *b = nullptr, const void *c = nullptr) {
    return ((reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(c)) & (bytes - 1)) == 0;
}

/* The element as its type keeps it. */
template <typename T> static __device__ inline float as_stored(float x) {
    if constexpr (sizeof(T) == sizeof(float))
        return x;
    else
        return __bfloat162float(__float2bfloat16_rn(x));
}

/* ---- four elements of either type: what belongs together where one thread reads one type and writes the other ---- */

static __device__ inline lanes<4> quad_load(const float *p) {
    return lanes_load<4>(p);
}

static __device__ inline lanes<4> quad_load(const __nv_bfloat16 *p) {
    const uint2 raw = *reinterpret_cast<const uint2 *>(p);
    lanes<4> out;
    bfloat16_unpair(raw.x, out.x[0], out.x[1]);
    bfloat16_unpair(raw.y, out.x[2], out.x[3]);
    return out;
}

static __device__ inline void quad_store(float *p, const lanes<4> &v) {
    lanes_store<4>(p, v);
}

static __device__ inline void quad_store(__nv_bfloat16 *p, const lanes<4> &v) {
    *reinterpret_cast<uint2 *>(p) = make_uint2(bfloat16_pair(v.x[0], v.x[1]), bfloat16_pair(v.x[2], v.x[3]));
}

#endif
