/*
 * Operations that treat every element alike, on blocks of BLOCK elements, small enough to stay in the first cache while a block is passed
 * over several times. "omp simd" says that equal pointers are meant: each place depends on itself alone.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
#include "base/simd.h"

enum { BLOCK = 4096 };

/* ---- leaves, once a type ---- */

#define LEAVES(suffix, type)                                                                                                               \
    SIMD_CLONES static void sum_##suffix(const void *a, const void *b, void *y, size_t count) {                                            \
        _Pragma("omp simd") for (size_t i = 0; i < count; i++)                                                                             \
            element_store(y, i, element_load(a, i, type) + element_load(b, i, type), type);                                                \
    }                                                                                                                                      \
    SIMD_CLONES static void relu_##suffix(const void *x, void *y, size_t count) {                                                          \
        _Pragma("omp simd") for (size_t i = 0; i < count; i++) {                                                                           \
            const float value = element_load(x, i, type);                                                                                  \
            element_store(y, i, value < 0.0f ? 0.0f : value, type); /* NaN stays NaN */                                                    \
        }                                                                                                                                  \
    }                                                                                                                                      \
    SIMD_CLONES static void relu_backward_##suffix(const void *dy, const void *y, void *dx, size_t count) {                                \
        _Pragma("omp simd") for (size_t i = 0; i < count; i++) {                                                                           \
            const float g = element_load(dy, i, type);                                                                                     \
            element_store(dx, i, element_load(y, i, type) > 0.0f ? g : 0.0f, type);                                                        \
        }                                                                                                                                  \
    }                                                                                                                                      \
    SIMD_CLONES static void scale_##suffix(void *x, float factor, size_t count) {                                                          \
        _Pragma("omp simd") for (size_t i = 0; i < count; i++) element_store(x, i, element_load(x, i, type) * factor, type);               \
    }
LEAVES(f32, F32)
LEAVES(bf16, BF16)

SIMD_CLONES static void narrow(const float *x, bf16 *y, size_t count) {
#pragma omp simd
    for (size_t i = 0; i < count; i++) y[i] = bf16_from_float(x[i]);
}

/* ---- operations ---- */

static size_t block_count(size_t elements) {
    return (elements + BLOCK - 1) / BLOCK;
}

/* Elements in the block that begins at `start`. */
static size_t block_size(size_t elements, size_t start) {
    return elements - start < BLOCK ? elements - start : BLOCK;
}

/* In the inputs' order; a sum of more than two in bfloat16 is rounded after each. */
void cpu_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK, size = block_size(elements, start);
        void *to = element_to(y, start, type);
        const void *first = element_at(inputs[0], start, type);
        if (count == 1) memmove(to, first, size * dtype_size(type));
        for (int k = 1; k < count; k++)
            (type == BF16 ? sum_bf16 : sum_f32)(k == 1 ? first : to, element_at(inputs[k], start, type), to, size);
    }
}

void cpu_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type) {
    const void *const inputs[2] = {y, x};
    cpu_add(be, inputs, 2, y, elements, type);
}

void cpu_upload_floats(backend *be, void *to, dtype type, const float *from_host, size_t elements) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK, size = block_size(elements, start);
        if (type == BF16)
            narrow(from_host + start, (bf16 *)to + start, size);
        else
            memcpy((float *)to + start, from_host + start, size * sizeof(float));
    }
}

void cpu_relu_forward(backend *be, const void *x, void *y, size_t elements, dtype type) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK;
        (type == BF16 ? relu_bf16 : relu_f32)(element_at(x, start, type), element_to(y, start, type), block_size(elements, start));
    }
}

void cpu_relu_backward(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type) {
    const size_t blocks = block_count(elements);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK;
        (type == BF16 ? relu_backward_bf16 : relu_backward_f32)(element_at(dy, start, type), element_at(y, start, type),
                                                                element_to(dx, start, type), block_size(elements, start));
    }
}

void cpu_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type) {
    const size_t blocks = block_count(elements);
    const float by = (float)(*divisor != 0.0 ? factor / *divisor : 0.0);
#pragma omp parallel for num_threads(be->threads) if (elements >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        const size_t start = b * BLOCK;
        (type == BF16 ? scale_bf16 : scale_f32)(element_to(x, start, type), by, block_size(elements, start));
    }
}
