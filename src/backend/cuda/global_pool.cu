/*
 * Global average pooling: y (n,c) is the mean of x (n,p,c) over the p pixels of an image, dx (n,p,c) is dy (n,c) / p at each.
 *
 * The threads of a block are lanes over channels, 16 bytes each, and slots over pixels; where images and channels do not make enough
 * blocks, the pixels are split among blocks too, whose sums are added by a second kernel. Sums are float64 but for the first four terms.
 */
#include "backend/cuda/rows.cuh"

/* One call's maps and how they are shared out. */
struct pool_shares {
    int n, c;
    size_t p;
    int vectors; /* c in vectors */
    int lanes, slots;
    int chunks; /* blocks over the channels: of `lanes` vectors each */
    int splits; /* blocks over the pixels */
};

static pool_shares shares_of(int n, size_t p, int c, int vector) {
    pool_shares s = {n, c, p, c / vector, 1, 1, 1, 1};
    s.lanes = power_of_two(static_cast<size_t>(s.vectors), CUDA_WARP);
    s.slots = power_of_two((p + 3) / 4, ROWS_THREADS / s.lanes);
    if (s.lanes * s.slots < CUDA_WARP) s.slots = CUDA_WARP / s.lanes;
    s.chunks = (s.vectors + s.lanes - 1) / s.lanes;
    const size_t threads = static_cast<size_t>(n) * static_cast<size_t>(s.chunks) * static_cast<size_t>(s.lanes * s.slots);
    const size_t each = p / (static_cast<size_t>(s.slots) * 16), most = ROWS_ENOUGH / threads; /* sixteen pixels a thread or more */
    const size_t splits = each < most ? each : most;
    s.splits = splits > 1 ? static_cast<int>(splits) : 1;
    return s;
}

static inline unsigned share_threads(const pool_shares &s) {
    return static_cast<unsigned>(s.lanes * s.slots);
}

static inline dim3 share_grid(const pool_shares &s) {
    return dim3(static_cast<unsigned>(s.n) * static_cast<unsigned>(s.chunks), static_cast<unsigned>(s.splits));
}

/* The sum of every step-th of x's pixels [first, last): four by four as floats, which for bfloat16 is nearly exact. */
template <typename T, int V>
static __device__ inline void strided_sum(const T *x, size_t first, size_t last, size_t step, size_t c, double (&sum)[V]) {
    size_t i = first;
    for (; i + 3 * step < last; i += 4 * step) {
        lanes<V> v[4];
#pragma unroll
        for (int k = 0; k < 4; k++) v[k] = lanes_load<V>(x + (i + static_cast<size_t>(k) * step) * c);
#pragma unroll
        for (int k = 0; k < V; k++) sum[k] += static_cast<double>((v[0].x[k] + v[1].x[k]) + (v[2].x[k] + v[3].x[k]));
    }
    for (; i < last; i += step) {
        const lanes<V> v = lanes_load<V>(x + i * c);
#pragma unroll
        for (int k = 0; k < V; k++) sum[k] += static_cast<double>(v.x[k]);
    }
}

/*
 * x (n,p,c) -> y (n,c) or, where the pixels are split, sums (splits, n, c) in float64. Reads each element once: the minimum.
 * Shared memory: (slots, lanes V).
 */
template <typename T, int V>
static __global__ void __launch_bounds__(ROWS_THREADS) global_sum(const T *x, pool_shares s, T *y, double *sums) {
    EN_DYN_SHARED(double, shared);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % s.lanes, slot = thread / s.lanes;
    const int chunk = static_cast<int>(blockIdx.x) % s.chunks, image = static_cast<int>(blockIdx.x) / s.chunks;
    const int vector = chunk * s.lanes + lane, width = s.lanes * V;
    const size_t c = static_cast<size_t>(s.c), split = blockIdx.y, splits = gridDim.y;
    double sum[V] = {};
    if (vector < s.vectors) {
        const T *from = x + static_cast<size_t>(image) * s.p * c + static_cast<size_t>(vector) * V;
        strided_sum<T, V>(from, s.p * split / splits + static_cast<size_t>(slot), s.p * (split + 1) / splits, static_cast<size_t>(s.slots),
                          c, sum);
    }
#pragma unroll
    for (int k = 0; k < V; k++) shared[slot * width + lane * V + k] = sum[k];
    __syncthreads();
    for (int k = thread; k < width && chunk * width + k < s.c; k += static_cast<int>(blockDim.x)) {
        double total = shared[k];
        for (int i = 1; i < s.slots; i++) total += shared[i * width + k];
        const size_t to = static_cast<size_t>(image) * c + static_cast<size_t>(chunk * width + k);
        if (sums != nullptr)
            sums[split * static_cast<size_t>(s.n) * c + to] = total;
        else
            element_store(y + to, static_cast<float>(total / static_cast<double>(s.p)));
    }
}

