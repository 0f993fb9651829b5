/*
 * s1 = sum g and s2 = sum g (x - m) over each image's rows, with g = dy masked by the layer's ReLU. A thread sums its rows in float32; a
 * block's threads are put together channel by channel in the order of their rows, and where an image is split among blocks a second kernel
 * adds what they left in float64, again in order.
 */
#include "backend/cuda/norm_maps.cuh"

enum {
    ROWS = 2, /* that a thread loads at once, of two or three maps */
    LEAST = 8 /* rows a thread should have: putting threads together costs as much as a few */
};

template <int V> struct sums { lanes<V> first, second; };

/* Of one thread's channels; a and b only for a mask made again. */
template <int V> struct coefficients { lanes<V> m, a, b; };

/* Add COUNT rows of V channels, stride elements apart. */
template <typename T, int V, norm_masking MASK, int COUNT>
static __device__ inline void reduce_rows(const T *dy, const T *y, const T *x, size_t stride, const coefficients<V> &k, sums<V> &to) {
    const norm_rows<V, COUNT> r = norm_load_rows<T, V, MASK, COUNT>(dy, y, x, stride);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
#pragma unroll
        for (int c = 0; c < V; c++) {
            const float centred = r.from[i].x[c] - k.m.x[c];
            const float g = norm_masked<MASK>(r.gradient[i].x[c], r.output[i].x[c], centred, k.a.x[c], k.b.x[c]);
            to.first.x[c] += g;
            to.second.x[c] += g * centred;
        }
    }
}

/* A thread's rows. m, a, b (N,C). */
template <typename T, int V, norm_masking MASK>
static __device__ inline sums<V> reduce_thread(const T *dy, const T *y, const T *x, const norm_place &at, const float *m, const float *a,
                                               const float *b) {
    const bool kept = MASK == NORM_MASK_KEPT;
    sums<V> s = {lanes_zero<V>(), lanes_zero<V>()};
    if (at.rows == 0) return s;
    coefficients<V> k = {floats_load<V>(m + at.column), lanes_zero<V>(), lanes_zero<V>()};
    if (MASK == NORM_MASK_AGAIN) {
        k.a = floats_load<V>(a + at.column);
        k.b = floats_load<V>(b + at.column);
    }
    size_t e = at.element;
    int i = 0;
#pragma unroll 1
    for (; i + ROWS <= at.rows; i += ROWS, e += ROWS * at.stride)
        reduce_rows<T, V, MASK, ROWS>(dy + e, kept ? y + e : nullptr, x + e, at.stride, k, s);
#pragma unroll 1
    for (; i < at.rows; i++, e += at.stride) reduce_rows<T, V, MASK, 1>(dy + e, kept ? y + e : nullptr, x + e, at.stride, k, s);
    return s;
}

/*
 * Bytes an element: dy and x once each, y where the mask is kept, the least there is. Split, 8 bytes a channel of every block are left and
 * read again, an eighth of a map's bytes at the most.
 * s1, s2: (N,C), or (splits,N,C) in scratch.
 */
template <typename T, int V, norm_masking MASK>
static __global__ void __launch_bounds__(NORM_THREADS) reduce_kernel(const T *dy, const T *y, const T *x, norm_dims d, norm_tiles t,
                                                                     const float *m, const float *a, const float *b, float *s1, float *s2) {
    EN_DYN_SHARED(float, shared); /* (2, rows of threads, channels of the tile) */
    const norm_place at = norm_place_of<V>(d, t, blockIdx.x);
    const int width = t.lanes * V, depth = static_cast<int>(blockDim.y), threads = t.lanes * depth;
    const sums<V> s = reduce_thread<T, V, MASK>(dy, y, x, at, m, a, b);
    float *const first = shared, *const second = shared + depth * width;
    const int thread_row = static_cast<int>(threadIdx.y), lane = static_cast<int>(threadIdx.x);
    floats_store<V>(first + thread_row * width + lane * V, s.first);
    floats_store<V>(second + thread_row * width + lane * V, s.second);
    __syncthreads();
    const size_t row =
        (static_cast<size_t>(at.split) * static_cast<size_t>(d.n) + static_cast<size_t>(at.image)) * static_cast<size_t>(d.c);
    for (int c = thread_row * t.lanes + lane; c < width && c < d.c - at.tile_channel; c += threads) {
        float total1 = 0.0f, total2 = 0.0f;
        for (int i = 0; i < depth; i++) {
            total1 += first[i * width + c];
            total2 += second[i * width + c];
        }
        s1[row + static_cast<size_t>(at.tile_channel + c)] = total1;
        s2[row + static_cast<size_t>(at.tile_channel + c)] = total2;
    }
}

