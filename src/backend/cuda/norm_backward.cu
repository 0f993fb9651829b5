/*
 * dx = a g + dm/P + 2 dv (x - m)/P and dresidual = g, with g = dy masked by the layer's ReLU: each element by itself, so dx may lie over dy
 * or x and dresidual over dy. A thread keeps five numbers a channel in registers and loads several rows before it stores the first.
 */
#include "backend/cuda/norm_maps.cuh"

enum {
    ROWS = 2, /* that a thread loads at once, of two or three maps */
    LEAST = 4 /* rows a thread should have: its slopes cost as much as a few */
};

/* Of one thread's channels: dx = a g + still + rate (x - m); b only for a mask made again. */
template <int V> struct slopes { lanes<V> m, a, b, still, rate; };

/* COUNT rows of V channels, stride elements apart. y is read for a kept mask only; dresidual may be NULL. */
template <typename T, int V, norm_masking MASK, int COUNT>
static __device__ inline void backward_rows(const T *dy, const T *y, const T *x, size_t stride, const slopes<V> &s, T *dx, T *dresidual) {
    norm_rows<V, COUNT> r = norm_load_rows<T, V, MASK, COUNT>(dy, y, x, stride);
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const size_t e = static_cast<size_t>(i) * stride;
#pragma unroll
        for (int c = 0; c < V; c++) {
            const float centred = r.from[i].x[c] - s.m.x[c];
            const float g = norm_masked<MASK>(r.gradient[i].x[c], r.output[i].x[c], centred, s.a.x[c], s.b.x[c]);
            r.gradient[i].x[c] = g;
            r.from[i].x[c] = s.a.x[c] * g + (s.still.x[c] + s.rate.x[c] * centred);
        }
        if (dresidual != nullptr) lanes_store<V>(dresidual + e, r.gradient[i]);
        lanes_store<V>(dx + e, r.from[i]);
    }
}

/* (N,C) each. */
typedef struct channel_rows {
    const float *m, *a, *b, *dm, *dv;
} channel_rows;

template <int V, norm_masking MASK> static __device__ inline slopes<V> slopes_of(const channel_rows &r, size_t column, float inverse) {
    slopes<V> s = {floats_load<V>(r.m + column), floats_load<V>(r.a + column), lanes_zero<V>(), floats_load<V>(r.dm + column),
                   floats_load<V>(r.dv + column)};
    if (MASK == NORM_MASK_AGAIN) s.b = floats_load<V>(r.b + column);
#pragma unroll
    for (int c = 0; c < V; c++) {
        s.still.x[c] *= inverse;
        s.rate.x[c] *= 2.0f * inverse;
    }
    return s;
}

/* Bytes an element: dy, x and dx once each, y and dresidual where there are, the least there is; 16 or 20 bytes a channel once a thread. */
template <typename T, int V, norm_masking MASK>
static __global__ void __launch_bounds__(NORM_THREADS)
    backward_kernel(const T *dy, const T *y, const T *x, norm_dims d, norm_tiles t, channel_rows r, T *dx, T *dresidual) {
    const norm_place at = norm_place_from_end<V>(d, t);
    if (at.rows == 0) return;
    const slopes<V> s = slopes_of<V, MASK>(r, at.column, 1.0f / static_cast<float>(d.p));
    const bool kept = MASK == NORM_MASK_KEPT, aside = dresidual != nullptr;
    size_t e = at.element;
    int i = 0;
#pragma unroll 1
    for (; i + ROWS <= at.rows; i += ROWS, e += ROWS * at.stride)
        backward_rows<T, V, MASK, ROWS>(dy + e, kept ? y + e : nullptr, x + e, at.stride, s, dx + e, aside ? dresidual + e : nullptr);
#pragma unroll 1
    for (; i < at.rows; i++, e += at.stride)
        backward_rows<T, V, MASK, 1>(dy + e, kept ? y + e : nullptr, x + e, at.stride, s, dx + e, aside ? dresidual + e : nullptr);
}

template <typename T, int V, norm_masking MASK>
static void backward_launch(backend *be, const void *dy, const void *y, const void *x, norm_dims d, channel_rows r, void *dx,
                            void *dresidual) {
    const norm_tiles t = norm_tiles_of(d, V, LEAST);
    CUDA_LAUNCH(be, "norm_backward", (backward_kernel<T, V, MASK>), norm_grid(d, t), norm_block(t), 0, static_cast<const T *>(dy),
                static_cast<const T *>(y), static_cast<const T *>(x), d, t, r, static_cast<T *>(dx), static_cast<T *>(dresidual));
}

template <typename T, int V>
static void backward_masked(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, channel_rows r, void *dx,
                            void *dresidual) {
    const norm_masking kind = norm_masking_of(mask);
    if (kind == NORM_MASK_KEPT) backward_launch<T, V, NORM_MASK_KEPT>(be, dy, mask.y, x, d, r, dx, dresidual);
    if (kind == NORM_MASK_AGAIN) backward_launch<T, V, NORM_MASK_AGAIN>(be, dy, nullptr, x, d, r, dx, dresidual);
    if (kind == NORM_MASK_NONE) backward_launch<T, V, NORM_MASK_NONE>(be, dy, nullptr, x, d, r, dx, dresidual);
}

template <typename T>
static void backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, channel_rows r, void *dx, void *dresidual) {
    if (vectors_fit<T>(static_cast<size_t>(d.c), dy, mask.y, x, dx) && vectors_fit<T>(0, dresidual, r.m, r.a, r.b) &&
        vectors_fit<T>(0, r.dm, r.dv))
        backward_masked<T, vector_of<T>::length>(be, dy, mask, x, d, r, dx, dresidual);
    else
        backward_masked<T, 1>(be, dy, mask, x, d, r, dx, dresidual);
}

void cuda_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                        const float *dm, const float *dv, void *dx, void *dresidual) {
    if (d.n == 0 || d.p == 0 || d.c == 0) return;
    const channel_rows r = {m, a, mask.b, dm, dv};
    if (d.type == BF16)
        backward<__nv_bfloat16>(be, dy, mask, x, d, r, dx, dresidual);
    else
        backward<float>(be, dy, mask, x, d, r, dx, dresidual);
}
