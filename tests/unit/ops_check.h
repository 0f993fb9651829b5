/* Helpers of the tests that compare numbers: random inputs, memory that must be there, buffers on a backend, and pairs that differ. */
#ifndef TESTS_OPS_CHECK_H
#define TESTS_OPS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"

/* count zeros; ends the program where there is no memory. Free with free. */
double *check_doubles(size_t count);
uint8_t *check_bytes(size_t count);
/* The same with numbers that a float holds exactly, uniform in [-1, 1); another index gives other numbers. */
double *check_random(size_t count, uint64_t index);

/* Memory of the backend with these numbers rounded to float; with NaN (so that a place nobody writes shows); freed with ops->release. */
float *check_upload(backend *be, const double *values, size_t count);
float *check_blank(backend *be, size_t count);
/* The same with these bytes; one double, and its value. */
void *check_upload_bytes(backend *be, const void *bytes, size_t count);
double *check_upload_double(backend *be, double value);
double check_double(backend *be, const double *p);

/*
 * Whether |got - want| <= tolerance x the largest |want| for every element (tolerance itself where all are 0). Otherwise prints `what`
 * and the first pairs that differ.
 */
bool check_close(const char *what, const double *got, const double *want, size_t count, double tolerance);
/* The same for numbers in the backend's memory. */
bool check_device(const char *what, backend *be, const float *got, const double *want, size_t count, double tolerance);
/* Whether two pieces of the backend's memory hold the same bits. */
bool check_same(const char *what, backend *be, const void *a, const void *b, size_t bytes);

#endif
