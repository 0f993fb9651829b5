/*
 * Bilinear resize of float32 maps, align_corners false. Forward reads four neighbours for each output. Backward gathers: an input pixel
 * goes through the output pixels that read it, a rectangle of the output, row by row, so that no two threads add to one place.
 *
 * Where the small map is so small that its pixels alone do not fill a GPU (1x1 resized to 97x97), the rectangle's rows are shared out to
 * parts, the threads of a block, and to splits, blocks whose sums are added by a second kernel.
 */
#include "backend/cuda/bilinear.cuh"
#include "backend/cuda/rows.cuh"

/* Both maps of a call: the small one is (n,h,w,c) forward's input, the large one (n,oh,ow,c) its output, whichever is larger. */
struct resize_maps {
    int n, h, w, c, oh, ow;
};

/*
 * x (n,h,w,c) -> y (n,oh,ow,c). Reads x once but for the caches (each pixel serves about four outputs at a time) and writes y once: the
 * minimum.
 */
template <int V> static __global__ void __launch_bounds__(ROWS_THREADS) resize(const float *x, resize_maps m, float *y) {
    const int vectors = m.c / V, item = row_item();
    if (item >= m.ow * vectors) return;
    const bilinear_place h = bilinear_place_of(item / vectors, m.w, m.ow);
    const size_t channel = static_cast<size_t>(item % vectors) * V, c = static_cast<size_t>(m.c), w = static_cast<size_t>(m.w);
    const size_t left = static_cast<size_t>(h.i0) * c + channel, right = static_cast<size_t>(h.i1) * c + channel;
    for (int row = static_cast<int>(blockIdx.y); row < m.n * m.oh; row += static_cast<int>(gridDim.y)) {
        const bilinear_place v = bilinear_place_of(row % m.oh, m.h, m.oh);
        const size_t image = static_cast<size_t>(row / m.oh) * static_cast<size_t>(m.h);
        const float *upper = x + (image + static_cast<size_t>(v.i0)) * w * c, *lower = x + (image + static_cast<size_t>(v.i1)) * w * c;
        const lanes<V> a = lanes_load<V>(upper + left), b = lanes_load<V>(upper + right);
        const lanes<V> d = lanes_load<V>(lower + left), e = lanes_load<V>(lower + right);
        const float wa = (1.0f - v.f) * (1.0f - h.f), wb = (1.0f - v.f) * h.f, wd = v.f * (1.0f - h.f), we = v.f * h.f;
        lanes<V> out;
#pragma unroll
        for (int i = 0; i < V; i++) out.x[i] = wa * a.x[i] + wb * b.x[i] + (wd * d.x[i] + we * e.x[i]);
        lanes_store<V>(y + static_cast<size_t>(row) * static_cast<size_t>(m.ow) * c + static_cast<size_t>(item) * V, out);
    }
}

/* The outputs along one axis that read input i, and their weights: a triangle over i, flat at the ends of the line. */
struct resize_support {
    int first, last; /* [first, last) */
    int past;        /* of `first` from i, in units of 1 / (2 out) */
    int step, span;  /* from one output to the next; from i to i + 1 */
    float unit;      /* 1 / span */
    bool start, end; /* whether i is the line's first, its last */
};

static __device__ inline resize_support resize_support_of(int i, int in, int out) {
    const int first = bilinear_first(i - 1, in, out), last = bilinear_first(i + 1, in, out);
    const long long past = (2LL * first + 1) * in - out - 2LL * out * i;
    return resize_support{first, last, static_cast<int>(past), 2 * in, 2 * out, 1.0f / static_cast<float>(2 * out), i == 0, i == in - 1};
}

static __device__ inline float resize_weight(const resize_support &s, int to) {
    int past = s.past + (to - s.first) * s.step;
    if (s.start) past = max(past, 0);
    if (s.end) past = min(past, 0);
    return static_cast<float>(max(s.span - abs(past), 0)) * s.unit; /* before the line: all of it from i 0, none from i 1 */
}