/* partial1, partial2 (splits,N,C) -> s1, s2 (N,C); columns: N C. */
static __global__ void __launch_bounds__(NORM_LANES *NORM_GROUPS)
    reduce_finish(const float *partial1, const float *partial2, int splits, size_t columns, float *s1, float *s2) {
    __shared__ norm_pair shared[NORM_LANES * NORM_GROUPS];
    const size_t column = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    norm_pair sum = {0.0, 0.0};
    if (column < columns)
        norm_each_split(partial1, partial2, splits, columns, column, [&](int, double first, double second) {
            sum.first += first;
            sum.second += second;
        });
    sum = norm_groups_sum(sum, shared);
    if (column >= columns || threadIdx.y > 0) return;
    s1[column] = static_cast<float>(sum.first);
    s2[column] = static_cast<float>(sum.second);
}

template <typename T, int V, norm_masking MASK>
static void reduce_launch(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2) {
    const norm_tiles t = norm_tiles_of(d, V, LEAST);
    const size_t columns = static_cast<size_t>(d.n) * static_cast<size_t>(d.c), shared = 2 * sizeof(float) * V * t.lanes * t.rows;
    float *const partials = static_cast<float *>(cuda_scratch(be));
    float *const to1 = t.splits > 1 ? partials : s1, *const to2 = t.splits > 1 ? partials + static_cast<size_t>(t.splits) * columns : s2;
    CUDA_LAUNCH(be, "norm_reduce", (reduce_kernel<T, V, MASK>), norm_grid(d, t), norm_block(t), shared, static_cast<const T *>(dy),
                static_cast<const T *>(mask.y), static_cast<const T *>(x), d, t, m, mask.a, mask.b, to1, to2);
    if (t.splits == 1) return;
    const dim3 block = norm_finish_block(t, columns);
    CUDA_LAUNCH(be, "norm_reduce", reduce_finish, blocks_for(columns, static_cast<int>(block.x)), block, 0, to1, to2, t.splits, columns, s1,
                s2);
}

template <typename T, int V>
static void reduce_masked(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2) {
    const norm_masking kind = norm_masking_of(mask);
    if (kind == NORM_MASK_KEPT) reduce_launch<T, V, NORM_MASK_KEPT>(be, dy, mask, x, d, m, s1, s2);
    if (kind == NORM_MASK_AGAIN) reduce_launch<T, V, NORM_MASK_AGAIN>(be, dy, mask, x, d, m, s1, s2);
    if (kind == NORM_MASK_NONE) reduce_launch<T, V, NORM_MASK_NONE>(be, dy, mask, x, d, m, s1, s2);
}

template <typename T>
static void reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2) {
    if (vectors_fit<T>(static_cast<size_t>(d.c), dy, mask.y, x) && vectors_fit<T>(0, m, mask.a, mask.b))
        reduce_masked<T, vector_of<T>::length>(be, dy, mask, x, d, m, s1, s2);
    else
        reduce_masked<T, 1>(be, dy, mask, x, d, m, s1, s2);
}

void cuda_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2) {
    if (d.n == 0 || d.p == 0 || d.c == 0) return;
    if (d.type == BF16)
        reduce<__nv_bfloat16>(be, dy, mask, x, d, m, s1, s2);
    else
        reduce<float>(be, dy, mask, x, d, m, s1, s2);
}
