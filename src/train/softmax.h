/* Softmax and argmax of rows of scores, vectorised: (pixels, padded), padded a multiple of 8, scores beyond the classes at most
 * SOFTMAX_NONE. */
#ifndef TRAIN_SOFTMAX_H
#define TRAIN_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

/* A score that gives a class no part of the probability. */
#define SOFTMAX_NONE (-1e30f)

/* sum += softmax(row). Its exponential is right to 2 units of the last place from -76 to 0; what lies lower counts as e^-76. row is spoilt.
 */
void softmax_add(float *row, size_t pixels, int padded, float *sum);
/* row /= divisor */
void softmax_divide(float *row, size_t values, float divisor);
/* The class of the largest score, the first of equals. */
void softmax_argmax(const float *row, size_t pixels, int classes, int padded, uint8_t *labels);

#endif
