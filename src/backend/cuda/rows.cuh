/*
 * Launch shapes of kernels that go over the rows of maps: where one thread takes an item of a row (a few channels of one pixel) and blocks
 * go downwards, and where the threads of a block share out channels (lanes) and pixels (slots). All of it follows from shapes alone.
 */
#ifndef BACKEND_CUDA_ROWS_CUH
#define BACKEND_CUDA_ROWS_CUH

#include "backend/cuda/kernels.cuh"

static constexpr int ROWS_THREADS = 256;       /* the most threads of a block */
static constexpr int ROWS_MOST_DOWN = 65535;   /* the most blocks along y */
static constexpr size_t ROWS_ENOUGH = 1 << 18; /* threads that fill a large GPU: work is not split further */

/* Threads for so many items: whole warps, at most ROWS_THREADS. */
static inline unsigned row_threads(size_t items) {
    const unsigned most = ROWS_THREADS;
    return items >= most ? most : blocks_for(items, CUDA_WARP) * CUDA_WARP;
}

/* Blocks for rows of so many items each; kernels go on from row y to row y + gridDim.y. */
static inline dim3 row_grid(int rows, size_t items) {
    return dim3(blocks_for(items, static_cast<int>(row_threads(items))),
                static_cast<unsigned>(rows < ROWS_MOST_DOWN ? rows : ROWS_MOST_DOWN));
}

/* The smallest power of two that is no less than count, but at most `most`, a power of two. */
static inline int power_of_two(size_t count, int most) {
    int power = 1;
    while (power < most && static_cast<size_t>(power) < count) power *= 2;
    return power;
}

/* This thread's item of a row. */
static __device__ inline int row_item() {
    return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

#endif
