/*
 * Sums over all elements. They cut their input into at most CHUNKS pieces at places that depend on its length alone and add the pieces'
 * results in order, so they give the same bits for any number of threads.
 */
#include "backend/cpu/cpu.h"
#include "base/simd.h"

enum { BLOCK = 4096, CHUNKS = 256 };

SIMD_CLONES static double squares_chunk(const float *x, size_t count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Whether an exponent of all ones, that is an infinity or NaN, is among the numbers. */
SIMD_CLONES static bool nonfinite_f32(const float *x, size_t count) {
    int found = 0;
#pragma omp simd reduction(| : found)
    for (size_t i = 0; i < count; i++) {
        const float_bits bits = {.f = x[i]};
        found |= (bits.u & 0x7F800000u) == 0x7F800000u;
    }
    return found != 0;
}

SIMD_CLONES static bool nonfinite_bf16(const bf16 *x, size_t count) {
    int found = 0;
#pragma omp simd reduction(| : found)
    for (size_t i = 0; i < count; i++) found |= (x[i] & 0x7F80) == 0x7F80;
    return found != 0;
}

static bool nonfinite(const void *x, size_t first, size_t count, dtype type) {
    return type == BF16 ? nonfinite_bf16((const bf16 *)x + first, count) : nonfinite_f32((const float *)x + first, count);
}

/* Elements in each chunk: whole blocks, as few as give no more than CHUNKS chunks. */
static size_t chunk_size(size_t elements) {
    return ((elements + BLOCK - 1) / BLOCK + CHUNKS - 1) / CHUNKS * BLOCK;
}

void cpu_sum_squares(backend *be, const float *x, size_t elements, double *sum) {
    if (elements == 0) return;
    const size_t size = chunk_size(elements), chunks = (elements + size - 1) / size;
    double partial[CHUNKS];
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        const size_t start = k * size;
        partial[k] = squares_chunk(x + start, elements - start < size ? elements - start : size);
    }
    double own = 0.0;
    for (size_t k = 0; k < chunks; k++) own += partial[k];
    *sum += own;
}

int64_t cpu_find_nonfinite(backend *be, const void *x, size_t elements, dtype type) {
    if (elements == 0) return -1;
    const size_t size = chunk_size(elements), chunks = (elements + size - 1) / size;
    bool found[CHUNKS];
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        const size_t start = k * size;
        found[k] = nonfinite(x, start, elements - start < size ? elements - start : size, type);
    }
    for (size_t k = 0; k < chunks; k++) {
        if (!found[k]) continue;
        for (size_t i = k * size; i < elements; i++) {
            if (nonfinite(x, i, 1, type)) return (int64_t)i;
        }
    }
    return -1;
}
