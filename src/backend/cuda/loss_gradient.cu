/*
 * The upsampled loss's gradient (see loss.cuh): a thread to a class. A block walks along a strip of logits pixels of row i and through the
 * cells of rows i-1 and i, whose label pixels it stages in shared memory; what a cell adds to the logits at its right is carried to the
 * next. Nothing is added to memory, and every sum has one order.
 */
#include "backend/cuda/loss.cuh"

/* A label pixel in shared memory. */
struct __align__(16) loss_staged {
    float fx, fy, largest, share;
    float left, right; /* its weights on the logits of the row asked for, at the left and at the right of the cell */
    int label, unused; /* label: -1 where it does not count */
};

/* A cell's label pixels: rows [y0, y0 + rows) and columns [x0, x0 + width) of one image's labels. */
struct loss_cell {
    int i, j;
    int y0, rows, x0, width;
    bool below; /* the cell's lower logits are asked for, not its upper ones */
};

static __device__ inline loss_staged stage(const loss_maps &m, const loss_cell &r, int image, int q, const uint8_t *labels,
                                           const loss_pixel *pixels) {
    const int y = r.y0 + q / r.width, x = r.x0 + q % r.width;
    const size_t line = static_cast<size_t>(image) * static_cast<size_t>(m.label_h) + static_cast<size_t>(y);
    const size_t pixel = line * static_cast<size_t>(m.label_w) + static_cast<size_t>(x);
    const int label = labels[pixel];
    if (!label_counts(label, m.c)) return loss_staged{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -1, 0}; /* has no loss_pixel */
    const loss_pixel p = pixels[pixel];
    const float fx = bilinear_fraction(x, r.j, m.w, m.label_w), fy = bilinear_fraction(y, r.i, m.h, m.label_h);
    const float down = r.below ? fy : 1.0f - fy;
    return loss_staged{fx, fy, p.largest, p.share, down * (1.0f - fx), down * fx, label, 0};
}

/* One class of the four logits around a cell. */
struct loss_values {
    float a, b, d, e;
};

/* One class's gradient from the staged pixels slot, slot + slots, ..., added to *left and *right. */
static __device__ inline void gather(const loss_staged *staged, int count, int slot, int slots, int k, float weight, const loss_values &z,
                                     float *left, float *right) {
    float l = 0.0f, r = 0.0f;
    for (int p = slot; p < count; p += slots) {
        const loss_staged s = staged[p];
        if (s.label < 0) continue;
        const float x = logit_between(z.a, z.b, z.d, z.e, s.fx, s.fy);
        const float g = s.share * expf(x - s.largest) - (s.label == k ? weight : 0.0f);
        l += s.left * g;
        r += s.right * g;
    }
    *left += l;
    *right += r;
}

/*
 * Block x: a row of logits and a strip of it; block y: classes. Its threads: lanes over classes and slots over a cell's pixels. Reads the
 * logits three times and the 9 bytes of each label pixel twice, all but the first from the caches, and writes dlogits once.
 */
