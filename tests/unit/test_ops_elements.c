/* The operations that treat every element alike, sums over all elements and dropout, on every backend. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops_backends.h"
#include "ops_check.h"

/* Below and above every size at which work is cut into blocks, shared out or left over. */
static const size_t LENGTHS[] = {1, 3, 64, 65, 4095, 4097, 16384, 100003, 1200007};
enum { LENGTH_COUNT = sizeof LENGTHS / sizeof *LENGTHS, MOST_INPUTS = 8 };

static void sums(void **state) {
    backend *be = *state;
    double *four = check_upload_double(be, 4.0), *zero = check_upload_double(be, 0.0);
    for (int k = 0; k < LENGTH_COUNT; k++) {
        const size_t n = LENGTHS[k];
        const int most = n > 100000 ? 3 : MOST_INPUTS;
        double *want = check_doubles(n), *x[MOST_INPUTS];
        float *fx[MOST_INPUTS], *y = check_blank(be, n);
        for (int i = 0; i < most; i++) {
            x[i] = check_random(n, (uint64_t)i);
            fx[i] = check_upload(be, x[i], n);
            for (size_t j = 0; j < n; j++) want[j] += x[i][j];
            be->ops->add(be, (const void *const *)fx, i + 1, y, n, F32);
            assert_true(check_device("add", be, y, want, n, 1e-6));
        }
        for (size_t j = 0; j < n; j++) want[j] += x[0][j];
        be->ops->accumulate(be, fx[0], y, n, F32);
        assert_true(check_device("accumulate", be, y, want, n, 1e-6));
        for (size_t j = 0; j < n; j++) want[j] = x[0][j] + x[1][j];
        be->ops->add(be, (const void *const *)fx, 2, fx[0], n, F32);
        assert_true(check_device("add in place", be, fx[0], want, n, 1e-6));
        for (size_t j = 0; j < n; j++) want[j] = -0.3 * x[1][j];
        be->ops->scale(be, fx[1], -1.2, four, n, F32);
        assert_true(check_device("scale", be, fx[1], want, n, 1e-6));
        for (size_t j = 0; j < n; j++) want[j] = 0.0;
        be->ops->scale(be, fx[1], -1.2, zero, n, F32);
        assert_true(check_device("scale by nothing", be, fx[1], want, n, 0.0));
        for (int i = 0; i < most; i++) {
            free(x[i]);
            be->ops->release(be, fx[i]);
        }
        free(want);
        be->ops->release(be, y);
    }
    be->ops->release(be, four);
    be->ops->release(be, zero);
}

static void relu(void **state) {
    backend *be = *state;
    for (int k = 0; k < LENGTH_COUNT; k++) {
        const size_t n = LENGTHS[k];
        double *x = check_random(n, 1), *dy = check_random(n, 2), *y = check_doubles(n), *dx = check_doubles(n);
        x[n / 2] = 0.0; /* the kink passes nothing back */
        for (size_t i = 0; i < n; i++) {
            y[i] = fmax(x[i], 0.0);
            dx[i] = x[i] > 0.0 ? dy[i] : 0.0;
        }
        float *fx = check_upload(be, x, n), *fdy = check_upload(be, dy, n), *fy = check_blank(be, n), *fdx = check_blank(be, n);
        be->ops->relu_forward(be, fx, fy, n, F32);
        be->ops->relu_backward(be, fdy, fy, fdx, n, F32);
        assert_true(check_device("relu, y", be, fy, y, n, 0.0));
        assert_true(check_device("relu, dx", be, fdx, dx, n, 0.0));
        be->ops->relu_backward(be, fdy, fy, fdy, n, F32);
        assert_true(check_device("relu, dx in place of dy", be, fdy, dx, n, 0.0));
        float *const device[] = {fx, fdy, fy, fdx};
        for (size_t i = 0; i < 4; i++) be->ops->release(be, device[i]);
        double *const host[] = {x, dy, y, dx};
        for (size_t i = 0; i < 4; i++) free(host[i]);
    }
}

static void squares_and_nonfinite(void **state) {
    backend *be = *state;
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < LENGTH_COUNT; k++) {
        const size_t n = LENGTHS[k];
        double *x = check_random(n, 3), want = 2.5; /* what was there already */
        for (size_t i = 0; i < n; i++) want += x[i] * x[i];
        float *fx = check_upload(be, x, n);
        double *sum = check_upload_double(be, 2.5), *again = check_upload_double(be, 2.5);
        be->ops->sum_squares(be, fx, n, sum);
        be->ops->sum_squares(be, fx, n, again);
        const double got = check_double(be, sum);
        assert_true(check_close("sum of squares", &got, &want, 1, 1e-12));
        assert_true(check_same("sum of squares again", be, sum, again, sizeof got));
        assert_int_equal(be->ops->find_nonfinite(be, fx, n, F32), -1);
        const size_t places[] = {n - 1, n / 2, 0}; /* backwards: the first one counts */
        for (int i = 0; i < 3; i++) {
            be->ops->upload(be, fx + places[i], &BAD[i], sizeof BAD[i]);
            assert_int_equal(be->ops->find_nonfinite(be, fx, n, F32), (int64_t)places[i]);
            be->ops->sum_squares(be, fx, n, sum);
            assert_true(!isfinite(check_double(be, sum)));
        }
        be->ops->release(be, fx);
        be->ops->release(be, sum);
        be->ops->release(be, again);
        free(x);
    }
    double *sum = check_upload_double(be, 7.0);
    be->ops->sum_squares(be, NULL, 0, sum);
    assert_true(check_double(be, sum) == 7.0);
    be->ops->release(be, sum);
    assert_int_equal(be->ops->find_nonfinite(be, NULL, 0, F32), -1);
}

