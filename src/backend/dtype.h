/*
 * How activations and their gradients are stored. bfloat16 is the upper half of a float: the same range, 8 bits of precision. Arithmetic is
 * always float32 or wider; only storage differs.
 */
#ifndef BACKEND_DTYPE_H
#define BACKEND_DTYPE_H

#include <stddef.h>
#include <stdint.h>

typedef enum dtype { F32, BF16 } dtype;

typedef uint16_t bf16;

static inline size_t dtype_size(dtype type) {
    return type == BF16 ? sizeof(bf16) : sizeof(float);
}

typedef union float_bits {
    float f;
    uint32_t u;
} float_bits;

static inline float bf16_to_float(bf16 x) {
    const float_bits bits = {.u = (uint32_t)x << 16};
    return bits.f;
}

/* The nearest, ties to even, as processors and PyTorch round; a NaN stays one. Without branches, so that loops of it are vectorised. */
static inline bf16 bf16_from_float(float x) {
    const float_bits bits = {.f = x};
    const uint32_t rounded = bits.u + 0x7FFFu + ((bits.u >> 16) & 1u);
    return (bf16)((x == x ? rounded : 0x7FC00000u) >> 16);
}

#endif
