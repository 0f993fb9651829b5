/*
 * Faults in kernels, each beside the same kernel without it: planted NAME runs the faulty one, planted NAME good the other. What must be
 * said to which of them in which kind of build is in run.sh.
 */
#include "backend/cuda/launch.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

enum { N = 256, FULL = 0xffffffff };

/* Each thread's neighbour through shared memory. */
template <bool bad> static __global__ void barrier(float *out) {
    __shared__ float tile[N];
    tile[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (!bad) __syncthreads();
    out[threadIdx.x] = tile[(threadIdx.x + 37) % N];
}

/* The next round overwrites what others still read. */
template <bool bad> static __global__ void second_barrier(float *out) {
    __shared__ float tile[N];
    float sum = 0;
    for (int round = 0; round < 3; round++) {
        tile[threadIdx.x] = static_cast<float>(round);
        __syncthreads();
        sum += tile[(threadIdx.x + 100) % N];
        if (!bad) __syncthreads();
    }
    out[threadIdx.x] = sum;
}

/* Counting without an atomic: right when threads run one after the other, wrong on a device. */
template <bool bad> static __global__ void atomic(float *out) {
    __shared__ unsigned counts[8];
    if (threadIdx.x < 8) counts[threadIdx.x] = 0;
    __syncthreads();
    if (bad)
        counts[threadIdx.x % 8]++;
    else
        atomicAdd(&counts[threadIdx.x % 8], 1);
    __syncthreads();
    if (threadIdx.x < 8) out[threadIdx.x] = static_cast<float>(counts[threadIdx.x]);
}

/* Warps and blocks add to the same place. */
template <bool bad> static __global__ void unordered_sum(float *out) {
    float sum = 1;
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(FULL, sum, offset);
    const unsigned warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (threadIdx.x % 32 != 0) return;
    if (bad)
        *out += sum;
    else
        out[warp] = sum;
}

/* Two blocks, one warp each: only the order of blocks is missing. */
template <bool bad> static __global__ void between_blocks(float *out) {
    if (threadIdx.x == 0) out[bad ? 0 : blockIdx.x] = 1;
}

template <bool bad> static __global__ void device_overrun(float *out, unsigned n) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (bad ? i > n : i >= n) return;
    out[i] = 1;
}

template <bool bad> static __global__ void device_overread(float *out, const float *in, unsigned n) {
    const unsigned i = threadIdx.x;
    if (i < n) out[i] = in[bad ? i + 1 : i];
}

template <bool bad> static __global__ void dynamic_overrun(float *out) {
    EN_DYN_SHARED(float, tile);
    tile[threadIdx.x + (bad ? 1 : 0)] = 1;
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x];
}

template <bool bad> static __global__ void static_overrun(float *out) {
    __shared__ float tile[N];
    tile[threadIdx.x + (bad ? 1 : 0)] = 1;
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x];
}

template <bool bad> static __global__ void divergent(float *out) {
    if (bad && threadIdx.x < 32) {
        __syncthreads();
        out[threadIdx.x] = 1;
    } else {
        out[threadIdx.x] = 2;
        __syncthreads();
    }
}

template <bool bad> static __global__ void early_return(float *out) {
    if (bad && threadIdx.x % 32 > 20) return;
    out[threadIdx.x] = __shfl_down_sync(FULL, 1.0f, 1);
}