/* sums (splits, count) -> y (count) = their sum / p. */
template <typename T>
static __global__ void __launch_bounds__(ROWS_THREADS) global_mean(const double *sums, int splits, size_t count, size_t p, T *y) {
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    double total = sums[i];
    for (int s = 1; s < splits; s++) total += sums[static_cast<size_t>(s) * count + i];
    element_store(y + i, static_cast<float>(total / static_cast<double>(p)));
}

/* dy (n,c) -> dx (n,p,c). Writes each element once, and reads next to nothing: the minimum. share: 1 / p. */
template <typename T, int V>
static __global__ void __launch_bounds__(ROWS_THREADS) global_spread(const T *dy, pool_shares s, double share, T *dx) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % s.lanes, slot = thread / s.lanes;
    const int vector = static_cast<int>(blockIdx.x) % s.chunks * s.lanes + lane;
    if (vector >= s.vectors) return;
    const size_t image = blockIdx.x / static_cast<unsigned>(s.chunks), c = static_cast<size_t>(s.c),
                 channel = static_cast<size_t>(vector) * V;
    const size_t split = blockIdx.y, splits = gridDim.y, last = s.p * (split + 1) / splits;
    lanes<V> g = lanes_load<V>(dy + image * c + channel);
#pragma unroll
    for (int k = 0; k < V; k++) g.x[k] = static_cast<float>(static_cast<double>(g.x[k]) * share);
    for (size_t i = s.p * split / splits + static_cast<size_t>(slot); i < last; i += static_cast<size_t>(s.slots))
        lanes_store<V>(dx + (image * s.p + i) * c + channel, g);
}

template <typename T, int V> static void launch_forward(backend *be, const T *x, int n, size_t p, int c, T *y) {
    const pool_shares s = shares_of(n, p, c, V);
    const size_t count = static_cast<size_t>(n) * static_cast<size_t>(c), shared = share_threads(s) * sizeof(double) * V;
    double *sums = s.splits > 1 ? static_cast<double *>(cuda_scratch(be)) : nullptr;
    CUDA_LAUNCH(be, "global pooling", (global_sum<T, V>), share_grid(s), share_threads(s), shared, x, s, y, sums);
    if (sums == nullptr) return;
    const unsigned threads = row_threads(count);
    CUDA_LAUNCH(be, "global pooling", global_mean<T>, blocks_for(count, static_cast<int>(threads)), threads, 0, sums, s.splits, count, p,
                y);
}

template <typename T, int V> static void launch_backward(backend *be, const T *dy, int n, size_t p, int c, T *dx) {
    const pool_shares s = shares_of(n, p, c, V);
    const double share = 1.0 / static_cast<double>(p);
    CUDA_LAUNCH(be, "global pooling, backward", (global_spread<T, V>), share_grid(s), share_threads(s), 0, dy, s, share, dx);
}

template <typename T> static void forward_of(backend *be, const tensor *x, const tensor *y) {
    const size_t p = static_cast<size_t>(x->h) * static_cast<size_t>(x->w);
    const T *from = static_cast<const T *>(x->data);
    if (vectors_fit<T>(static_cast<size_t>(x->c), x->data))
        launch_forward<T, vector_of<T>::length>(be, from, x->n, p, x->c, static_cast<T *>(y->data));
    else
        launch_forward<T, 1>(be, from, x->n, p, x->c, static_cast<T *>(y->data));
}

template <typename T> static void backward_of(backend *be, const tensor *dy, const tensor *dx) {
    const size_t p = static_cast<size_t>(dx->h) * static_cast<size_t>(dx->w);
    const T *from = static_cast<const T *>(dy->data);
    if (vectors_fit<T>(static_cast<size_t>(dx->c), dy->data, dx->data))
        launch_backward<T, vector_of<T>::length>(be, from, dx->n, p, dx->c, static_cast<T *>(dx->data));
    else
        launch_backward<T, 1>(be, from, dx->n, p, dx->c, static_cast<T *>(dx->data));
}

extern "C" void cuda_global_pool_forward(backend *be, const tensor *x, tensor *y) {
    (x->type == BF16 ? forward_of<__nv_bfloat16> : forward_of<float>)(be, x, y);
}

extern "C" void cuda_global_pool_backward(backend *be, const tensor *dy, tensor *dx) {
    (dy->type == BF16 ? backward_of<__nv_bfloat16> : backward_of<float>)(be, dy, dx);
}