/* How a backward pass is shared out. A block: lanes over vectors of channels, parts over the rows of a rectangle, pixels of the input. */
struct resize_shares {
    int lanes, parts, pixels;
    int chunks; /* blocks over the channels */
    int groups; /* blocks over the pixels */
    int splits; /* blocks over the rows of a rectangle */
};

static resize_shares shares_of(const resize_maps &m, int vector) {
    const size_t vectors = static_cast<size_t>(m.c / vector),
                 pixels = static_cast<size_t>(m.n) * static_cast<size_t>(m.h) * static_cast<size_t>(m.w);
    resize_shares s = {power_of_two(vectors, CUDA_WARP), 1, 1, 1, 1, 1};
    const size_t items = pixels * vectors, height = static_cast<size_t>(m.oh) / static_cast<size_t>(m.h) * (m.h > 1 ? 2 : 1);
    if (items < ROWS_ENOUGH / 4 && height > 1) s.parts = power_of_two(height / 2, ROWS_THREADS / s.lanes);
    s.pixels = power_of_two(pixels, ROWS_THREADS / (s.lanes * s.parts));
    s.chunks = (static_cast<int>(vectors) + s.lanes - 1) / s.lanes;
    s.groups = static_cast<int>((pixels + static_cast<size_t>(s.pixels) - 1) / static_cast<size_t>(s.pixels));
    const size_t each = height / static_cast<size_t>(s.parts), most = ROWS_ENOUGH / (items * static_cast<size_t>(s.parts));
    const size_t splits = each < most ? each : most;
    s.splits = splits > 1 ? static_cast<int>(splits) : 1;
    return s;
}

/* One thread's rows of one rectangle of dy (oh,ow,c), from its channel on: every step-th from the first-th, each summed by itself. */
template <int V>
static __device__ inline lanes<V> gather(const float *dy, const resize_support &v, const resize_support &h, int first, int step, size_t row,
                                         size_t c) {
    lanes<V> sum = {};
    for (int oy = v.first + first; oy < v.last; oy += step) {
        const float *line = dy + static_cast<size_t>(oy) * row;
        lanes<V> part = {};
#pragma unroll 4
        for (int ox = h.first; ox < h.last; ox++) {
            const float weight = resize_weight(h, ox);
            const lanes<V> g = lanes_load<V>(line + static_cast<size_t>(ox) * c);
#pragma unroll
            for (int i = 0; i < V; i++) part.x[i] += weight * g.x[i];
        }
        const float weight = resize_weight(v, oy);
#pragma unroll
        for (int i = 0; i < V; i++) sum.x[i] += weight * part.x[i];
    }
    return sum;
}

/*
 * dy (n,oh,ow,c) -> dx (n,h,w,c) or, where rows are split, sums (splits, n h w c). Every element of dy belongs to up to four rectangles,
 * whose threads are neighbours in a block or run at about the same time, so that the rereads come from the caches; dx is written once.
 * Shared memory: (parts, pixels, lanes V).
 */
