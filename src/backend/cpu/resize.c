/*
 * Bilinear resize, align_corners false. Forward reads four neighbours for each output. Backward gathers rows: each input row goes through
 * the output rows that read it, in order, and takes its part of their gradients, so that no two threads add to one place.
 */
#include <string.h>

#include "backend/cpu/bilinear.h"
#include "backend/cpu/cpu.h"
#include "base/simd.h"

/* One output row y (OW,C) from the two input rows (W,C) around it, mixed with weight f. */
SIMD_CLONES static void resize_row(const float *row0, const float *row1, float f, int w, int ow, int channels, float *restrict y) {
    const size_t c = (size_t)channels;
    for (int ox = 0; ox < ow; ox++, y += c) {
        const bilinear_tap t = bilinear_at(ox, w, ow);
        const float *a = row0 + (size_t)t.i0 * c, *b = row0 + (size_t)t.i1 * c;
        const float *d = row1 + (size_t)t.i0 * c, *e = row1 + (size_t)t.i1 * c;
        const float wa = (1.0f - f) * (1.0f - t.f), wb = (1.0f - f) * t.f, wd = f * (1.0f - t.f), we = f * t.f;
        for (size_t i = 0; i < c; i++) y[i] = wa * a[i] + wb * b[i] + (wd * d[i] + we * e[i]);
    }
}

/* dx (W,C) += weight x the gradient of one output row dy (OW,C). */
SIMD_CLONES static void resize_backward_row(const float *dy, float weight, int w, int ow, int channels, float *dx) {
    const size_t c = (size_t)channels;
    for (int ox = 0; ox < ow; ox++, dy += c) {
        const bilinear_tap t = bilinear_at(ox, w, ow);
        const float w0 = weight * (1.0f - t.f), w1 = weight * t.f;
        float *restrict left = dx + (size_t)t.i0 * c;
        for (size_t i = 0; i < c; i++) left[i] += w0 * dy[i];
        float *restrict right = dx + (size_t)t.i1 * c;
        for (size_t i = 0; i < c; i++) right[i] += w1 * dy[i];
    }
}

void cpu_resize_forward(backend *be, const tensor *x, tensor *y) {
    const size_t in_row = (size_t)x->w * (size_t)x->c, out_row = (size_t)y->w * (size_t)y->c;
    const int rows = y->n * y->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(y) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        const bilinear_tap t = bilinear_at(r % y->h, x->h, y->h);
        const float *const image = (const float *)x->data + (size_t)(r / y->h) * (size_t)x->h * in_row;
        resize_row(image + (size_t)t.i0 * in_row, image + (size_t)t.i1 * in_row, t.f, x->w, y->w, y->c,
                   (float *)y->data + (size_t)r * out_row);
    }
}

void cpu_resize_backward(backend *be, const tensor *dy, tensor *dx) {
    const size_t in_row = (size_t)dx->w * (size_t)dx->c, out_row = (size_t)dy->w * (size_t)dy->c;
    const int rows = dx->n * dx->h;
#pragma omp parallel for num_threads(be->threads) if (tensor_count(dy) >= CPU_PARALLEL_MIN) schedule(static)
    for (int r = 0; r < rows; r++) {
        const int iy = r % dx->h;
        const float *const image = (const float *)dy->data + (size_t)(r / dx->h) * (size_t)dy->h * out_row;
        float *const row = (float *)dx->data + (size_t)r * in_row;
        memset(row, 0, in_row * sizeof *row);
        for (int oy = 0; oy < dy->h; oy++) {
            const bilinear_tap t = bilinear_at(oy, dx->h, dy->h);
            const float weight = (t.i0 == iy ? 1.0f - t.f : 0.0f) + (t.i1 == iy ? t.f : 0.0f);
            if (weight != 0.0f) resize_backward_row(image + (size_t)oy * out_row, weight, dx->w, dy->w, dx->c, row);
        }
    }
}
