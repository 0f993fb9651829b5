/* Philox4x32-10 on the device: the numbers of random_philox in base/random.c. */
#ifndef BACKEND_CUDA_PHILOX_CUH
#define BACKEND_CUDA_PHILOX_CUH

#include <cuda_runtime.h>
#include <stdint.h>

/* The four 32-bit numbers of one counter under one key. */
static __device__ inline uint4 philox(uint2 key, uint4 counter) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * counter.x;
        const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * counter.z;
        counter = make_uint4(static_cast<unsigned>(p1 >> 32) ^ counter.y ^ key.x, static_cast<unsigned>(p1),
                             static_cast<unsigned>(p0 >> 32) ^ counter.w ^ key.y, static_cast<unsigned>(p0));
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    return counter;
}

#endif