template <int V>
static __global__ void __launch_bounds__(ROWS_THREADS) resize_gather(const float *dy, resize_maps m, resize_shares s, float *dx) {
    EN_DYN_SHARED(float, shared);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % s.lanes, place = thread / s.lanes % s.pixels;
    const int part = thread / (s.lanes * s.pixels), split = static_cast<int>(blockIdx.y);
    const int vector = static_cast<int>(blockIdx.x) % s.chunks * s.lanes + lane;
    const size_t pixel =
        static_cast<size_t>(static_cast<int>(blockIdx.x) / s.chunks) * static_cast<size_t>(s.pixels) + static_cast<size_t>(place);
    const size_t row = pixel / static_cast<size_t>(m.w), c = static_cast<size_t>(m.c), channel = static_cast<size_t>(vector) * V;
    const size_t pixels = static_cast<size_t>(m.n) * static_cast<size_t>(m.h) * static_cast<size_t>(m.w);
    const bool mine = vector * V < m.c && pixel < pixels;
    lanes<V> sum = {};
    if (mine) {
        const resize_support v = resize_support_of(static_cast<int>(row % static_cast<size_t>(m.h)), m.h, m.oh);
        const resize_support h = resize_support_of(static_cast<int>(pixel % static_cast<size_t>(m.w)), m.w, m.ow);
        const size_t line = static_cast<size_t>(m.ow) * c, image = row / static_cast<size_t>(m.h) * static_cast<size_t>(m.oh) * line;
        sum = gather<V>(dy + image + channel, v, h, split * s.parts + part, s.parts * s.splits, line, c);
    }
    if (s.parts > 1) { /* part 0 adds the others' sums */
        const int width = s.lanes * s.pixels * V, at = thread % (s.lanes * s.pixels) * V;
#pragma unroll
        for (int i = 0; i < V; i++) shared[part * width + at + i] = sum.x[i];
        __syncthreads();
        for (int k = 1; part == 0 && k < s.parts; k++) {
#pragma unroll
            for (int i = 0; i < V; i++) sum.x[i] += shared[k * width + at + i];
        }
    }
    if (mine && part == 0) lanes_store<V>(dx + (static_cast<size_t>(split) * pixels + pixel) * c + channel, sum);
}

/* sums (splits, count) -> dx (count) */
static __global__ void __launch_bounds__(ROWS_THREADS) resize_add(const float *sums, int splits, size_t count, float *dx) {
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float total = sums[i];
    for (int s = 1; s < splits; s++) total += sums[static_cast<size_t>(s) * count + i];
    dx[i] = total;
}

template <int V> static void launch_forward(backend *be, const float *x, const resize_maps &m, float *y) {
    const size_t items = static_cast<size_t>(m.ow) * static_cast<size_t>(m.c / V);
    CUDA_LAUNCH(be, "resize", resize<V>, row_grid(m.n * m.oh, items), row_threads(items), 0, x, m, y);
}

template <int V> static void launch_backward(backend *be, const float *dy, const resize_maps &m, float *dx) {
    const resize_shares s = shares_of(m, V);
    const size_t count = static_cast<size_t>(m.n) * static_cast<size_t>(m.h) * static_cast<size_t>(m.w) * static_cast<size_t>(m.c);
    const unsigned threads = static_cast<unsigned>(s.lanes * s.parts * s.pixels);
    const dim3 grid(static_cast<unsigned>(s.groups) * static_cast<unsigned>(s.chunks), static_cast<unsigned>(s.splits));
    float *sums = s.splits > 1 ? static_cast<float *>(cuda_scratch(be)) : dx;
    CUDA_LAUNCH(be, "resize, backward", resize_gather<V>, grid, threads, threads * sizeof(float) * V, dy, m, s, sums);
    if (s.splits > 1) {
        const unsigned adders = row_threads(count);
        CUDA_LAUNCH(be, "resize, backward", resize_add, blocks_for(count, static_cast<int>(adders)), adders, 0, sums, s.splits, count, dx);
    }
}

extern "C" void cuda_resize_forward(backend *be, const tensor *x, tensor *y) {
    const resize_maps m = {x->n, x->h, x->w, x->c, y->h, y->w};
    const float *from = static_cast<const float *>(x->data);
    float *to = static_cast<float *>(y->data);
    if (vectors_fit<float>(static_cast<size_t>(x->c), from, to))
        launch_forward<vector_of<float>::length>(be, from, m, to);
    else
        launch_forward<1>(be, from, m, to);
}

extern "C" void cuda_resize_backward(backend *be, const tensor *dy, tensor *dx) {
    const resize_maps m = {dx->n, dx->h, dx->w, dx->c, dy->h, dy->w};
    const float *from = static_cast<const float *>(dy->data);
    float *to = static_cast<float *>(dx->data);
    if (vectors_fit<float>(static_cast<size_t>(dx->c), from, to))
        launch_backward<vector_of<float>::length>(be, from, m, to);
    else
        launch_backward<1>(be, from, m, to);
}
