#include "data/image_resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/simd.h"
#include "data/image_internal.h"

/* Weights are integers in units of 2^-22: 255 times the sum of their absolute values stays within 32 bits. */
enum { PRECISION = 32 - 8 - 2 };
static const double LOBES = 3.0, PI = 3.14159265358979323846;

/* For each output pixel of a pass: how many input pixels from which on, and their weights. */
typedef struct pass_taps {
    int longest; /* weights a pixel has room for */
    const int32_t *first, *count, *weights;
} pass_taps;

static double sinc(double x) {
    return x == 0.0 ? 1.0 : sin(PI * x) / (PI * x);
}

static double lanczos(double x) {
    return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0.0;
}

void image_resizer_free(image_resizer *r) {
    image_free(&r->rows);
    free(r->taps);
    memset(r, 0, sizeof *r);
}

/* The weights of one output pixel, adding up to one. double room in w. */
static void weigh(double center, double stretch, int first, int count, double *w, int32_t *weights) {
    double sum = 0.0;
    for (int k = 0; k < count; k++) {
        w[k] = lanczos((k + first - center + 0.5) / stretch);
        sum += w[k];
    }
    for (int k = 0; k < count; k++) {
        const double unit = (sum != 0.0 ? w[k] / sum : w[k]) * (1 << PRECISION);
        weights[k] = (int32_t)(unit < 0.0 ? unit - 0.5 : unit + 0.5);
    }
}

static bool make_taps(image_resizer *r, int in, int out, pass_taps *t) {
    const double scale = (double)in / out, stretch = scale > 1.0 ? scale : 1.0, support = LOBES * stretch;
    t->longest = (int)ceil(support) * 2 + 1;
    const size_t needed = (size_t)out * (size_t)(t->longest + 2);
    if (needed > r->capacity) {
        free(r->taps);
        r->taps = calloc(needed, sizeof *r->taps);
        r->capacity = r->taps == NULL ? 0 : needed;
    }
    double *w = malloc((size_t)t->longest * sizeof *w);
    if (r->taps == NULL || w == NULL) {
        free(w);
        return false;
    }
    int32_t *first = r->taps, *count = first + out, *weights = count + out;
    for (int i = 0; i < out; i++) {
        const double center = (i + 0.5) * scale;
        int begin = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
        if (begin < 0) begin = 0;
        if (end > in) end = in;
        first[i] = begin;
        count[i] = end - begin;
        weigh(center, stretch, begin, count[i], w, weights + (size_t)i * (size_t)t->longest);
    }
    free(w);
    t->first = first;
    t->count = count;
    t->weights = weights;
    return true;
}

static uint8_t to_byte(int32_t sum) {
    const int32_t value = sum >> PRECISION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Every row shorter. */
static void pass_across(const pass_taps *t, const image *from, image *to) {
    const size_t channels = (size_t)from->channels;
    for (int y = 0; y < from->height; y++) {
        const uint8_t *row = from->data + (size_t)y * (size_t)from->width * channels;
        uint8_t *out = to->data + (size_t)y * (size_t)to->width * channels;
        for (int x = 0; x < to->width; x++) {
            const int32_t *w = t->weights + (size_t)x * (size_t)t->longest;
            for (size_t c = 0; c < channels; c++) {
                const uint8_t *p = row + (size_t)t->first[x] * channels + c;
                int32_t sum = 1 << (PRECISION - 1);
                for (int k = 0; k < t->count[x]; k++) sum += w[k] * p[(size_t)k * channels];
                *out++ = to_byte(sum);
            }
        }
    }
}

/* One output row: a sum of input rows. sums: room for a row. */
SIMD_CLONES static void add_row(const uint8_t *row, int32_t weight, size_t n, int32_t *sums) {
    for (size_t i = 0; i < n; i++) sums[i] += weight * row[i];
}

/* Every column shorter. */
static bool pass_down(const pass_taps *t, const image *from, image *to) {
    const size_t n = (size_t)from->width * (size_t)from->channels;
    int32_t *sums = malloc(n * sizeof *sums);
    if (sums == NULL) return false;
    for (int y = 0; y < to->height; y++) {
        const int32_t *w = t->weights + (size_t)y * (size_t)t->longest;
        for (size_t i = 0; i < n; i++) sums[i] = 1 << (PRECISION - 1);
        for (int k = 0; k < t->count[y]; k++) add_row(from->data + (size_t)(t->first[y] + k) * n, w[k], n, sums);
        uint8_t *out = to->data + (size_t)y * n;
        for (size_t i = 0; i < n; i++) out[i] = to_byte(sums[i]);
    }
    free(sums);
    return true;
}

entrain_status image_resize(image_resizer *r, const image *from, int height, int width, image *to, entrain_error *err) {
    static const char name[] = "resizing";
    pass_taps t;
    entrain_status status = image_reshape(&r->rows, from->height, width, from->channels, name, err);
    if (status == ENTRAIN_OK) status = image_reshape(to, height, width, from->channels, name, err);
    if (status != ENTRAIN_OK) return status;
    bool memory = make_taps(r, from->width, width, &t);
    if (memory) pass_across(&t, from, &r->rows);
    memory = memory && make_taps(r, from->height, height, &t) && pass_down(&t, &r->rows, to);
    return memory ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "out of memory for resizing an image to %dx%d", height, width);
}

/* The input pixel under the centre of output pixel i. */
static int64_t nearest(int i, int in, int out) {
    return (2 * (int64_t)i + 1) * in / (2 * (int64_t)out);
}

entrain_status image_resize_nearest(const image *from, int height, int width, image *to, entrain_error *err) {
    const entrain_status status = image_reshape(to, height, width, 1, "resizing", err);
    if (status != ENTRAIN_OK) return status;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = from->data + nearest(y, from->height, height) * from->width;
        for (int x = 0; x < width; x++) to->data[(size_t)y * (size_t)width + (size_t)x] = row[nearest(x, from->width, width)];
    }
    return ENTRAIN_OK;
}
