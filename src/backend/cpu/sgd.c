/*
 * SGD with momentum in PyTorch's order of operations, in float32: a step from the same numbers gives PyTorch's numbers up to the rounding
 * of fused multiply-adds. The first step needs no case of its own: the momentum buffer starts at zero.
 */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "base/simd.h"

typedef struct sgd_rates {
    float grad_scale, decay, momentum, step;
    bool nesterov;
} sgd_rates;

SIMD_CLONES static void sgd_block(float *restrict w, const float *restrict g, float *restrict v, size_t count, sgd_rates r) {
    if (r.nesterov) {
        for (size_t i = 0; i < count; i++) {
            const float d = r.grad_scale * g[i] + r.decay * w[i];
            const float velocity = r.momentum * v[i] + d;
            v[i] = velocity;
            w[i] -= r.step * (d + r.momentum * velocity);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            const float d = r.grad_scale * g[i] + r.decay * w[i];
            const float velocity = r.momentum * v[i] + d;
            v[i] = velocity;
            w[i] -= r.step * velocity;
        }
    }
}

/* What clipping multiplies the gradients with. */
static double clip_factor(const sgd_rule *rule) {
    const double norm = rule->squares != NULL ? sqrt(*rule->squares) : 0.0;
    return rule->clip_norm > 0.0 && norm > rule->clip_norm ? rule->clip_norm / norm : 1.0;
}

void cpu_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
             const sgd_rule *rule) {
    enum { BLOCK = 8192 };
    (void)elements;
    if (rule->squares != NULL && !isfinite(*rule->squares)) return;
    const double grad_scale = clip_factor(rule);
    for (int s = 0; s < segment_count; s++) {
        const size_t offset = segments[s].offset, count = segments[s].count, blocks = (count + BLOCK - 1) / BLOCK;
        const sgd_rates rates = {.grad_scale = (float)grad_scale,
                                 .decay = segments[s].decay,
                                 .momentum = (float)rule->momentum,
                                 .step = (float)(rule->lr * (double)segments[s].lr_scale),
                                 .nesterov = rule->nesterov};
#pragma omp parallel for num_threads(be->threads) if (count >= CPU_PARALLEL_MIN) schedule(static)
        for (size_t b = 0; b < blocks; b++) {
            const size_t start = offset + b * BLOCK, left = count - b * BLOCK;
            sgd_block(w + start, g + start, v + start, left < BLOCK ? left : BLOCK, rates);
        }
    }
}
