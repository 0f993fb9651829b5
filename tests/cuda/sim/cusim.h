/*
 * The device side of the simulator: what a kernel sees. The build includes this file first in every .cu file that it hands to the host's
 * C++ compiler. Types and prototypes are those of the real CUDA headers, which leave __global__ and __device__ empty under such a compiler;
 * what only nvcc knows (threadIdx, __syncthreads, shuffles, atomics, intrinsics) is defined here and in the cusim_*.h beside it.
 *
 * Kernels are compiled with the race checker's hooks in one kind of build, and these hooks know nothing of C++ atomics: nothing that uses
 * them (std::shared_ptr, std::function) may be included here.
 */
#ifndef CUSIM_H
#define CUSIM_H

#include <cuda_runtime.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmath>
#include <tuple>

/*
 * A kernel's static shared memory is a static variable, because the simulator runs one block at a time. shared.ld gathers these variables
 * in one section, so that they can be refilled with NaN before each block and watched by the race checker.
 */
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__

namespace cusim {

struct Current {
    uint3 thread;
    unsigned linear; /* place in the block */
};
extern Current *self;
extern uint3 block_index;
extern dim3 block_shape, grid_shape;

/* Arguments of a launch whose types nobody needs to know. */
struct Call {
    void (*run)(void *arguments);
    void (*destroy)(void *arguments);
    void *arguments;
    size_t bytes;
    const void *kernel; /* its address, which names it to cudaFuncSetAttribute */
};
void run(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, const Call &call);

/* Arguments are converted to the parameters' types and copied at the launch, as CUDA does. */
template <class... Parameters, class... Arguments>
void launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
            Arguments &&...arguments) {
    static_assert(sizeof...(Parameters) == sizeof...(Arguments), "a kernel is launched with as many arguments as it has parameters");
    struct Packed {
        void (*kernel)(Parameters...);
        std::tuple<Parameters...> values;
    };
    Call call;
    call.run = [](void *p) {
        Packed *packed = static_cast<Packed *>(p);
        std::apply(packed->kernel, packed->values);
    };
    call.destroy = [](void *p) { delete static_cast<Packed *>(p); };
    call.arguments = new Packed{kernel, std::tuple<Parameters...>(static_cast<Parameters>(arguments)...)};
    call.bytes = sizeof(Packed);
    call.kernel = reinterpret_cast<const void *>(kernel);
    run(name, grid, block, shared, stream, call);
}

} // namespace cusim

extern "C" {
void cusim_syncthreads(const char *file, int line);
void *cusim_dyn_shared(void);
}

#define threadIdx (cusim::self->thread)
#define blockIdx (cusim::block_index)
#define blockDim (cusim::block_shape)
#define gridDim (cusim::grid_shape)
constexpr int warpSize = 32;
#define __syncthreads() cusim_syncthreads(__FILE__, __LINE__)
/* One block at a time, one thread at a time: every write is visible at once. */
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)

/* The real header has these for nvcc only. */
template <class T> inline cudaError_t cudaFuncSetAttribute(T *kernel, cudaFuncAttribute attribute, int value) {
    return ::cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), attribute, value);
}
template <class T> inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, T *kernel) {
    return ::cudaFuncGetAttributes(attributes, reinterpret_cast<const void *>(kernel));
}

#include "cusim_atomic.h"
#include "cusim_math.h"
#include "cusim_warp.h"

#endif
