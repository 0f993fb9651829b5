/*
 * How the four passes of normalisation over maps (N,P,C) are cut into blocks. A block takes one image, a tile of channels and a run of the
 * image's rows (pixels): its threads stand side by side over the tile's channels, a vector of V channels each, and one behind the other
 * over rows, so a thread stays with its channels, keeps what belongs to them in registers and walks down the rows. Neighbouring threads
 * read neighbouring bytes: at most 32 x 16 of one row, whole rows where they are shorter.
 *
 * An image's rows are split among blocks until there are NORM_BLOCKS of them, enough for any GPU, or too few rows a thread to be worth it.
 * Where rows are split at all there are never more than NORM_BLOCKS blocks, so what they leave for a second kernel has a fixed bound; where
 * images and tiles alone are that many, nobody splits and nothing is left over. All this follows from the shape.
 *
 * A thread loads several rows before it uses the first of them. The loops over such runs of rows are kept from being unrolled further,
 * which would cost registers, and so threads at a time, for nothing.
 */
#ifndef BACKEND_CUDA_NORM_MAPS_CUH
#define BACKEND_CUDA_NORM_MAPS_CUH

#include "backend/cuda/kernels.cuh"

enum {
    NORM_THREADS = 256,            /* most threads of a block */
    NORM_LANES = 32,               /* most of them side by side */
    NORM_BLOCKS = 2112,            /* blocks to aim at: 16 for each of the 132 multiprocessors of an H100 */
    NORM_GROUPS = 8,               /* threads that share the splits of one channel in the second kernel */
    NORM_AHEAD = 8,                /* splits that one of them loads at once */
    NORM_CHANNELS = 8 * NORM_LANES /* most channels of a tile */
};

static_assert(sizeof(float) * 2 * NORM_BLOCKS * NORM_CHANNELS <= CUDA_SCRATCH_BYTES, "two floats a channel of every block fit");

typedef struct norm_tiles {
    int lanes, rows; /* a block's threads: side by side, one behind the other */
    int tiles;       /* blocks across the channels */
    int splits;      /* blocks down an image's rows */
    int chunk;       /* rows of a split; the last may have fewer */
} norm_tiles;

static inline int norm_pieces(int whole, int part) {
    return (whole - 1) / part + 1;
}

/* vector: channels a thread takes; least: rows a thread should have before rows are split. No dimension is 0. */
static inline norm_tiles norm_tiles_of(norm_dims d, int vector, int least) {
    norm_tiles t = {};
    const int vectors = norm_pieces(d.c, vector);
    t.tiles = norm_pieces(vectors, NORM_LANES);
    t.lanes = norm_pieces(vectors, t.tiles);
    t.rows = NORM_THREADS / t.lanes < d.p ? NORM_THREADS / t.lanes : d.p;
    const size_t columns = static_cast<size_t>(d.n) * static_cast<size_t>(t.tiles);
    const int runs = norm_pieces(d.p, t.rows), worth = runs / least > 1 ? runs / least : 1; /* runs: of t.rows rows, one a thread */
    const int wanted = columns < NORM_BLOCKS ? NORM_BLOCKS / static_cast<int>(columns) : 1;
    t.chunk = norm_pieces(runs, wanted < worth ? wanted : worth);
    t.splits = norm_pieces(runs, t.chunk);
    t.chunk = t.splits == 1 ? d.p : t.chunk * t.rows;
    return t;
}

static inline dim3 norm_grid(norm_dims d, norm_tiles t) {
    return dim3(static_cast<unsigned>(static_cast<size_t>(d.n) * static_cast<size_t>(t.tiles) * static_cast<size_t>(t.splits)));
}

static inline dim3 norm_block(norm_tiles t) {
    return dim3(static_cast<unsigned>(t.lanes), static_cast<unsigned>(t.rows));
}

/* ---- where a block and a thread stand ---- */

typedef struct norm_place {
    int image, split;
    int tile_channel; /* the tile's first */
    int channel;      /* the thread's first; its channels exist where rows > 0 */
    int block_rows;   /* rows of the block */
    int rows;         /* the thread's: every blockDim.y-th of them */
    size_t element;   /* the thread's first, in the map */
    size_t column;    /* the same in (N,C) */
    size_t stride;    /* elements from one of its rows to the next */
} norm_place;

/* How many of a block's rows its threads in row `thread` take. */
static __device__ inline int norm_thread_rows(int block_rows, int thread) {
    const int depth = static_cast<int>(blockDim.y);
    return block_rows / depth + (thread < block_rows % depth ? 1 : 0);
}

/* block: blockIdx.x, or counted from the end. */
template <int V> static __device__ inline norm_place norm_place_of(norm_dims d, norm_tiles t, unsigned block) {
    norm_place at;
    const unsigned tiles = static_cast<unsigned>(t.tiles), splits = static_cast<unsigned>(t.splits);
    const int row = static_cast<int>(threadIdx.y);
    at.tile_channel = static_cast<int>(block % tiles) * t.lanes * V;
    at.channel = at.tile_channel + static_cast<int>(threadIdx.x) * V;
    at.split = static_cast<int>(block / tiles % splits);
    at.image = static_cast<int>(block / tiles / splits);
    const int begin = at.split * t.chunk;
    at.block_rows = d.p - begin < t.chunk ? d.p - begin : t.chunk;
    at.rows = at.channel < d.c ? norm_thread_rows(at.block_rows, row) : 0;
    const size_t image = static_cast<size_t>(at.image), channels = static_cast<size_t>(d.c), first = static_cast<size_t>(at.channel);
    const size_t pixel = image * static_cast<size_t>(d.p) + static_cast<size_t>(begin) + static_cast<size_t>(row);
    at.element = pixel * channels + first;
    at.column = image * channels + first;
    at.stride = static_cast<size_t>(blockDim.y) * channels;
    return at;
}

