/*
 * The upsampled loss (see loss.cuh): loss and counts, and what the gradient needs of each label pixel.
 *
 * A block takes a strip of cells whose logits it copies to shared memory, a thread to a label pixel: neighbouring threads read the same
 * classes, nothing is exchanged between them, and the softmax takes one pass with a running maximum. Each block leaves its sums in the
 * scratch memory, added up by a second, small kernel.
 */
#include <float.h>

#include "backend/cuda/loss.cuh"

static constexpr int LOSS_CHUNK = 8;             /* classes at a time of the running maximum */
static constexpr float LOSS_VANISHING = -1e30f;  /* the logits of the classes that fill the last chunk */
static constexpr unsigned LOSS_BLOCKS = 4096;    /* the most blocks of the first kernel */
static constexpr int LOSS_TILE_BYTES = 40 << 10; /* the most shared memory of its logits */
static constexpr int LOSS_PART = 2048;           /* label pixels of a block at a time, about, where cells are large */

/* How the first kernel is shared out: strips of cells along a row of them, each cut into parts of some label rows. */
struct loss_tiles {
    int strips, columns; /* strips a row; the most cells of one */
    int parts, rows;     /* parts of a strip; label rows of one */
    int stride;          /* floats of one pixel's logits in shared memory: whole chunks and one more, so that columns differ in bank */
};

/* The logits around one cell, of the same class: upper left, upper right, lower left, lower right. */
struct loss_corners {
    const float *a, *b, *d, *e;
};

static __device__ inline float logit_at(const loss_corners &z, int k, float fx, float fy) {
    return logit_between(z.a[k], z.b[k], z.d[k], z.e[k], fx, fy);
}

/* ---- one label pixel ---- */

struct loss_softmax {
    float own, largest, total; /* the label's logit; the largest; sum of exp(logit - largest) */
    bool correct;              /* the label's is the first of the largest, and none is NaN */
};

static __device__ inline loss_softmax softmax_of(const loss_corners &z, int classes, int label, float fx, float fy) {
    const float own = logit_at(z, label, fx, fy);
    float largest = -FLT_MAX, total = 0.0f;
    bool beaten = false;
    for (int first = 0; first < classes; first += LOSS_CHUNK) {
        float x[LOSS_CHUNK], top = -FLT_MAX;
#pragma unroll
        for (int i = 0; i < LOSS_CHUNK; i++) {
            x[i] = logit_at(z, first + i, fx, fy);
            top = fmaxf(top, x[i]);
            beaten |= !(x[i] <= own) || (x[i] == own && first + i < label);
        }
        if (top > largest) {
            total *= expf(largest - top);
            largest = top;
        }
#pragma unroll
        for (int i = 0; i < LOSS_CHUNK; i++) total += expf(x[i] - largest);
    }
    return loss_softmax{own, largest, total, !beaten};
}

/* Copies the logits (2, columns + 1, c) around the cells from (image, i, j) on to shared memory; what lies beyond the map is its edge. */
static __device__ inline void load_tile(const float *logits, const loss_maps &m, const loss_tiles &t, int row, int j, int columns,
                                        float *tile) {
    const int warp = static_cast<int>(threadIdx.x) / CUDA_WARP, lane = static_cast<int>(threadIdx.x) % CUDA_WARP;
    const int warps = static_cast<int>(blockDim.x) / CUDA_WARP, i = row % m.h;
    for (int p = warp; p < 2 * (columns + 1); p += warps) {
        const bool lower = p > columns;
        const int x = min(j + (lower ? p - columns - 1 : p), m.w - 1), y = lower && i < m.h - 1 ? row + 1 : row;
        const float *from =
            logits + (static_cast<size_t>(y) * static_cast<size_t>(m.w) + static_cast<size_t>(x)) * static_cast<size_t>(m.c);
        for (int k = lane; k < t.stride - 1; k += CUDA_WARP) tile[p * t.stride + k] = k < m.c ? from[k] : LOSS_VANISHING;
    }
}

