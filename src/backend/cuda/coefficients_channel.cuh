/*
 * A thread a channel, or a number of the ratios' network, and sums over images: blocks of 32 channels by as many strands as there are
 * images, up to eight; a strand takes every eighth image, and the strands are added up in their order.
 */
#ifndef BACKEND_CUDA_COEFFICIENTS_CHANNEL_CUH
#define BACKEND_CUDA_COEFFICIENTS_CHANNEL_CUH

#include "backend/cuda/coefficients.cuh"

enum { CHANNEL_STRANDS = 8, CHANNEL_THREADS = CUDA_WARP * CHANNEL_STRANDS };

static inline dim3 channel_block(int images) {
    int strands = 1;
    while (strands < CHANNEL_STRANDS && strands < images) strands *= 2;
    return dim3(CUDA_WARP, static_cast<unsigned>(strands));
}

static inline unsigned channel_blocks(int c) {
    return blocks_for(static_cast<size_t>(c), CUDA_WARP);
}

/* Of the block's dynamic memory: one double a thread. */
static inline size_t channel_shared(int images) {
    const dim3 block = channel_block(images);
    return block.x * block.y * sizeof(double);
}

/* The strands' numbers of a column added up, on the column's first thread; the others' are left alone. shared: one double a thread. */
static __device__ inline double strand_sum(double x, double *shared) {
    const unsigned column = threadIdx.x;
    if (blockDim.y == 1) return x;
    shared[threadIdx.y * CUDA_WARP + column] = x;
    __syncthreads();
    if (threadIdx.y == 0)
        for (unsigned strand = 1; strand < blockDim.y; strand++) x += shared[strand * CUDA_WARP + column];
    __syncthreads();
    return x;
}

#endif