/* Half of the block never comes to the barrier, and does not end either. */
template <bool bad> static __global__ void deadlock(float *out) {
    if (bad && threadIdx.x % 32 < 16)
        __syncwarp(0x0001ffffu);
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

/* Lanes of a warp exchange through memory as if they ran in step. */
template <bool bad> static __global__ void warp_sync(float *out) {
    __shared__ float tile[32];
    tile[threadIdx.x % 32] = 1;
    if (!bad) __syncwarp();
    out[threadIdx.x] = tile[(threadIdx.x + 1) % 32];
}

/* A shuffle makes lanes meet, but promises nothing about memory. */
template <bool bad> static __global__ void shuffle_is_no_fence(float *out) {
    __shared__ float tile[32];
    tile[threadIdx.x] = 1;
    const float one = __shfl_sync(FULL, 1.0f, 0);
    if (!bad) __syncwarp();
    out[threadIdx.x] = tile[(threadIdx.x + 1) % 32] + one;
}

/* Eight bytes written at once, four of them read as two halves: sizes differ, the bytes are the same. */
template <bool bad> static __global__ void mixed_sizes(float *out) {
    __shared__ __align__(8) unsigned short tile[4 * 64];
    reinterpret_cast<float2 *>(tile)[threadIdx.x] = make_float2(1, 1);
    if (!bad) __syncthreads();
    out[threadIdx.x] = static_cast<float>(tile[(4 * threadIdx.x + 135) % 256]);
}

template <bool bad> static __global__ void host_pointer(float *out, const float *host, const float *device) {
    out[threadIdx.x] = bad ? host[threadIdx.x] : device[threadIdx.x];
}

template <bool bad> static __global__ void wild_pointer(float *out) {
    float *p = bad ? out + (static_cast<size_t>(1) << 40) : out;
    p[threadIdx.x] = 1;
}

/* Memory that nobody has written is NaN, in templates too. */
template <bool bad> static __global__ void uninitialised(float *out) {
    __shared__ float tile[N];
    if (!bad || blockDim.x != N) tile[threadIdx.x] = 1; /* never bad: a variable that no code writes would be a constant */
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x];
}

static float *device_floats(size_t n) {
    void *p = nullptr;
    if (cudaMalloc(&p, n * sizeof(float)) != cudaSuccess) std::exit(2);
    cudaMemset(p, 0, n * sizeof(float));
    return static_cast<float *>(p);
}

#define CASE(kernel, grid, block, shared, ...)                                                                                             \
    if (std::strcmp(name, #kernel) == 0) {                                                                                                 \
        if (good)                                                                                                                          \
            EN_LAUNCH((kernel<false>), grid, block, shared, nullptr, __VA_ARGS__);                                                         \
        else                                                                                                                               \
            EN_LAUNCH((kernel<true>), grid, block, shared, nullptr, __VA_ARGS__);                                                          \
        found = true;                                                                                                                      \
    }

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *name = argv[1];
    const bool good = argc > 2;
    bool found = false;
    float *out = device_floats(N), *in = device_floats(N);
    float *host = static_cast<float *>(std::calloc(N, sizeof(float)));
    CASE(barrier, 1, N, 0, out)
    CASE(second_barrier, 1, N, 0, out)
    CASE(atomic, 1, N, 0, out)
    CASE(unordered_sum, 2, 64, 0, out)
    CASE(between_blocks, 2, 32, 0, out)
    CASE(device_overrun, 5, 64, 0, out, N)
    CASE(device_overread, 1, N, 0, out, in, N)
    CASE(dynamic_overrun, 1, N, N * sizeof(float), out)
    CASE(static_overrun, 1, N, 0, out)
    CASE(divergent, 1, 64, 0, out)
    CASE(early_return, 1, 64, 0, out)
    CASE(deadlock, 1, 64, 0, out)
    CASE(warp_sync, 1, 32, 0, out)
    CASE(shuffle_is_no_fence, 1, 32, 0, out)
    CASE(mixed_sizes, 1, 64, 0, out)
    CASE(host_pointer, 1, 64, 0, out, host, in)
    CASE(uninitialised, 1, N, 0, out)
    CASE(wild_pointer, 1, 64, 0, out)
    if (std::strcmp(name, "host_touch") == 0) {
        found = true;
        cudaDeviceSynchronize();
        std::printf("%g\n", static_cast<double>(good ? *host : *out));
    }
    if (!found) return 2;
    if (cudaDeviceSynchronize() != cudaSuccess || cudaGetLastError() != cudaSuccess) return 3;

    float result[N];
    cudaMemcpy(result, out, sizeof result, cudaMemcpyDeviceToHost);
    bool finite = true;
    for (float x : result) finite = finite && std::isfinite(x);
    std::printf(finite ? "numbers\n" : "NaN\n");
    cudaFree(out);
    cudaFree(in);
    std::free(host);
    return 0;
}
