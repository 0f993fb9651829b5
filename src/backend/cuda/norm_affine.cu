/*
 * y = a (x - m) + b (+ residual) (then max(0, .)): each element by itself, so y may lie over x or residual. A thread keeps the
 * coefficients of its channels in registers and loads several rows before it stores the first of them.
 */
#include "backend/cuda/norm_maps.cuh"

enum {
    ROWS = 4,       /* that a thread loads at once, */
    ROWS_ADDED = 2, /* or so many of x and as many of the residual */
    LEAST = 4       /* rows a thread should have: its coefficients cost as much as a few */
};

/* Of one thread's channels. */
template <int V> struct coefficients { lanes<V> m, a, b; };

/* COUNT rows of V channels, stride elements apart. */
template <typename T, int V, bool ADDED, int COUNT>
static __device__ inline void affine_rows(const T *x, const T *residual, size_t stride, const coefficients<V> &k, bool relu, T *y) {
    lanes<V> value[COUNT], plus[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        value[i] = lanes_load<V>(x + static_cast<size_t>(i) * stride);
        plus[i] = ADDED ? lanes_load<V>(residual + static_cast<size_t>(i) * stride) : lanes_zero<V>();
    }
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
#pragma unroll
        for (int c = 0; c < V; c++) {
            float one = norm_value(value[i].x[c] - k.m.x[c], k.a.x[c], k.b.x[c]);
            if (ADDED) one += plus[i].x[c];
            if (relu) one = one > 0.0f ? one : 0.0f;
            value[i].x[c] = one;
        }
        lanes_store<V>(y + static_cast<size_t>(i) * stride, value[i]);
    }
}

/* Bytes an element: x, residual and y once each, the least there is; the coefficients, 12 bytes a channel, once a thread. */
template <typename T, int V, bool ADDED>
static __global__ void __launch_bounds__(NORM_THREADS) affine_kernel(const T *x, norm_dims d, norm_tiles t, const float *m, const float *a,
                                                                     const float *b, const T *residual, bool relu, T *y) {
    const norm_place at = norm_place_from_end<V>(d, t);
    if (at.rows == 0) return;
    const coefficients<V> k = {floats_load<V>(m + at.column), floats_load<V>(a + at.column), floats_load<V>(b + at.column)};
    x += at.element;
    y += at.element;
    if (ADDED) residual += at.element;
    constexpr int rows = ADDED ? ROWS_ADDED : ROWS;
    size_t e = 0;
    int i = 0;
#pragma unroll 1
    for (; i + rows <= at.rows; i += rows, e += rows * at.stride)
        affine_rows<T, V, ADDED, rows>(x + e, ADDED ? residual + e : nullptr, at.stride, k, relu, y + e);
#pragma unroll 1
    for (; i < at.rows; i++, e += at.stride) affine_rows<T, V, ADDED, 1>(x + e, ADDED ? residual + e : nullptr, at.stride, k, relu, y + e);
}

template <typename T, int V>
static void affine_launch(backend *be, const T *x, norm_dims d, const float *m, const float *a, const float *b, const T *residual,
                          bool relu, T *y) {
    const norm_tiles t = norm_tiles_of(d, V, LEAST);
    if (residual != nullptr)
        CUDA_LAUNCH(be, "norm_affine", (affine_kernel<T, V, true>), norm_grid(d, t), norm_block(t), 0, x, d, t, m, a, b, residual, relu, y);
    else
        CUDA_LAUNCH(be, "norm_affine", (affine_kernel<T, V, false>), norm_grid(d, t), norm_block(t), 0, x, d, t, m, a, b, residual, relu,
                    y);
}

template <typename T>
static void affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual, bool relu,
                   void *y) {
    const T *const from = static_cast<const T *>(x), *const plus = static_cast<const T *>(residual);
    T *const to = static_cast<T *>(y);
    if (vectors_fit<T>(static_cast<size_t>(d.c), x, residual, y) && vectors_fit<T>(0, m, a, b))
        affine_launch<T, vector_of<T>::length>(be, from, d, m, a, b, plus, relu, to);
    else
        affine_launch<T, 1>(be, from, d, m, a, b, plus, relu, to);
}

void cuda_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                      bool relu, void *y) {
    if (d.n == 0 || d.p == 0 || d.c == 0) return;
    if (d.type == BF16)
        affine<__nv_bfloat16>(be, x, d, m, a, b, residual, relu, y);
    else
        affine<float>(be, x, d, m, a, b, residual, relu, y);
}
