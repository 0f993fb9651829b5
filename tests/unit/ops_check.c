#include "ops_check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static void *must(void *p) {
    if (p == NULL) {
        (void)fprintf(stderr, "test: out of memory\n");
        abort();
    }
    return p;
}

double *check_doubles(size_t count) {
    return must(calloc(count + 1, sizeof(double)));
}

uint8_t *check_bytes(size_t count) {
    return must(calloc(count + 1, 1));
}

double *check_random(size_t count, uint64_t index) {
    double *x = check_doubles(count);
    random_stream s = random_open(1, RANDOM_TEST, index);
    for (size_t i = 0; i < count; i++) x[i] = (double)(float)random_range(&s, -1.0, 1.0);
    return x;
}

void *check_upload_bytes(backend *be, const void *bytes, size_t count) {
    void *p = must(be->ops->alloc(be, count));
    be->ops->upload(be, p, bytes, count);
    return p;
}

double *check_upload_double(backend *be, double value) {
    return check_upload_bytes(be, &value, sizeof value);
}

double check_double(backend *be, const double *p) {
    double value = 0.0;
    be->ops->download(be, &value, p, sizeof value);
    return value;
}

float *check_upload(backend *be, const double *values, size_t count) {
    float *host = must(malloc((count + 1) * sizeof *host));
    for (size_t i = 0; i < count; i++) host[i] = (float)values[i];
    float *p = check_upload_bytes(be, host, count * sizeof *host);
    free(host);
    return p;
}

float *check_blank(backend *be, size_t count) {
    float *host = must(malloc((count + 1) * sizeof *host));
    for (size_t i = 0; i < count; i++) host[i] = NAN;
    float *p = check_upload_bytes(be, host, count * sizeof *host);
    free(host);
    return p;
}

bool check_close(const char *what, const double *got, const double *want, size_t count, double tolerance) {
    enum { SHOWN = 5 };
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(want[i]));
    const double allowed = tolerance * (largest > 0.0 ? largest : 1.0);
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        if (fabs(got[i] - want[i]) <= allowed) continue; /* false for NaN */
        if (wrong++ == 0) (void)fprintf(stderr, "%s: differs (allowed %.3g)\n", what, allowed);
        if (wrong <= SHOWN) (void)fprintf(stderr, "  [%zu] got %.9g, want %.9g, off by %.3g\n", i, got[i], want[i], got[i] - want[i]);
    }
    if (wrong > 0) (void)fprintf(stderr, "  %zu of %zu differ\n", wrong, count);
    return wrong == 0;
}

bool check_device(const char *what, backend *be, const float *got, const double *want, size_t count, double tolerance) {
    float *host = must(malloc((count + 1) * sizeof *host));
    be->ops->download(be, host, got, count * sizeof *host);
    double *wide = check_doubles(count);
    for (size_t i = 0; i < count; i++) wide[i] = (double)host[i];
    const bool close = check_close(what, wide, want, count, tolerance);
    free(wide);
    free(host);
    return close;
}

bool check_same(const char *what, backend *be, const void *a, const void *b, size_t bytes) {
    unsigned char *x = check_bytes(bytes), *y = check_bytes(bytes);
    be->ops->download(be, x, a, bytes);
    be->ops->download(be, y, b, bytes);
    const bool same = memcmp(x, y, bytes) == 0;
    if (!same) (void)fprintf(stderr, "%s: two results that should be the same bits are not\n", what);
    free(x);
    free(y);
    return same;
}
