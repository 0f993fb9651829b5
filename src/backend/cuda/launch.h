/*
 * How kernels are started, and how they get shared memory whose size is known at launch only. Under nvcc both are plain CUDA. Compiled by
 * another C++ compiler the same sources are executed on the CPU by the simulator in tests/cuda/sim, whose header the build includes first;
 * this is the only file of the product that knows of it.
 */
#ifndef BACKEND_CUDA_LAUNCH_H
#define BACKEND_CUDA_LAUNCH_H

#include <cuda_runtime.h>

/* kernel: a __global__ function, in parentheses where it is a template's. shared: bytes of EN_DYN_SHARED. */
#ifdef __CUDACC__
#define EN_LAUNCH(kernel, grid, block, shared, stream, ...) (kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#define EN_DYN_SHARED(T, name)                                                                                                             \
    extern __shared__ __align__(16) unsigned char en_dyn_shared[];                                                                         \
    T *const name = reinterpret_cast<T *>(en_dyn_shared)
#else
#define EN_LAUNCH(kernel, grid, block, shared, stream, ...) cusim::launch(#kernel, kernel, (grid), (block), (shared), (stream), __VA_ARGS__)
#define EN_DYN_SHARED(T, name) T *const name = static_cast<T *>(cusim_dyn_shared())
#endif

#endif
