/*
 * Max pooling; what it means stands in cpu/pool.c. A thread takes 16 bytes of one output pixel and goes through its window; backward one
 * takes 16 bytes of an input pixel and gathers, in row-major order, from the windows that this pixel won. Windows overlap, but a pixel's
 * rereads come from the caches: each map crosses the memory bus about once.
 */
#include "backend/cuda/rows.cuh"

/* One window shape over maps of n images. */
struct pool_window {
    int n, h, w, c, oh, ow;
    int kernel, stride, padding;
};

/* V winners, one byte each. */
template <int V> static __device__ inline void winners_store(uint8_t *p, const int (&tap)[V]) {
    if constexpr (V == 1) {
        *p = static_cast<uint8_t>(tap[0]);
    } else {
        static_assert(V % 4 == 0, "winners are stored by words");
        unsigned words[V / 4] = {};
#pragma unroll
        for (int i = 0; i < V; i++) words[i / 4] |= static_cast<unsigned>(tap[i]) << (i % 4 * 8);
        if constexpr (V == 8)
            *reinterpret_cast<uint2 *>(p) = make_uint2(words[0], words[1]);
        else
            *reinterpret_cast<unsigned *>(p) = words[0];
    }
}

template <int V> static __device__ inline void winners_load(const uint8_t *p, int (&tap)[V]) {
    if constexpr (V == 1) {
        tap[0] = *p;
    } else {
        unsigned words[V / 4];
        if constexpr (V == 8) {
            const uint2 raw = *reinterpret_cast<const uint2 *>(p);
            words[0] = raw.x, words[1] = raw.y;
        } else {
            words[0] = *reinterpret_cast<const unsigned *>(p);
        }
#pragma unroll
        for (int i = 0; i < V; i++) tap[i] = static_cast<int>(words[i / 4] >> (i % 4 * 8) & 0xFFu);
    }
}

/*
 * x (n,h,w,c) -> y, argmax (n,oh,ow,c). Larger wins, and the first NaN. K: the kernel, where it is known beforehand, or 0. Moves an input
 * once (a window's rereads are cached), an output and a winner once: the minimum.
 */
template <typename T, int V, int K>
static __global__ void __launch_bounds__(ROWS_THREADS) max_forward(const T *x, pool_window k, T *y, uint8_t *argmax) {
    const int vectors = k.c / V, item = row_item(), kernel = K > 0 ? K : k.kernel;
    if (item >= k.ow * vectors) return;
    const int ox = item / vectors, left = ox * k.stride - k.padding;
    const size_t channel = static_cast<size_t>(item % vectors) * V, c = static_cast<size_t>(k.c);
    for (int row = static_cast<int>(blockIdx.y); row < k.n * k.oh; row += static_cast<int>(gridDim.y)) {
        const int top = row % k.oh * k.stride - k.padding;
        const T *image = x + static_cast<size_t>(row / k.oh) * static_cast<size_t>(k.h) * static_cast<size_t>(k.w) * c + channel;
        lanes<V> best = {};
        int tap[V] = {};
        bool found = false;
#pragma unroll
        for (int ky = 0; ky < kernel; ky++) {
            if (top + ky < 0 || top + ky >= k.h) continue;
            const T *line = image + static_cast<size_t>(top + ky) * static_cast<size_t>(k.w) * c;
#pragma unroll
            for (int kx = 0; kx < kernel; kx++) {
                if (left + kx < 0 || left + kx >= k.w) continue;
                const lanes<V> v = lanes_load<V>(line + static_cast<size_t>(left + kx) * c);
#pragma unroll
                for (int i = 0; i < V; i++) {
                    const bool wins = !found || (!(v.x[i] <= best.x[i]) && best.x[i] == best.x[i]);
                    best.x[i] = wins ? v.x[i] : best.x[i];
                    tap[i] = wins ? ky * kernel + kx : tap[i];
                }
                found = true;
            }
        }
        const size_t to = (static_cast<size_t>(row) * static_cast<size_t>(k.ow) + static_cast<size_t>(ox)) * c + channel;
        lanes_store<V>(y + to, best);
        winners_store<V>(argmax + to, tap);
    }
}

/*
 * dy, argmax (n,oh,ow,c) -> dx (n,h,w,c). Moves a gradient, a winner (both reread from the caches by the windows' overlap) and an output
 * once: the minimum.
 */
