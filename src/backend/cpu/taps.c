/*
 * A dilated classifier (2048 channels to a few classes, dilation 6 to 24 on small maps) is where oneDNN is slow: AMX kernels that copy wide
 * halos, and matrix products over k k c_in columns where a generated kernel does not take the padding. Few outputs make another way cheap.
 * One product gives what every input pixel contributes through every tap, k k c_out numbers; an output pixel is the sum of nine of them.
 * The gradients go the same way back: dy is laid out by taps, zero where a tap looks beyond the map, and one product does the rest.
 */
#include "backend/cpu/taps.h"

#include <string.h>

#include "backend/cpu/elements.h"
#include "base/memory.h"
#include "base/simd.h"

enum { CHUNK = 64, PART = 256 };

bool taps_suit(const conv_desc *d, enum pass_kind kind, const char *implementation) {
    if (d->kernel == 1 || d->stride != 1 || d->groups != 1) return false;
    if (d->c_out * d->kernel * d->kernel > d->c_in) return false; /* then the product's map is larger than x */
    if (strstr(implementation, "gemm") != NULL) return true;
    if (kind == BACKWARD_WEIGHTS && d->type == F32 && d->dilation > 1) return true; /* the plain product is faster than the kernel */
    return kind == FORWARD && d->dilation > 1 && strstr(implementation, "amx") != NULL;
}

conv_desc taps_product(const conv_desc *d) {
    conv_desc p = *d;
    p.c_out = d->c_out * d->kernel * d->kernel;
    p.kernel = p.dilation = 1;
    p.padding = 0;
    p.bias = false;
    p.y_type = F32;
    return p;
}

static int taps_of(const conv_desc *d) {
    return d->kernel * d->kernel;
}

size_t taps_weight_bytes(const conv_desc *d) {
    return memory_round((size_t)taps_of(d) * (size_t)d->c_out * (size_t)d->c_in * sizeof(float));
}

size_t taps_map_bytes(const conv_desc *d, enum pass_kind kind) {
    const size_t pixels = (size_t)d->n * (size_t)d->h * (size_t)d->w;
    return memory_round(pixels * (size_t)taps_of(d) * (size_t)d->c_out * dtype_size(kind == FORWARD ? F32 : d->type));
}

/* ---- weights ---- */

/* Between count x taps and taps rows of count that are stride apart, for a part that fits into the nearest cache. */
static void spread_part(const float *w, int count, int taps, float *all, size_t stride) {
    for (int t = 0; t < taps; t++) {
        float *const to = all + (size_t)t * stride;
        for (int i = 0; i < count; i++) to[i] = w[i * taps + t];
    }
}

static void gather_part(const float *all, size_t stride, int count, int taps, float *w) {
    for (int i = 0; i < count; i++) {
        for (int t = 0; t < taps; t++) w[i * taps + t] = all[(size_t)t * stride + (size_t)i];
    }
}

void taps_spread_weights(const conv_desc *d, const float *w, float *all) {
    const int taps = taps_of(d), in = d->c_in, parts = (in + PART - 1) / PART;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < d->c_out * parts; k++) {
        const int first = k % parts * PART, count = in - first < PART ? in - first : PART;
        const size_t at = (size_t)(k / parts) * (size_t)in + (size_t)first;
        spread_part(w + at * (size_t)taps, count, taps, all + at, (size_t)d->c_out * (size_t)in);
    }
}

void taps_gather_weights(const conv_desc *d, const float *all, float *w) {
    const int taps = taps_of(d), in = d->c_in, parts = (in + PART - 1) / PART;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < d->c_out * parts; k++) {
        const int first = k % parts * PART, count = in - first < PART ? in - first : PART;
        const size_t at = (size_t)(k / parts) * (size_t)in + (size_t)first;
        gather_part(all + at, (size_t)d->c_out * (size_t)in, count, taps, w + at * (size_t)taps);
    }
}

/* ---- maps ---- */

typedef struct place {
    int oh, ow; /* of y */
} place;

static place place_of(const conv_desc *d) {
    return (place){conv_out(d->h, d->kernel, 1, d->padding, d->dilation), conv_out(d->w, d->kernel, 1, d->padding, d->dilation)};
}

