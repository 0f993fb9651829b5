/*
 * The bias of a convolution. It is added by threads that go along the map without regard to rows, and its gradient is a sum over rows in
 * two stages: blocks of 32 channels by a range of rows leave float64 sums in scratch, which are then added in the rows' order.
 */
#include "backend/cuda/each.cuh"

enum {
    THREADS = 256,
    ADD_ROUNDS = 4, /* vectors that a thread takes, of which only the first one's channel costs a division */
    SUM_LANES = 8,  /* warps of a block, which take rows in turn */
    RUN = 32,       /* rows whose sum a warp keeps in float32 */
    FINISH_LANES = 16
};
static constexpr size_t MOST_CHUNKS = 512;

/* ---- adding ---- */

/* y (elements / c, c), bias (c). Bytes per element: two elements, the minimum. */
template <typename T, int V>
static __global__ void __launch_bounds__(THREADS) bias_add_kernel(T *y, size_t elements, unsigned c, const float *__restrict__ bias) {
    const unsigned step = THREADS * V % c;
    size_t first = (static_cast<size_t>(blockIdx.x) * ADD_ROUNDS * THREADS + threadIdx.x) * V;
    unsigned channel = static_cast<unsigned>(first % c);
    for (int round = 0; round < ADD_ROUNDS && first < elements; round++, first += THREADS * V) {
        unsigned at = channel;
        if (first + V <= elements) {
            lanes<V> value = lanes_load<V>(y + first);
#pragma unroll
            for (int k = 0; k < V; k++) {
                value.x[k] += bias[at];
                at = at + 1 == c ? 0 : at + 1;
            }
            lanes_store<V>(y + first, value);
        } else {
            for (size_t i = first; i < elements; i++) {
                element_store(y + i, element_load(y + i) + bias[at]);
                at = at + 1 == c ? 0 : at + 1;
            }
        }
        channel += step;
        if (channel >= c) channel -= c;
    }
}

template <typename T> static void bias_add_launch(backend *be, void *data, size_t elements, int c, const float *bias) {
    constexpr int V = vector_of<T>::length;
    T *y = static_cast<T *>(data);
    const unsigned channels = static_cast<unsigned>(c);
    if (aligned_to(16, y))
        CUDA_LAUNCH(be, "bias_add", (bias_add_kernel<T, V>), blocks_for(elements, ADD_ROUNDS * THREADS * V), THREADS, 0, y, elements,
                    channels, bias);
    else
        CUDA_LAUNCH(be, "bias_add", (bias_add_kernel<T, 1>), blocks_for(elements, ADD_ROUNDS * THREADS), THREADS, 0, y, elements, channels,
                    bias);
}

void cuda_bias_add(backend *be, void *y, size_t rows, int c, dtype type, const float *bias) {
    const size_t elements = rows * static_cast<size_t>(c);
    if (elements == 0) return;
    (type == BF16 ? bias_add_launch<__nv_bfloat16> : bias_add_launch<float>)(be, y, elements, c, bias);
}

/* ---- its gradient ---- */

/*
 * A warp takes 32 channels of every SUM_LANES'th row of its block's chunk of rows, in runs of RUN rows that are added in float32. dy
 * (rows, c), partial (chunks, c): chunks are gridDim.y. Bytes per element: one element, the minimum.
 */
template <typename T>
static __global__ void __launch_bounds__(THREADS) bias_sum_kernel(const T *dy, size_t rows, int c, size_t chunk, double *partial) {
    __shared__ double sums[SUM_LANES][CUDA_WARP];
    const int lane = static_cast<int>(threadIdx.x), channel = static_cast<int>(blockIdx.x) * CUDA_WARP + lane;
    const size_t begin = chunk * blockIdx.y, end = rows - begin < chunk ? rows : begin + chunk, width = static_cast<size_t>(c);
    double sum = 0.0;
    if (channel < c) {
        for (size_t run = begin + threadIdx.y; run < end; run += RUN * SUM_LANES) {
            const size_t stop = end - run < RUN * SUM_LANES ? end : run + RUN * SUM_LANES;
            float part = 0.0f;
#pragma unroll 8
            for (size_t row = run; row < stop; row += SUM_LANES) part += element_load(dy + row * width + channel);
            sum += static_cast<double>(part);
        }
    }
    sums[threadIdx.y][lane] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || channel >= c) return;
#pragma unroll
    for (int i = 1; i < SUM_LANES; i++) sum += sums[i][lane];
    partial[blockIdx.y * width + static_cast<size_t>(channel)] = sum;
}

/* partial (chunks, c), dbias (c). */
static __global__ void __launch_bounds__(CUDA_WARP *FINISH_LANES)
    bias_sum_finish_kernel(const double *partial, int chunks, int c, float *dbias) {
    __shared__ double sums[FINISH_LANES][CUDA_WARP];
    const int lane = static_cast<int>(threadIdx.x), channel = static_cast<int>(blockIdx.x) * CUDA_WARP + lane;
    double sum = 0.0;
    if (channel < c) {
#pragma unroll 4
        for (int i = static_cast<int>(threadIdx.y); i < chunks; i += FINISH_LANES)
            sum += partial[static_cast<size_t>(i) * static_cast<size_t>(c) + static_cast<size_t>(channel)];
    }
    sums[threadIdx.y][lane] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || channel >= c) return;
#pragma unroll
    for (int i = 1; i < FINISH_LANES; i++) sum += sums[i][lane];
    dbias[channel] = static_cast<float>(sum);
}

/* Rows in a chunk: a run of each warp, or as many runs as leave no more chunks than there is room for. */
static size_t chunk_rows(size_t rows, int c) {
    const size_t room = CUDA_SCRATCH_BYTES / sizeof(double) / static_cast<size_t>(c), most = room < MOST_CHUNKS ? room : MOST_CHUNKS;
    const size_t run = RUN * SUM_LANES, runs = (rows + run - 1) / run;
    return (runs + most - 1) / most * run;
}

void cuda_bias_sum(backend *be, const void *dy, size_t rows, int c, dtype type, float *dbias) {
    if (c == 0) return;
    if (rows == 0) {
        cuda_check(be, cudaMemsetAsync(dbias, 0, static_cast<size_t>(c) * sizeof *dbias, cuda_stream(be)), "bias_sum");
        return;
    }
    double *partial = static_cast<double *>(cuda_scratch(be));
    const size_t chunk = chunk_rows(rows, c);
    const unsigned chunks = blocks_for(rows, static_cast<int>(chunk)), across = blocks_for(static_cast<size_t>(c), CUDA_WARP);
    const dim3 grid(across, chunks), block(CUDA_WARP, SUM_LANES);
    if (type == BF16)
        CUDA_LAUNCH(be, "bias_sum", bias_sum_kernel<__nv_bfloat16>, grid, block, 0, static_cast<const __nv_bfloat16 *>(dy), rows, c, chunk,
                    partial);
    else
        CUDA_LAUNCH(be, "bias_sum", bias_sum_kernel<float>, grid, block, 0, static_cast<const float *>(dy), rows, c, chunk, partial);
    CUDA_LAUNCH(be, "bias_sum", bias_sum_finish_kernel, across, dim3(CUDA_WARP, FINISH_LANES), 0, partial, static_cast<int>(chunks), c,
                dbias);
}