template <typename T, int V>
static __global__ void __launch_bounds__(ROWS_THREADS) max_backward(const T *dy, const uint8_t *argmax, pool_window k, T *dx) {
    const int vectors = k.c / V, item = row_item();
    if (item >= k.w * vectors) return;
    const int ix = item / vectors, right = ix + k.padding;
    const int first_x = right < k.kernel ? 0 : (right - k.kernel) / k.stride + 1, last_x = min(right / k.stride, k.ow - 1);
    const size_t channel = static_cast<size_t>(item % vectors) * V, c = static_cast<size_t>(k.c);
    for (int row = static_cast<int>(blockIdx.y); row < k.n * k.h; row += static_cast<int>(gridDim.y)) {
        const int bottom = row % k.h + k.padding;
        const int first_y = bottom < k.kernel ? 0 : (bottom - k.kernel) / k.stride + 1, last_y = min(bottom / k.stride, k.oh - 1);
        const size_t image = static_cast<size_t>(row / k.h) * static_cast<size_t>(k.oh);
        lanes<V> sum = {};
        for (int oy = first_y; oy <= last_y; oy++) {
            for (int ox = first_x; ox <= last_x; ox++) {
                const size_t at = ((image + static_cast<size_t>(oy)) * static_cast<size_t>(k.ow) + static_cast<size_t>(ox)) * c + channel;
                const int own = (bottom - oy * k.stride) * k.kernel + right - ox * k.stride;
                int tap[V];
                winners_load<V>(argmax + at, tap);
                const lanes<V> g = lanes_load<V>(dy + at);
#pragma unroll
                for (int i = 0; i < V; i++) sum.x[i] += tap[i] == own ? g.x[i] : 0.0f;
            }
        }
        lanes_store<V>(dx + (static_cast<size_t>(row) * static_cast<size_t>(k.w) + static_cast<size_t>(ix)) * c + channel, sum);
    }
}

template <typename T, int V> static void launch_max_forward(backend *be, const T *x, const pool_window &k, T *y, uint8_t *argmax) {
    const size_t items = static_cast<size_t>(k.ow) * static_cast<size_t>(k.c / V);
    const dim3 grid = row_grid(k.n * k.oh, items);
    if (k.kernel == 3)
        CUDA_LAUNCH(be, "max pooling", (max_forward<T, V, 3>), grid, row_threads(items), 0, x, k, y, argmax);
    else
        CUDA_LAUNCH(be, "max pooling", (max_forward<T, V, 0>), grid, row_threads(items), 0, x, k, y, argmax);
}

template <typename T> static void max_forward_of(backend *be, const void *x, const pool_window &k, void *y, uint8_t *argmax) {
    const T *from = static_cast<const T *>(x);
    if (vectors_fit<T>(static_cast<size_t>(k.c), x, y, argmax))
        launch_max_forward<T, vector_of<T>::length>(be, from, k, static_cast<T *>(y), argmax);
    else
        launch_max_forward<T, 1>(be, from, k, static_cast<T *>(y), argmax);
}

template <typename T, int V> static void launch_max_backward(backend *be, const T *dy, const uint8_t *argmax, const pool_window &k, T *dx) {
    const size_t items = static_cast<size_t>(k.w) * static_cast<size_t>(k.c / V);
    CUDA_LAUNCH(be, "max pooling, backward", (max_backward<T, V>), row_grid(k.n * k.h, items), row_threads(items), 0, dy, argmax, k, dx);
}

template <typename T> static void max_backward_of(backend *be, const void *dy, const uint8_t *argmax, const pool_window &k, void *dx) {
    const T *from = static_cast<const T *>(dy);
    if (vectors_fit<T>(static_cast<size_t>(k.c), dy, dx, argmax))
        launch_max_backward<T, vector_of<T>::length>(be, from, argmax, k, static_cast<T *>(dx));
    else
        launch_max_backward<T, 1>(be, from, argmax, k, static_cast<T *>(dx));
}

extern "C" void cuda_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax) {
    const pool_window k = {x->n, x->h, x->w, x->c, y->h, y->w, kernel, stride, padding};
    (x->type == BF16 ? max_forward_of<__nv_bfloat16> : max_forward_of<float>)(be, x->data, k, y->data, argmax);
}

extern "C" void cuda_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding,
                                      tensor *dx) {
    const pool_window k = {dx->n, dx->h, dx->w, dx->c, dy->h, dy->w, kernel, stride, padding};
    (dy->type == BF16 ? max_backward_of<__nv_bfloat16> : max_backward_of<float>)(be, dy->data, argmax, k, dx->data);
}