SIMD_CLONES static void add_chunk(float *sum, const float *from, int count) {
    for (int c = 0; c < count; c++) sum[c] += from[c];
}

SIMD_CLONES static void store_chunk(const float *sum, void *y, size_t at, int count, dtype type) {
    if (type == BF16)
        for (int c = 0; c < count; c++) element_store(y, at + (size_t)c, sum[c], BF16);
    else
        for (int c = 0; c < count; c++) element_store(y, at + (size_t)c, sum[c], F32);
}

/* The sum at one output pixel. */
static void sum_pixel(const conv_desc *d, const float *image, const float *bias, int oy, int ox, void *y, size_t at) {
    float sum[CHUNK];
    for (int first = 0; first < d->c_out; first += CHUNK) {
        const int count = d->c_out - first < CHUNK ? d->c_out - first : CHUNK;
        for (int c = 0; c < count; c++) sum[c] = bias != NULL ? bias[first + c] : 0.0f;
        for (int t = 0; t < taps_of(d); t++) {
            const int iy = oy - d->padding + t / d->kernel * d->dilation, ix = ox - d->padding + t % d->kernel * d->dilation;
            if (iy < 0 || iy >= d->h || ix < 0 || ix >= d->w) continue;
            const size_t pixel = (size_t)iy * (size_t)d->w + (size_t)ix;
            add_chunk(sum, image + (pixel * (size_t)taps_of(d) + (size_t)t) * (size_t)d->c_out + first, count);
        }
        store_chunk(sum, y, at + (size_t)first, count, d->y_type);
    }
}

void taps_sum(const conv_desc *d, const float *all, const float *bias, void *y) {
    const place p = place_of(d);
    const size_t image = (size_t)d->h * (size_t)d->w * (size_t)taps_of(d) * (size_t)d->c_out;
#pragma omp parallel for schedule(static)
    for (int row = 0; row < d->n * p.oh; row++) {
        for (int ox = 0; ox < p.ow; ox++)
            sum_pixel(d, all + (size_t)(row / p.oh) * image, bias, row % p.oh, ox, y,
                      ((size_t)row * (size_t)p.ow + (size_t)ox) * (size_t)d->c_out);
    }
}

void taps_spread(const conv_desc *d, const void *dy, void *all) {
    const place p = place_of(d);
    const size_t bytes = (size_t)d->c_out * dtype_size(d->type);
#pragma omp parallel for schedule(static)
    for (int row = 0; row < d->n * d->h; row++) {
        const int image = row / d->h, iy = row % d->h;
        for (int ix = 0; ix < d->w; ix++) {
            char *const to = (char *)all + ((size_t)row * (size_t)d->w + (size_t)ix) * (size_t)taps_of(d) * bytes;
            for (int t = 0; t < taps_of(d); t++) {
                const int oy = iy + d->padding - t / d->kernel * d->dilation, ox = ix + d->padding - t % d->kernel * d->dilation;
                const size_t pixel = ((size_t)image * (size_t)p.oh + (size_t)oy) * (size_t)p.ow + (size_t)ox;
                if (oy < 0 || oy >= p.oh || ox < 0 || ox >= p.ow)
                    memset(to + (size_t)t * bytes, 0, bytes);
                else
                    memcpy(to + (size_t)t * bytes, (const char *)dy + pixel * bytes, bytes);
            }
        }
    }
}

void taps_bias_gradient(const conv_desc *d, const void *dy, float *dbias) {
    const place p = place_of(d);
    const size_t pixels = (size_t)d->n * (size_t)p.oh * (size_t)p.ow;
#pragma omp parallel for schedule(static)
    for (int first = 0; first < d->c_out; first += CHUNK) {
        const int count = d->c_out - first < CHUNK ? d->c_out - first : CHUNK;
        double sum[CHUNK] = {0.0};
        for (size_t i = 0; i < pixels; i++) {
            for (int c = 0; c < count; c++) sum[c] += (double)element_load(dy, i * (size_t)d->c_out + (size_t)(first + c), d->type);
        }
        for (int c = 0; c < count; c++) dbias[first + c] = (float)sum[c];
    }
}
