/*
 * Mean and biased variance of each image's channels over its rows, in one read of x, and right where the mean is far larger than the
 * deviation:
 *
 * - A thread sums deviations from its own first row, and their squares, in float32. That row is among the summed ones, so the squared
 *   distance of the shift from the mean is at most the number of rows times the variance, and what cancels when it is taken off costs at
 *   most that many roundings, whatever the mean. It comes to (count, mean, M2).
 * - Means are kept as distances from the image's first pixel, which every block can look up: small numbers, unless that pixel is far from
 *   the others, and then the variance is large too.
 * - A block's threads are put together in the order of their rows and in two steps, the mean first and then M2 about it: sums of positive
 *   terms, where nothing cancels.
 * - Where an image is split among blocks a second kernel adds their sums and squares about that first pixel in float64, in order. The pixel
 *   again is one of the P, so at most P roundings of float64 are lost.
 */
#include "backend/cuda/norm_maps.cuh"

enum {
    ROWS = 4, /* that a thread loads at once */
    LEAST = 8 /* rows a thread should have: putting threads together costs as much as a few */
};

/* Sums about shift. */
template <int V> struct deviations { lanes<V> shift, sum, square; };

/* Mean, as the distance from the image's first pixel, and M2 of a thread's rows. */
template <int V> struct moments { lanes<V> mean, m2; };

/* Add COUNT rows of V channels, stride elements apart. */
template <typename T, int V, int COUNT> static __device__ inline void add_rows(const T *x, size_t stride, deviations<V> &to) {
    lanes<V> from[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++) from[i] = lanes_load<V>(x + static_cast<size_t>(i) * stride);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
#pragma unroll
        for (int c = 0; c < V; c++) {
            const float apart = from[i].x[c] - to.shift.x[c];
            to.sum.x[c] += apart;
            to.square.x[c] += apart * apart;
        }
    }
}

/* A thread's rows. origin: the first pixel's V channels. */
template <typename T, int V> static __device__ inline moments<V> moments_thread(const T *x, const norm_place &at, const T *origin) {
    moments<V> out = {lanes_zero<V>(), lanes_zero<V>()};
    if (at.rows == 0) return out;
    x += at.element;
    deviations<V> sums = {lanes_load<V>(x), lanes_zero<V>(), lanes_zero<V>()};
    int i = 0;
#pragma unroll 1
    for (; i + ROWS <= at.rows; i += ROWS, x += ROWS * at.stride) add_rows<T, V, ROWS>(x, at.stride, sums);
#pragma unroll 1
    for (; i < at.rows; i++, x += at.stride) add_rows<T, V, 1>(x, at.stride, sums);
    const lanes<V> zero = lanes_load<V>(origin);
    const float inverse = 1.0f / static_cast<float>(at.rows);
#pragma unroll
    for (int c = 0; c < V; c++) {
        const float rest = sums.sum.x[c] * inverse, m2 = sums.square.x[c] - rest * sums.sum.x[c];
        out.mean.x[c] = (sums.shift.x[c] - zero.x[c]) + rest;
        out.m2.x[c] = m2 > 0.0f ? m2 : 0.0f;
    }
    return out;
}

/* One channel of what a block's threads left; stride from one's to the next. What the first sum lost is what they add up to about it. */
static __device__ inline moments<1> moments_block(const float *mean, const float *m2, int stride, int block_rows) {
    const int depth = static_cast<int>(blockDim.y);
    const float rows = static_cast<float>(block_rows);
    float sum = 0.0f, lost = 0.0f, square = 0.0f;
    for (int i = 0; i < depth; i++) sum += static_cast<float>(norm_thread_rows(block_rows, i)) * mean[i * stride];
    const float about = sum / rows;
    for (int i = 0; i < depth; i++) {
        const float apart = mean[i * stride] - about, weighted = static_cast<float>(norm_thread_rows(block_rows, i)) * apart;
        lost += weighted;
        square += m2[i * stride] + weighted * apart;
    }
    return {{{about + lost / rows}}, {{square}}};
}

/*
 * Bytes an element: x once, the least there is, and an image's first pixel once a block. Split, 8 bytes a channel of every block are left
 * and read again, an eighth of the map's bytes at the most.
 * Not split, m and v (N,C) are results; split, (splits,N,C) in scratch: means from the first pixel, and M2.
 */