/* ---- dropout ---- */

/* The rule, word for word: element e of an image is kept where word e % 4 of Philox(e / 4, layer, position) is at least rate 2^32. */
static bool kept(uint64_t seed, uint32_t layer, uint64_t position, size_t e, double rate) {
    const random_stream s = random_open(seed, RANDOM_DROPOUT, position);
    const uint32_t counter[4] = {(uint32_t)(e / 4), layer, (uint32_t)position, (uint32_t)(position >> 32)};
    uint32_t word[4];
    random_philox(s.key, counter, word);
    return word[e % 4] >= rate * 4294967296.0;
}

static void dropout(void **state) {
    backend *be = *state;
    static const int SHAPES[][4] = {{1, 1, 1, 1}, {3, 1, 1, 65}, {3, 7, 5, 3}, {2, 33, 33, 150}};
    const uint64_t seed = 7, position = (UINT64_C(3) << 32) + 5;
    const uint32_t layer = 2;
    const double rate = 0.3;
    for (size_t k = 0; k < sizeof SHAPES / sizeof *SHAPES; k++) {
        const int *s = SHAPES[k];
        const size_t image = (size_t)(s[1] * s[2] * s[3]), n = (size_t)s[0] * image;
        double *x = check_random(n, 4), *want = check_doubles(n);
        size_t left = 0;
        for (size_t i = 0; i < n; i++) {
            const bool keep = kept(seed, layer, position + i / image, i % image, rate);
            want[i] = keep ? x[i] / (1.0 - rate) : 0.0;
            left += keep;
        }
        const double deviation = sqrt(rate * (1.0 - rate) * (double)n);
        assert_true(fabs((double)left - (1.0 - rate) * (double)n) < 4.0 * deviation);
        float *fx = check_upload(be, x, n), *fy = check_blank(be, n), *apart = check_blank(be, n);
        tensor tx = {fx, s[0], s[1], s[2], s[3], F32}, ty = {fy, s[0], s[1], s[2], s[3], F32};
        be->ops->dropout(be, &tx, rate, seed, layer, position, &ty);
        assert_true(check_device("dropout", be, fy, want, n, 1e-6));
        for (int i = 0; i < s[0]; i++) { /* one image at a time, as more ranks would do it */
            tensor one_x = {fx + (size_t)i * image, 1, s[1], s[2], s[3], F32},
                   one_y = {apart + (size_t)i * image, 1, s[1], s[2], s[3], F32};
            be->ops->dropout(be, &one_x, rate, seed, layer, position + (uint64_t)i, &one_y);
        }
        assert_true(check_same("dropout by images", be, fy, apart, n * sizeof *fy));
        be->ops->dropout(be, &tx, 0.0, seed, layer, position, &ty);
        assert_true(check_same("dropout of rate 0", be, fx, fy, n * sizeof *fy));
        be->ops->dropout(be, &tx, rate, seed, layer, position, &tx);
        assert_true(check_same("dropout in place", be, fx, apart, n * sizeof *fy));
        float *const device[] = {fx, fy, apart};
        for (size_t i = 0; i < 3; i++) be->ops->release(be, device[i]);
        free(x);
        free(want);
    }
}

/* Another seed, layer or image is another mask. */
static void dropout_masks_differ(void **state) {
    backend *be = *state;
    enum { N = 4096 };
    double *ones = check_doubles(N);
    for (int i = 0; i < N; i++) ones[i] = 1.0;
    float *fx = check_upload(be, ones, N), host[4][N];
    const uint64_t seed[4] = {1, 2, 1, 1}, position[4] = {0, 0, 0, 1};
    const uint32_t layer[4] = {0, 0, 1, 0};
    for (int k = 0; k < 4; k++) {
        tensor x = {fx, 1, 1, 1, N, F32}, y = {check_blank(be, N), 1, 1, 1, N, F32};
        be->ops->dropout(be, &x, 0.5, seed[k], layer[k], position[k], &y);
        be->ops->download(be, host[k], y.data, sizeof host[k]);
        be->ops->release(be, y.data);
        int equal = 0;
        for (int i = 0; i < N; i++) equal += (host[k][i] > 0.0f) == (host[0][i] > 0.0f);
        if (k == 0) continue;
        assert_in_range(equal, N / 2 - 130, N / 2 + 130); /* 4 standard deviations */
    }
    be->ops->release(be, fx);
    free(ones);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(relu),
        cmocka_unit_test(squares_and_nonfinite),
        cmocka_unit_test(dropout),
        cmocka_unit_test(dropout_masks_differ),
    };
    return ops_run(tests, sizeof tests / sizeof *tests);
}