/* Sums over the label pixels of one thread. */
struct loss_thread {
    double loss;
    unsigned long long counts; /* valid << 32 | correct */
};

/* Label pixel (y, x) of an image, of the cell in row i; j: the first cell of the tile, columns: its cells. */
static __device__ inline void loss_at(const loss_maps &m, const loss_tiles &t, const float *tile, int i, int j, int columns, int y, int x,
                                      int label, float weight, loss_pixel *out, loss_thread *sums) {
    const bilinear_place h = bilinear_place_of(x, m.w, m.label_w);
    const float *const corner = tile + (h.i0 - j) * t.stride;
    const loss_corners z = {corner, corner + t.stride, corner + (columns + 1) * t.stride, corner + (columns + 2) * t.stride};
    const loss_softmax s = softmax_of(z, m.c, label, h.f, bilinear_fraction(y, i, m.h, m.label_h));
    sums->loss += static_cast<double>(weight) * static_cast<double>(logf(s.total) - (s.own - s.largest));
    sums->counts += (1ULL << 32) + (s.correct ? 1 : 0);
    if (out != nullptr) *out = loss_pixel{s.largest, weight / s.total};
}

/*
 * pixels (n,label_h,label_w) or NULL; partials (gridDim.x). Each logits pixel is copied by two rows of cells, and by two strips at a
 * strip's end, all but the first time from the caches; labels are read once, and 8 bytes a label pixel written once. The minimum would be
 * the logits and labels. Shared memory: the tile, (2, columns + 1, stride).
 */
static __global__ void __launch_bounds__(ROWS_THREADS)
    loss_pixels(const float *logits, const uint8_t *labels, const float *class_weights, loss_maps m, loss_tiles t, unsigned tiles,
                loss_pixel *pixels, loss_sums *partials) {
    EN_DYN_SHARED(float, tile);
    __shared__ double losses[CUDA_WARP];
    __shared__ unsigned long long counts[CUDA_WARP];
    loss_thread sums = {0.0, 0};
    for (unsigned at = blockIdx.x; at < tiles; at += gridDim.x) {
        const int strip = static_cast<int>(at % static_cast<unsigned>(t.strips)),
                  rest = static_cast<int>(at / static_cast<unsigned>(t.strips));
        const int part = rest % t.parts, row = rest / t.parts, i = row % m.h;
        const int j = strip_first(strip, t.strips, m.w), columns = strip_first(strip + 1, t.strips, m.w) - j;
        const int y0 = bilinear_first(i, m.h, m.label_h) + part * t.rows, y1 = min(bilinear_first(i + 1, m.h, m.label_h), y0 + t.rows);
        const int x0 = bilinear_first(j, m.w, m.label_w), width = bilinear_first(j + columns, m.w, m.label_w) - x0;
        if (y1 <= y0 || width <= 0) continue;
        load_tile(logits, m, t, row, j, columns, tile);
        __syncthreads();
        for (int q = static_cast<int>(threadIdx.x); q < (y1 - y0) * width; q += static_cast<int>(blockDim.x)) {
            const int y = y0 + q / width, x = x0 + q % width;
            const size_t line = static_cast<size_t>(row / m.h) * static_cast<size_t>(m.label_h) + static_cast<size_t>(y);
            const size_t pixel = line * static_cast<size_t>(m.label_w) + static_cast<size_t>(x);
            const int label = labels[pixel];
            if (!label_counts(label, m.c)) continue;
            const float weight = class_weights != nullptr ? class_weights[label] : 1.0f;
            loss_at(m, t, tile, i, j, columns, y, x, label, weight, pixels != nullptr ? pixels + pixel : nullptr, &sums);
        }
        __syncthreads();
    }
    const double loss = block_sum(sums.loss, losses);
    const unsigned long long count = block_sum(sums.counts, counts);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = loss_sums{loss, static_cast<double>(count >> 32), static_cast<double>(count & 0xFFFFFFFFu)};
}

