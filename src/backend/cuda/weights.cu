/*
 * Weights between a checkpoint's order, (C_out, C_in, taps), and the one that convolutions of NHWC maps take, (C_out, taps, C_in). Each
 * output channel is a small matrix that is transposed through shared memory, so that both sides are read and written along their rows.
 */
#include "backend/cuda/each.cuh"

enum { THREADS = 256, WARPS = THREADS / CUDA_WARP };
enum { SMALL = 1024 };                  /* elements of whole matrices that a block takes where they are small */
enum { CHANNELS = 64, SHARED = 12288 }; /* input channels that a block takes where they are not; floats of shared memory at most */

/*
 * from (matrices, rows, columns) -> to (matrices, columns, rows), `together` matrices a block: together * rows * columns <= SMALL. Bytes
 * per element: one of each type, the minimum.
 */
template <typename From, typename To>
static __global__ void __launch_bounds__(THREADS)
    small_kernel(const From *from, To *to, int matrices, int together, int rows, int columns) {
    __shared__ float tile[SMALL];
    const int size = rows * columns, first = static_cast<int>(blockIdx.x) * together;
    const int count = (matrices - first < together ? matrices - first : together) * size;
    const size_t at = static_cast<size_t>(first) * static_cast<size_t>(size);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) tile[i] = element_load(from + at + i);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) {
        const int place = i % size, column = place / rows, row = place - column * rows;
        element_store(to + at + i, tile[i - place + row * columns + column]);
    }
}

/* Rows of the tile are an odd number of floats apart: what a warp reads along a column lies in different banks. */
static __host__ __device__ inline int tile_row(int taps) {
    return taps | 1;
}

/* A run of `channels` rows of w, which are contiguous, and the tile: (channels, taps) w -> tile, or back where OUT. */
template <bool OUT, typename W> static __device__ inline void run_copy(W *w, int channels, int taps, float *tile) {
    const int row = tile_row(taps);
    for (int i = static_cast<int>(threadIdx.x); i < channels * taps; i += THREADS) {
        float *const place = tile + (row == taps ? i : i / taps * row + i % taps);
        if constexpr (OUT)
            w[i] = *place;
        else
            *place = w[i];
    }
}

/* The tile and `channels` columns of packed, which has c_in of them: (taps, channels) packed -> tile, or back where OUT. */
template <bool OUT, typename P> static __device__ inline void columns_copy(P *packed, int channels, int c_in, int taps, float *tile) {
    const int row = tile_row(taps), lane = static_cast<int>(threadIdx.x) % CUDA_WARP;
    for (int tap = static_cast<int>(threadIdx.x) / CUDA_WARP; tap < taps; tap += WARPS) {
        P *const line = packed + static_cast<size_t>(tap) * static_cast<size_t>(c_in);
        for (int channel = lane; channel < channels; channel += CUDA_WARP) {
            if constexpr (OUT)
                element_store(line + channel, tile[channel * row + tap]);
            else
                tile[channel * row + tap] = element_load(line + channel);
        }
    }
}

/* One block: `width` input channels of one output channel; `across` blocks for all. Bytes per element: one of each type, the minimum. */
template <typename T>
static __global__ void __launch_bounds__(THREADS) pack_kernel(const float *w, T *packed, int c_in, int taps, int width, int across) {
    EN_DYN_SHARED(float, tile);
    const int out = static_cast<int>(blockIdx.x) / across, in = (static_cast<int>(blockIdx.x) - out * across) * width;
    const int channels = c_in - in < width ? c_in - in : width;
    const size_t matrix = static_cast<size_t>(out) * static_cast<size_t>(c_in) * static_cast<size_t>(taps);
    run_copy<false>(w + matrix + static_cast<size_t>(in) * static_cast<size_t>(taps), channels, taps, tile);
    __syncthreads();
    columns_copy<true>(packed + matrix + in, channels, c_in, taps, tile);
}