template <typename T>
static __global__ void __launch_bounds__(ROWS_THREADS)
    loss_gradient(const float *logits, const uint8_t *labels, const float *class_weights, const loss_pixel *pixels, loss_maps m, int strips,
                  int lanes, T *dlogits) {
    __shared__ loss_staged staged[ROWS_THREADS];
    __shared__ float sums[ROWS_THREADS];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x), slot = thread / lanes,
              slots = threads / lanes;
    const int k = static_cast<int>(blockIdx.y) * lanes + thread % lanes;
    const int row = static_cast<int>(blockIdx.x) / strips, strip = static_cast<int>(blockIdx.x) % strips, i = row % m.h;
    const int first = strip_first(strip, strips, m.w), last = strip_first(strip + 1, strips, m.w);
    const size_t c = static_cast<size_t>(m.c), w = static_cast<size_t>(m.w),
                 own = static_cast<size_t>(row) * w * c + static_cast<size_t>(k);
    const size_t above = i > 0 ? own - w * c : own, under = i < m.h - 1 ? own + w * c : own;
    const int y[3] = {bilinear_first(i - 1, m.h, m.label_h), bilinear_first(i, m.h, m.label_h), bilinear_first(i + 1, m.h, m.label_h)};
    const bool mine = k < m.c;
    const float weight = mine && class_weights != nullptr ? class_weights[k] : 1.0f;
    float carried = 0.0f; /* what the cells at the left gave to the pixel that comes next */
    int x0 = bilinear_first(first > 0 ? first - 1 : 0, m.w, m.label_w);
    for (int j = first > 0 ? first - 1 : 0; j < last; j++) {
        const int x1 = bilinear_first(j + 1, m.w, m.label_w);
        const size_t at = static_cast<size_t>(j) * c, next = static_cast<size_t>(min(j + 1, m.w - 1)) * c;
        float left = 0.0f, right = 0.0f;
        for (int band = 0; band < 2; band++) { /* the cell above, the cell below */
            const loss_cell r = {i - 1 + band, j, band == 0 ? y[0] : y[1], band == 0 ? y[1] - y[0] : y[2] - y[1], x0, x1 - x0, band == 0};
            const size_t upper = band == 0 ? above : own, lower = band == 0 ? own : under;
            loss_values z = {0.0f, 0.0f, 0.0f, 0.0f};
            if (mine && r.rows * r.width > 0)
                z = loss_values{logits[upper + at], logits[upper + next], logits[lower + at], logits[lower + next]};
            for (int base = 0; base < r.rows * r.width; base += threads) {
                const int count = min(threads, r.rows * r.width - base);
                if (thread < count) staged[thread] = stage(m, r, row / m.h, base + thread, labels, pixels);
                __syncthreads();
                if (mine) gather(staged, count, slot, slots, k, weight, z, &left, &right);
                __syncthreads();
            }
        }
        float value = carried + left;
        carried = right;
        x0 = x1;
        if (j < first) continue;
        if (slots > 1) {
            sums[thread] = value;
            __syncthreads();
            for (int s = 1; slot == 0 && s < slots; s++) value += sums[s * lanes + thread];
            __syncthreads();
        }
        if (mine && slot == 0) element_store(dlogits + own + at, value);
    }
}

template <typename T>
static void launch(backend *be, const float *logits, const uint8_t *labels, const float *class_weights, const loss_pixel *pixels,
                   const loss_maps &m, T *dlogits) {
    const size_t rows = static_cast<size_t>(m.n) * static_cast<size_t>(m.h);
    int length = 8; /* logits pixels of a strip: fewer where that would be too few blocks */
    while (length > 1 && rows * static_cast<size_t>((m.w + length - 1) / length) < 1024) length /= 2;
    const int strips = (m.w + length - 1) / length, most = ROWS_THREADS;
    const int padded = m.c <= 8 ? 8 : m.c <= 16 ? 16 : (m.c + CUDA_WARP - 1) / CUDA_WARP * CUDA_WARP, lanes = padded < most ? padded : most;
    const size_t cell = static_cast<size_t>(m.label_h / m.h + 1) * static_cast<size_t>(m.label_w / m.w + 1);
    int slots = static_cast<int>(row_threads(cell)) / lanes; /* no more threads than a cell has pixels */
    if (lanes * slots < CUDA_WARP) slots = lanes < CUDA_WARP ? CUDA_WARP / lanes : 1;
    const dim3 grid(static_cast<unsigned>(rows) * static_cast<unsigned>(strips), static_cast<unsigned>((m.c + lanes - 1) / lanes));
    CUDA_LAUNCH(be, "upsampled loss, gradient", loss_gradient<T>, grid, static_cast<unsigned>(lanes * slots), 0, logits, labels,
                class_weights, pixels, m, strips, lanes, dlogits);
}

void cuda_loss_gradient(backend *be, const float *logits, const uint8_t *labels, const float *class_weights, const loss_pixel *pixels,
                        const loss_maps &m, const tensor *dlogits) {
    if (dlogits->type == BF16)
        launch(be, logits, labels, class_weights, pixels, m, static_cast<__nv_bfloat16 *>(dlogits->data));
    else
        launch(be, logits, labels, class_weights, pixels, m, static_cast<float *>(dlogits->data));
}