/*
 * The same for the passes that write, which go through the map from its end: what the pass before them read last may still be in the
 * cache.
 */
template <int V> static __device__ inline norm_place norm_place_from_end(norm_dims d, norm_tiles t) {
    return norm_place_of<V>(d, t, gridDim.x - 1 - blockIdx.x);
}

/* ---- floats of V channels, at 16-byte places where V > 1 ---- */

template <int V> static __device__ inline lanes<V> floats_load(const float *p) {
    lanes<V> out;
    constexpr int step = V == 1 ? 1 : 4;
#pragma unroll
    for (int i = 0; i < V; i += step) {
        const lanes<step> part = lanes_load<step>(p + i);
#pragma unroll
        for (int k = 0; k < step; k++) out.x[i + k] = part.x[k];
    }
    return out;
}

template <int V> static __device__ inline void floats_store(float *p, const lanes<V> &v) {
    constexpr int step = V == 1 ? 1 : 4;
#pragma unroll
    for (int i = 0; i < V; i += step) {
        lanes<step> part;
#pragma unroll
        for (int k = 0; k < step; k++) part.x[k] = v.x[i + k];
        lanes_store<step>(p + i, part);
    }
}

template <int V> static __device__ inline lanes<V> lanes_zero() {
    lanes<V> out;
#pragma unroll
    for (int c = 0; c < V; c++) out.x[c] = 0.0f;
    return out;
}

/* ---- the layer's value and its ReLU ---- */

/*
 * a (x - m) + b, written as the one rounding it takes: forward, reduce and backward must agree to the bit on where it is above 0, whatever
 * a compiler makes of a product and a sum in each of them.
 */
static __device__ inline float norm_value(float centred, float a, float b) {
    return fmaf(a, centred, b);
}

/* How the gradient behind a ReLU is masked: see norm_mask. */
enum norm_masking { NORM_MASK_NONE, NORM_MASK_KEPT, NORM_MASK_AGAIN };

static inline norm_masking norm_masking_of(norm_mask mask) {
    if (mask.y != nullptr) return NORM_MASK_KEPT;
    return mask.a != nullptr ? NORM_MASK_AGAIN : NORM_MASK_NONE;
}

/* Only what MASK needs of y, a and b is looked at. */
template <norm_masking MASK> static __device__ inline float norm_masked(float g, float y, float centred, float a, float b) {
    if constexpr (MASK == NORM_MASK_KEPT) return y > 0.0f ? g : 0.0f;
    if constexpr (MASK == NORM_MASK_AGAIN) return norm_value(centred, a, b) > 0.0f ? g : 0.0f;
    return g;
}

/* What a thread of either backward pass loads before it uses the first of it: COUNT rows of V channels, stride elements apart. */
template <int V, int COUNT> struct norm_rows { lanes<V> gradient[COUNT], output[COUNT], from[COUNT]; };

/* y is read for a kept mask only. */
template <typename T, int V, norm_masking MASK, int COUNT>
static __device__ inline norm_rows<V, COUNT> norm_load_rows(const T *dy, const T *y, const T *x, size_t stride) {
    norm_rows<V, COUNT> r;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const size_t e = static_cast<size_t>(i) * stride;
        r.gradient[i] = lanes_load<V>(dy + e);
        r.from[i] = lanes_load<V>(x + e);
        r.output[i] = MASK == NORM_MASK_KEPT ? lanes_load<V>(y + e) : lanes_zero<V>();
    }
    return r;
}

/* ---- two sums a channel, over the splits: the second kernel ---- */

typedef struct norm_pair {
    double first, second;
} norm_pair;

/*
 * What the first kernel left of one column, two arrays (splits, N C): take(split, first, second) for each of a thread's splits in their
 * order. There are few of these threads, so each loads several splits before it uses the first of them.
 */
template <typename Take>
static __device__ inline void norm_each_split(const float *first, const float *second, int splits, size_t columns, size_t column,
                                              const Take &take) {
    const int step = static_cast<int>(blockDim.y);
#pragma unroll 1
    for (int begin = static_cast<int>(threadIdx.y); begin < splits; begin += NORM_AHEAD * step) {
        float a[NORM_AHEAD] = {}, b[NORM_AHEAD] = {};
#pragma unroll
        for (int i = 0; i < NORM_AHEAD; i++) {
            const int split = begin + i * step;
            const size_t at = static_cast<size_t>(split) * columns + column;
            if (split < splits) a[i] = first[at], b[i] = second[at];
        }
#pragma unroll
        for (int i = 0; i < NORM_AHEAD; i++)
            if (begin + i * step < splits) take(begin + i * step, static_cast<double>(a[i]), static_cast<double>(b[i]));
    }
}

static inline dim3 norm_finish_block(norm_tiles t, size_t columns) {
    const size_t side_by_side = columns < static_cast<size_t>(NORM_LANES) ? columns : static_cast<size_t>(NORM_LANES);
    const int behind = t.splits < NORM_GROUPS ? t.splits : NORM_GROUPS;
    return dim3(static_cast<unsigned>(side_by_side), static_cast<unsigned>(behind));
}

/* The sum over a block's threads one behind the other, in their order, on the first of them. shared: 2 a thread. */
static __device__ inline norm_pair norm_groups_sum(norm_pair mine, norm_pair *shared) {
    const unsigned width = blockDim.x;
    shared[threadIdx.y * width + threadIdx.x] = mine;
    __syncthreads();
    for (unsigned i = 1; threadIdx.y == 0 && i < blockDim.y; i++) {
        const norm_pair other = shared[i * width + threadIdx.x];
        mine.first += other.first;
        mine.second += other.second;
    }
    return mine;
}

#endif
