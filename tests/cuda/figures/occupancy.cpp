/*
 * Blocks a multiprocessor of an A100 and an H100 holds at once, by NVIDIA's own calculator. Reads lines "sm registers static_shared
 * dynamic_shared threads" and answers each with "blocks threads_in_all most_threads what_limits".
 */
#include <cuda_occupancy.h>

#include <cstdio>

/* sm 80: A100; 90: H100 (CUDA C++ Programming Guide, technical specifications per compute capability). */
static cudaOccDeviceProp device(int sm) {
    cudaOccDeviceProp p;
    p.computeMajor = sm / 10;
    p.computeMinor = sm % 10;
    p.maxThreadsPerBlock = 1024;
    p.maxThreadsPerMultiprocessor = 2048;
    p.regsPerBlock = 65536;
    p.regsPerMultiprocessor = 65536;
    p.warpSize = 32;
    p.sharedMemPerBlock = 48 << 10;
    p.sharedMemPerMultiprocessor = static_cast<size_t>(sm == 80 ? 164 : 228) << 10;
    p.sharedMemPerBlockOptin = static_cast<size_t>(sm == 80 ? 163 : 227) << 10;
    p.reservedSharedMemPerBlock = 1 << 10;
    p.numSms = sm == 80 ? 108 : 132;
    return p;
}

static const char *limit(unsigned factors) {
    if (factors & OCC_LIMIT_REGISTERS) return "registers";
    if (factors & OCC_LIMIT_SHARED_MEMORY) return "shared";
    if (factors & OCC_LIMIT_BLOCKS) return "blocks";
    return "threads";
}

int main() {
    int sm, registers, threads;
    size_t fixed, dynamic;
    while (std::scanf("%d %d %zu %zu %d", &sm, &registers, &fixed, &dynamic, &threads) == 5) {
        const cudaOccDeviceProp properties = device(sm);
        const cudaOccDeviceState state;
        cudaOccFuncAttributes kernel;
        kernel.maxThreadsPerBlock = 1024;
        kernel.numRegs = registers;
        kernel.sharedSizeBytes = fixed;
        kernel.maxDynamicSharedSizeBytes = properties.sharedMemPerBlock - fixed;
        kernel.numBlockBarriers = 1;
        cudaOccResult result;
        if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &properties, &kernel, &state, threads, dynamic) != CUDA_OCC_SUCCESS) return 1;
        const int blocks = result.activeBlocksPerMultiprocessor;
        std::printf("%d %d %d %s\n", blocks, blocks * ((threads + 31) / 32 * 32), properties.maxThreadsPerMultiprocessor,
                    limit(result.limitingFactors));
    }
    return 0;
}