template <typename T, int V>
static __global__ void __launch_bounds__(NORM_THREADS) moments_kernel(const T *x, norm_dims d, norm_tiles t, float *m, float *v) {
    EN_DYN_SHARED(float, shared); /* (2, rows of threads, channels of the tile) */
    const norm_place at = norm_place_of<V>(d, t, blockIdx.x);
    const int width = t.lanes * V, depth = static_cast<int>(blockDim.y), threads = t.lanes * depth;
    const size_t image = static_cast<size_t>(at.image), channels = static_cast<size_t>(d.c);
    const T *const origin = x + image * static_cast<size_t>(d.p) * channels;
    const moments<V> mine = moments_thread<T, V>(x, at, origin + at.channel);
    float *const means = shared, *const squares = shared + depth * width;
    const int thread_row = static_cast<int>(threadIdx.y), lane = static_cast<int>(threadIdx.x);
    floats_store<V>(means + thread_row * width + lane * V, mine.mean);
    floats_store<V>(squares + thread_row * width + lane * V, mine.m2);
    __syncthreads();
    const size_t row = (static_cast<size_t>(at.split) * static_cast<size_t>(d.n) + image) * channels;
    for (int c = thread_row * t.lanes + lane; c < width && c < d.c - at.tile_channel; c += threads) {
        const moments<1> all = moments_block(means + c, squares + c, width, at.block_rows);
        const size_t channel = static_cast<size_t>(at.tile_channel + c);
        m[row + channel] = t.splits == 1 ? element_load(origin + channel) + all.mean.x[0] : all.mean.x[0];
        v[row + channel] = t.splits == 1 ? all.m2.x[0] / static_cast<float>(d.p) : all.m2.x[0];
    }
}

/* means, squares (splits,N,C) -> m, v (N,C). */
template <typename T>
static __global__ void __launch_bounds__(NORM_LANES *NORM_GROUPS)
    moments_finish(const T *x, norm_dims d, norm_tiles t, const float *means, const float *squares, float *m, float *v) {
    __shared__ norm_pair shared[NORM_LANES * NORM_GROUPS];
    const size_t channels = static_cast<size_t>(d.c), columns = static_cast<size_t>(d.n) * channels;
    const size_t column = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    norm_pair sum = {0.0, 0.0};
    if (column < columns)
        norm_each_split(means, squares, t.splits, columns, column, [&](int split, double mean, double square) {
            const double rows = split < t.splits - 1 ? t.chunk : d.p - split * t.chunk;
            sum.first += rows * mean;
            sum.second += square + rows * mean * mean;
        });
    sum = norm_groups_sum(sum, shared);
    if (column >= columns || threadIdx.y > 0) return;
    const double pixels = d.p, mean = sum.first / pixels, m2 = sum.second - mean * sum.first;
    const size_t image = column / channels, origin = image * static_cast<size_t>(d.p) * channels + column % channels;
    m[column] = static_cast<float>(static_cast<double>(element_load(x + origin)) + mean);
    v[column] = static_cast<float>((m2 > 0.0 ? m2 : 0.0) / pixels);
}

template <typename T, int V> static void moments_launch(backend *be, const T *x, norm_dims d, float *m, float *v) {
    const norm_tiles t = norm_tiles_of(d, V, LEAST);
    const size_t columns = static_cast<size_t>(d.n) * static_cast<size_t>(d.c), shared = 2 * sizeof(float) * V * t.lanes * t.rows;
    float *const partials = static_cast<float *>(cuda_scratch(be));
    float *const means = t.splits > 1 ? partials : m, *const squares =
                                                          t.splits > 1 ? partials + static_cast<size_t>(t.splits) * columns : v;
    CUDA_LAUNCH(be, "norm_moments", (moments_kernel<T, V>), norm_grid(d, t), norm_block(t), shared, x, d, t, means, squares);
    if (t.splits == 1) return;
    const dim3 block = norm_finish_block(t, columns);
    CUDA_LAUNCH(be, "norm_moments", moments_finish<T>, blocks_for(columns, static_cast<int>(block.x)), block, 0, x, d, t, means, squares, m,
                v);
}

template <typename T> static void moments_of(backend *be, const void *x, norm_dims d, float *m, float *v) {
    if (vectors_fit<T>(static_cast<size_t>(d.c), x))
        moments_launch<T, vector_of<T>::length>(be, static_cast<const T *>(x), d, m, v);
    else
        moments_launch<T, 1>(be, static_cast<const T *>(x), d, m, v);
}

void cuda_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v) {
    if (d.n == 0 || d.p == 0 || d.c == 0) return;
    if (d.type == BF16)
        moments_of<__nv_bfloat16>(be, x, d, m, v);
    else
        moments_of<float>(be, x, d, m, v);
}
