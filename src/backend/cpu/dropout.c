/*
 * Dropout. Elements 4 j .. 4 j + 3 of an image (counted in NHWC order) take the four words of Philox at the counter
 * (j, layer, position low, position high) under the key of (seed, RANDOM_DROPOUT); an element is kept where its word is at least
 * rate 2^32. Any backend that follows this rule drops the same elements.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"
#include "base/random.h"

enum { BLOCK = 4096 };

static ALWAYS_INLINE void dropout_block(const void *x, void *y, size_t first, size_t count, random_stream s, uint32_t threshold,
                                        float factor, dtype type) {
    for (size_t i = 0; i < count; i += 4) {
        uint32_t word[4];
        s.counter[0] = (uint32_t)((first + i) / 4);
        random_philox(s.key, s.counter, word);
        const size_t lanes = count - i < 4 ? count - i : 4;
        for (size_t k = 0; k < lanes; k++) {
            const float kept = element_load(x, i + k, type) * factor;
            element_store(y, i + k, word[k] >= threshold ? kept : 0.0f, type);
        }
    }
}

void cpu_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y) {
    const size_t image = (size_t)x->h * (size_t)x->w * (size_t)x->c, blocks = (image + BLOCK - 1) / BLOCK;
    const size_t total = (size_t)x->n * blocks;
    const uint32_t threshold = (uint32_t)(rate * 0x1.0p32);
    const float factor = (float)(1.0 / (1.0 - rate));
#pragma omp parallel for num_threads(be->threads) if (tensor_count(x) >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t t = 0; t < total; t++) {
        const size_t n = t / blocks, first = t % blocks * BLOCK, at = n * image + first;
        random_stream s = random_open(seed, RANDOM_DROPOUT, first_position + n);
        s.counter[1] = layer;
        const size_t size = image - first < BLOCK ? image - first : BLOCK;
        const void *from = element_at(x->data, at, x->type);
        void *to = element_to(y->data, at, x->type);
        if (x->type == BF16)
            dropout_block(from, to, first, size, s, threshold, factor, BF16);
        else
            dropout_block(from, to, first, size, s, threshold, factor, F32);
    }
}
