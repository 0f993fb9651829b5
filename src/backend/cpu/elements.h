/*
 * Reading and writing an element of either type. `type` is a constant where these are inlined, so that a loop over them is the plain
 * vectorised loop of that type.
 */
#ifndef BACKEND_CPU_ELEMENTS_H
#define BACKEND_CPU_ELEMENTS_H

#include "backend/backend.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE float element_load(const void *p, size_t i, dtype type) {
    return type == BF16 ? bf16_to_float(((const bf16 *)p)[i]) : ((const float *)p)[i];
}

static ALWAYS_INLINE void element_store(void *p, size_t i, float value, dtype type) {
    if (type == BF16)
        ((bf16 *)p)[i] = bf16_from_float(value);
    else
        ((float *)p)[i] = value;
}

/* The element i of p: where a part of a map begins. */
static ALWAYS_INLINE const void *element_at(const void *p, size_t i, dtype type) {
    return (const char *)p + i * dtype_size(type);
}

static ALWAYS_INLINE void *element_to(void *p, size_t i, dtype type) {
    return (char *)p + i * dtype_size(type);
}

/* How the gradient behind a ReLU is masked: see norm_mask. */
typedef enum mask_kind { MASK_NONE, MASK_KEPT, MASK_AGAIN } mask_kind;

static inline mask_kind mask_kind_of(norm_mask mask) {
    if (mask.y != NULL) return MASK_KEPT;
    return mask.a != NULL ? MASK_AGAIN : MASK_NONE;
}

#endif