/* The same, back. */
template <typename T>
static __global__ void __launch_bounds__(THREADS) unpack_kernel(const T *packed, float *w, int c_in, int taps, int width, int across) {
    EN_DYN_SHARED(float, tile);
    const int out = static_cast<int>(blockIdx.x) / across, in = (static_cast<int>(blockIdx.x) - out * across) * width;
    const int channels = c_in - in < width ? c_in - in : width;
    const size_t matrix = static_cast<size_t>(out) * static_cast<size_t>(c_in) * static_cast<size_t>(taps);
    columns_copy<false>(packed + matrix + in, channels, c_in, taps, tile);
    __syncthreads();
    run_copy<true>(w + matrix + static_cast<size_t>(in) * static_cast<size_t>(taps), channels, taps, tile);
}

/* ---- launches ---- */

struct tiling {
    int width, across; /* input channels a block, blocks an output channel */
    unsigned blocks;
    size_t shared; /* bytes */
};

static tiling tiling_of(int c_out, int c_in, int taps) {
    const int room = SHARED / tile_row(taps), width = room < CHANNELS ? room : CHANNELS;
    tiling t;
    t.width = width > 0 ? width : 1; /* of more than 110 x 110 taps no launch has the memory, which the launch then says */
    t.across = (c_in + t.width - 1) / t.width;
    t.blocks = static_cast<unsigned>(c_out) * static_cast<unsigned>(t.across);
    t.shared = static_cast<size_t>(t.width) * static_cast<size_t>(tile_row(taps)) * sizeof(float);
    return t;
}

/* Whether two matrices or more fit into a block of small_kernel. */
static bool is_small(int c_in, int taps) {
    return static_cast<size_t>(c_in) * static_cast<size_t>(taps) <= SMALL / 2;
}

template <typename From, typename To>
static void small_launch(backend *be, const char *name, const From *from, To *to, int matrices, int rows, int columns) {
    const int together = SMALL / (rows * columns);
    const unsigned blocks = blocks_for(static_cast<size_t>(matrices), together);
    CUDA_LAUNCH(be, name, (small_kernel<From, To>), blocks, THREADS, 0, from, to, matrices, together, rows, columns);
}

template <typename T> static void pack_launch(backend *be, const float *w, int c_out, int c_in, int taps, void *to) {
    static const char name[] = "weights_pack";
    T *packed = static_cast<T *>(to);
    const tiling t = tiling_of(c_out, c_in, taps);
    if (is_small(c_in, taps))
        small_launch(be, name, w, packed, c_out, c_in, taps);
    else
        CUDA_LAUNCH(be, name, pack_kernel<T>, t.blocks, THREADS, t.shared, w, packed, c_in, taps, t.width, t.across);
}

template <typename T> static void unpack_launch(backend *be, const void *from, int c_out, int c_in, int taps, float *w) {
    static const char name[] = "weights_unpack";
    const T *packed = static_cast<const T *>(from);
    const tiling t = tiling_of(c_out, c_in, taps);
    if (is_small(c_in, taps))
        small_launch(be, name, packed, w, c_out, taps, c_in);
    else
        CUDA_LAUNCH(be, name, unpack_kernel<T>, t.blocks, THREADS, t.shared, packed, w, c_in, taps, t.width, t.across);
}

static size_t weight_count(int c_out, int c_in, int taps) {
    return static_cast<size_t>(c_out) * static_cast<size_t>(c_in) * static_cast<size_t>(taps);
}

/* With one tap, or one input channel, both orders are the same. */
static bool same_order(int c_in, int taps) {
    return taps == 1 || c_in == 1;
}

void cuda_weights_pack(backend *be, const float *w, int c_out, int c_in, int taps, dtype type, void *packed) {
    if (weight_count(c_out, c_in, taps) == 0) return;
    if (same_order(c_in, taps))
        cuda_convert(be, w, F32, packed, type, weight_count(c_out, c_in, taps));
    else
        (type == BF16 ? pack_launch<__nv_bfloat16> : pack_launch<float>)(be, w, c_out, c_in, taps, packed);
}

void cuda_weights_unpack(backend *be, const void *packed, int c_out, int c_in, int taps, dtype type, float *w) {
    if (weight_count(c_out, c_in, taps) == 0) return;
    if (same_order(c_in, taps))
        cuda_convert(be, packed, type, w, F32, weight_count(c_out, c_in, taps));
    else
        (type == BF16 ? unpack_launch<__nv_bfloat16> : unpack_launch<float>)(be, packed, c_out, c_in, taps, w);
}