/* One block: sums = the blocks' sums, in a fixed order. */
static __global__ void __launch_bounds__(ROWS_THREADS) loss_total(const loss_sums *partials, int count, loss_sums *sums) {
    __shared__ double shared[CUDA_WARP];
    loss_sums own = {0.0, 0.0, 0.0};
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
        own.loss += partials[i].loss;
        own.valid += partials[i].valid;
        own.correct += partials[i].correct;
    }
    own.loss = block_sum(own.loss, shared);
    own.valid = block_sum(own.valid, shared);
    own.correct = block_sum(own.correct, shared);
    if (threadIdx.x == 0) *sums = own;
}

/* ---- all of them ---- */

static loss_tiles tiles_of(const loss_maps &m) {
    const long long cell = static_cast<long long>(m.label_h) * m.label_w / (static_cast<long long>(m.h) * m.w); /* pixels, about */
    const int stride = (m.c + LOSS_CHUNK - 1) / LOSS_CHUNK * LOSS_CHUNK + 1;
    int columns = cell <= 16 ? 16 : cell >= ROWS_THREADS ? 1 : static_cast<int>(ROWS_THREADS / cell);
    const int fit = LOSS_TILE_BYTES / (2 * stride * static_cast<int>(sizeof(float))) - 1;
    columns = columns < fit ? columns : fit > 1 ? fit : 1;
    const int strips = (m.w + columns - 1) / columns;
    const int tallest = m.h == 1 ? m.label_h : (m.label_h / m.h + 1) * 3 / 2 + 1; /* label rows of a cell; the first has half more */
    const int width = (m.label_w + strips - 1) / strips;
    const int rows = LOSS_PART / width > 0 ? LOSS_PART / width : 1;
    return loss_tiles{strips, (m.w + strips - 1) / strips, (tallest + rows - 1) / rows, rows, stride};
}

static void launch_pixels(backend *be, const float *logits, const uint8_t *labels, const float *class_weights, const loss_maps &m,
                          loss_pixel *pixels, loss_sums *sums) {
    const loss_tiles t = tiles_of(m);
    const size_t tiles = static_cast<size_t>(m.n) * static_cast<size_t>(m.h) * static_cast<size_t>(t.strips) * static_cast<size_t>(t.parts);
    const unsigned blocks = tiles < LOSS_BLOCKS ? static_cast<unsigned>(tiles) : LOSS_BLOCKS;
    const size_t height = static_cast<size_t>(m.label_h / m.h + 1), width = static_cast<size_t>(m.label_w / t.strips + 1);
    const size_t shared = 2 * static_cast<size_t>(t.columns + 1) * static_cast<size_t>(t.stride) * sizeof(float);
    loss_sums *partials = static_cast<loss_sums *>(cuda_scratch(be));
    CUDA_LAUNCH(be, "upsampled loss", loss_pixels, blocks, row_threads(height * width), shared, logits, labels, class_weights, m, t,
                static_cast<unsigned>(tiles), pixels, partials);
    CUDA_LAUNCH(be, "upsampled loss", loss_total, 1, row_threads(blocks), 0, partials, static_cast<int>(blocks), sums);
}

extern "C" size_t cuda_upsample_loss_workspace(backend *be, const tensor *logits, int label_h, int label_w) {
    (void)be;
    return static_cast<size_t>(logits->n) * static_cast<size_t>(label_h) * static_cast<size_t>(label_w) * sizeof(loss_pixel);
}

extern "C" void cuda_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w,
                                   const float *class_weights, const tensor *dlogits, loss_sums *sums, void *workspace) {
    const loss_maps m = {logits->n, logits->h, logits->w, logits->c, label_h, label_w};
    const float *from = static_cast<const float *>(logits->data);
    loss_pixel *pixels = dlogits != nullptr ? static_cast<loss_pixel *>(workspace) : nullptr;
    launch_pixels(be, from, labels, class_weights, m, pixels, sums);
    if (dlogits != nullptr) cuda_loss_gradient(be, from, labels, class_weights, pixels, m, dlogits);
}
