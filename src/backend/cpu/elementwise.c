/*
 * Operations that treat every element alike, and sums over all elements.
 *
 * Each works on blocks of BLOCK floats, small enough to stay in the first cache while a block is passed over several times. The sums cut
 * their input into at most CHUNKS pieces at places that depend on its length alone and add the pieces' results in order, so they give the
 * same bits for any number of threads.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/random.h"
#include "base/simd.h"

enum { BLOCK = 4096, CHUNKS = 256 };

static size_t block_count(size_t elements) {
    return (elements + BLOCK - 1) / BLOCK;
}

/* Elements in the block that begins at `start`. */
static size_t block_size(size_t elements, size_t start) {
    return elements - start < BLOCK ? elements - start : BLOCK;
}

/* ---- leaves; "omp simd" says that equal pointers are meant: each place depends on itself alone ---- */

SIMD_CLONES static void sum_block(const float *a, const float *b, float *y, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

SIMD_CLONES static void relu_block(const float *x, float *y, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i]; /* NaN stays NaN */
}

SIMD_CLONES static void relu_backward_block(const float *dy, const float *y, float *dx, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

SIMD_CLONES static void scale_block(float *x, float factor, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) x[i] *= factor;
}

SIMD_CLONES static double squares_chunk(const float *x, size_t count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Whether an exponent of all ones, that is an infinity or NaN, is among the numbers. */
SIMD_CLONES static bool nonfinite_chunk(const float *x, size_t count) {
    int found = 0;
#pragma omp simd reduction(| : found)
    for (size_t i = 0; i < count; i++) {
        union {
            float f;
            uint32_t u;
        } bits = {.f = x[i]};
        found |= (bits.u & 0x7F800000u) == 0x7F800000u;
    }
    return found != 0;
}

/* ---- operations ---- */

void cpu_add(backend *be, const float *const *inputs, int count, float *y, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK, size = block_size(elements, start);
        if (count == 1)
            memmove(y + start, inputs[0] + start, size * sizeof *y);
        else
            sum_block(inputs[0] + start, inputs[1] + start, y + start, size);
        for (int k = 2; k < count; k++) sum_block(y + start, inputs[k] + start, y + start, size);
    }
}

void cpu_accumulate(backend *be, const float *x, float *y, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        sum_block(y + b * BLOCK, x + b * BLOCK, y + b * BLOCK, block_size(elements, b * BLOCK));
    }
}

void cpu_relu_forward(backend *be, const float *x, float *y, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) relu_block(x + b * BLOCK, y + b * BLOCK, block_size(elements, b * BLOCK));
}

void cpu_relu_backward(backend *be, const float *dy, const float *y, float *dx, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK;
        relu_backward_block(dy + start, y + start, dx + start, block_size(elements, start));
    }
}

void cpu_scale(backend *be, float *x, double factor, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) scale_block(x + b * BLOCK, (float)factor, block_size(elements, b * BLOCK));
}

/*
 * Dropout. Elements 4 j .. 4 j + 3 of an image (counted in NHWC order) take the four words of Philox at the counter
 * (j, layer, position low, position high) under the key of (seed, RANDOM_DROPOUT); an element is kept where its word is at least
 * rate 2^32. Any backend that follows this rule drops the same elements.
 */
static void dropout_block(const float *x, float *y, size_t first, size_t count, random_stream s, uint32_t threshold, float factor) {
    for (size_t i = 0; i < count; i += 4) {
        uint32_t word[4];
        s.counter[0] = (uint32_t)((first + i) / 4);
        random_philox(s.key, s.counter, word);
        const size_t lanes = count - i < 4 ? count - i : 4;
        for (size_t k = 0; k < lanes; k++) y[i + k] = word[k] >= threshold ? x[i + k] * factor : 0.0f;
    }
}

void cpu_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y) {
    const size_t image = (size_t)x->h * (size_t)x->w * (size_t)x->c, blocks = block_count(image);
    const size_t total = (size_t)x->n * blocks;
    const uint32_t threshold = (uint32_t)(rate * 0x1.0p32);
    const float factor = (float)(1.0 / (1.0 - rate));
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t t = 0; t < total; t++) {
        const size_t n = t / blocks, first = t % blocks * BLOCK, at = n * image + first;
        random_stream s = random_open(seed, RANDOM_DROPOUT, first_position + n);
        s.counter[1] = layer;
        dropout_block(x->data + at, y->data + at, first, block_size(image, first), s, threshold, factor);
    }
}

/* ---- over all elements ---- */

/* Floats in each chunk: whole blocks, as few as give no more than CHUNKS chunks. */
static size_t chunk_size(size_t elements) {
    return (block_count(elements) + CHUNKS - 1) / CHUNKS * BLOCK;
}

double cpu_sum_squares(backend *be, const float *x, size_t elements) {
    if (elements == 0) return 0.0;
    const size_t size = chunk_size(elements), chunks = (elements + size - 1) / size;
    double partial[CHUNKS];
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        const size_t start = k * size;
        partial[k] = squares_chunk(x + start, elements - start < size ? elements - start : size);
    }
    double sum = 0.0;
    for (size_t k = 0; k < chunks; k++) sum += partial[k];
    return sum;
}

int64_t cpu_find_nonfinite(backend *be, const float *x, size_t elements) {
    if (elements == 0) return -1;
    const size_t size = chunk_size(elements), chunks = (elements + size - 1) / size;
    bool found[CHUNKS];
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        const size_t start = k * size;
        found[k] = nonfinite_chunk(x + start, elements - start < size ? elements - start : size);
    }
    for (size_t k = 0; k < chunks; k++) {
        if (!found[k]) continue;
        for (size_t i = k * size; i < elements; i++) {
            if (nonfinite_chunk(x + i, 1)) return (int64_t)i;
        }
    }
    return -1;
}
