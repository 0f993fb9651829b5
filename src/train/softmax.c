/* See softmax.h. Eight lanes side by side: the order of a sum is that of the lanes, whatever the processor's width. */
#include "train/softmax.h"

#include <string.h>

#include "base/simd.h"

enum { LANES = 8 };

/* Nothing is as small as to leave float32's normal numbers when it is divided by classes and passes: processors are slow there. */
#define LEAST 76.0f

/*
 * e^x for x in [-76, 0], lower ones as -76: 2^n e^r with n whole and |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, whose
 * remainder there is below 1e-8 of it. ln 2 in two parts, so that n ln 2 loses nothing.
 */
static inline float exponential(float x) {
    x = x > -LEAST ? x : -LEAST;                         /* what is not a number too */
    const float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: the sum's last bit is 1, so it is rounded to a whole number */
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float e = 1.98412698e-4f;
    e = e * r + 1.38888889e-3f;
    e = e * r + 8.33333333e-3f;
    e = e * r + 4.16666667e-2f;
    e = e * r + 1.66666667e-1f;
    e = e * r + 0.5f;
    e = (e * r) * r + r + 1.0f;
    const int32_t bits = ((int32_t)n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}

static inline float largest_of(const float *s, int padded) {
    float lanes[LANES];
    for (int l = 0; l < LANES; l++) lanes[l] = s[l];
    for (int k = LANES; k < padded; k += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] = s[k + l] > lanes[l] ? s[k + l] : lanes[l];
    float largest = lanes[0];
    for (int l = 1; l < LANES; l++) largest = lanes[l] > largest ? lanes[l] : largest;
    return largest;
}

/* Each pixel's scores less its largest one. */
SIMD_CLONES static void subtract_largest(float *row, size_t pixels, int padded) {
    for (size_t i = 0; i < pixels; i++, row += padded) {
        const float largest = largest_of(row, padded);
        for (int k = 0; k < padded; k++) row[k] -= largest;
    }
}

SIMD_CLONES static void exponentials(float *x, size_t values) {
    for (size_t i = 0; i < values; i++) x[i] = exponential(x[i]);
}

/* sum += row / (the sum of each pixel's row) */
SIMD_CLONES static void add_shares(const float *restrict row, size_t pixels, int padded, float *restrict sum) {
    for (size_t i = 0; i < pixels; i++, row += padded, sum += padded) {
        float lanes[LANES] = {0};
        for (int k = 0; k < padded; k += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += row[k + l];
        float total = 0.0f;
        for (int l = 0; l < LANES; l++) total += lanes[l];
        const float factor = 1.0f / total;
        for (int k = 0; k < padded; k++) sum[k] += row[k] * factor;
    }
}

void softmax_add(float *row, size_t pixels, int padded, float *sum) {
    subtract_largest(row, pixels, padded);
    exponentials(row, pixels * (size_t)padded);
    add_shares(row, pixels, padded, sum);
}

SIMD_CLONES static void divide(float *row, size_t values, float divisor) {
    for (size_t i = 0; i < values; i++) row[i] /= divisor;
}

void softmax_divide(float *row, size_t values, float divisor) {
    divide(row, values, divisor);
}

SIMD_CLONES static void argmax(const float *row, size_t pixels, int classes, int padded, uint8_t *labels) {
    for (size_t i = 0; i < pixels; i++) {
        const float *s = row + i * (size_t)padded;
        const float largest = largest_of(s, padded);
        int k = 0;
        while (k < classes - 1 && s[k] != largest) k++; /* a score that is not a number equals nothing: the last class */
        labels[i] = (uint8_t)k;
    }
}

void softmax_argmax(const float *row, size_t pixels, int classes, int padded, uint8_t *labels) {
    argmax(row, pixels, classes, padded, labels);
}
