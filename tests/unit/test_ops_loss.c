/*
 * The fused upsampling and cross-entropy on every backend against the plain float64 path through the large map; its edges (nothing valid,
 * huge logits, NaN, ties, labels out of range); and that the CPU's bits do not depend on the number of threads.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_backends.h"
#include "ops_check.h"
#include "reference.h"

/* One call's results. */
typedef struct loss_result {
    loss_sums sums;
    float *gradient;
} loss_result;

static loss_result run(backend *be, ref_map in, const double *x, const uint8_t *labels, int label_h, int label_w, const double *weights,
                       bool gradient) {
    const size_t nx = ref_count(in);
    tensor logits = {check_upload(be, x, nx), in.n, in.h, in.w, in.c, F32};
    uint8_t *device_labels = check_upload_bytes(be, labels, (size_t)(in.n * label_h * label_w));
    float *class_weights = weights != NULL ? check_upload(be, weights, (size_t)in.c) : NULL;
    void *workspace = be->ops->alloc(be, be->ops->upsample_loss_workspace(be, &logits, label_h, label_w));
    assert_non_null(workspace);
    loss_result r = {.sums = {(double)NAN, (double)NAN, (double)NAN}, .gradient = gradient ? check_blank(be, nx) : NULL};
    loss_sums *sums = check_upload_bytes(be, &r.sums, sizeof r.sums);
    const tensor out = {r.gradient, in.n, in.h, in.w, in.c, F32};
    be->ops->upsample_loss(be, &logits, device_labels, label_h, label_w, class_weights, gradient ? &out : NULL, sums, workspace);
    be->ops->download(be, &r.sums, sums, sizeof r.sums);
    be->ops->release(be, sums);
    be->ops->release(be, workspace);
    if (class_weights != NULL) be->ops->release(be, class_weights);
    be->ops->release(be, device_labels);
    be->ops->release(be, logits.data);
    return r;
}

/* in, label size, factor on the logits */
typedef struct loss_case {
    ref_map in;
    int label_h, label_w;
    double spread;
} loss_case;

static const loss_case CASES[] = {
    {{1, 1, 1, 1}, 1, 1, 1.0},    {{3, 1, 1, 3}, 7, 5, 1.0},     {{3, 1, 1, 65}, 1, 1, 1.0},   {{1, 7, 5, 150}, 33, 33, 1.0},
    {{3, 7, 5, 3}, 7, 5, 5.0},    {{3, 7, 5, 65}, 49, 37, 20.0}, {{1, 33, 33, 3}, 7, 5, 1.0},  {{1, 33, 33, 19}, 33, 33, 1.0},
    {{3, 4, 4, 16}, 13, 30, 1.0}, {{2, 9, 8, 11}, 65, 57, 3.0},  {{1, 5, 1, 17}, 1, 40, 40.0}, {{1, 2, 3, 150}, 40, 41, 200.0},
};

static void against_reference(void **state) {
    backend *be = *state;
    for (size_t k = 0; k < sizeof CASES / sizeof *CASES * 2; k++) {
        const loss_case c = CASES[k / 2];
        const size_t nx = ref_count(c.in), pixels = (size_t)(c.in.n * c.label_h * c.label_w);
        double *x = check_random(nx, 1), *weights = check_random((size_t)c.in.c, 2), *want = check_doubles(nx);
        uint8_t *labels = check_bytes(pixels);
        for (size_t i = 0; i < nx; i++) x[i] = (double)(float)(x[i] * c.spread);
        for (int i = 0; i < c.in.c; i++) weights[i] = 1.5 + weights[i];
        for (size_t i = 0; i < pixels; i++) labels[i] = (uint8_t)(i % 5 == 3 ? 255 : i * 7 % (size_t)c.in.c);
        const double *class_weights = k % 2 == 1 ? weights : NULL;
        char name[120];
        (void)snprintf(name, sizeof name, "loss (%d,%d,%d,%d) to %dx%d, logits x %g, class weights %d", c.in.n, c.in.h, c.in.w, c.in.c,
                       c.label_h, c.label_w, c.spread, class_weights != NULL);
        loss_sums sums;
        ref_upsample_loss(c.in, x, labels, c.label_h, c.label_w, class_weights, want, &sums);
        const loss_result a = run(be, c.in, x, labels, c.label_h, c.label_w, class_weights, true);
        const loss_result b = run(be, c.in, x, labels, c.label_h, c.label_w, class_weights, true);
        const loss_result without = run(be, c.in, x, labels, c.label_h, c.label_w, class_weights, false);
        assert_true(check_close(name, &a.sums.loss, &sums.loss, 1, 2e-6));
        assert_true(a.sums.valid == sums.valid);
        assert_true(fabs(a.sums.correct - sums.correct) <= 1.0); /* a near tie may fall either way after rounding */
        assert_true(check_device(name, be, a.gradient, want, nx, 5e-6));
        assert_true(check_same(name, be, a.gradient, b.gradient, nx * sizeof(float)));
        assert_memory_equal(&a.sums, &b.sums, sizeof a.sums);
        assert_memory_equal(&a.sums, &without.sums, sizeof a.sums);
        be->ops->release(be, a.gradient);
        be->ops->release(be, b.gradient);
        free(x);
        free(weights);
        free(want);
        free(labels);
    }
}

/* Pixels that do not count leave no trace; labels that should not exist do not count. */
static void nothing_valid(void **state) {
    backend *be = *state;
    const ref_map in = {2, 3, 3, 4};
    const size_t nx = ref_count(in);
    double *x = check_random(nx, 3), *zeros = check_doubles(nx);
    uint8_t *labels = check_bytes(2 * 9 * 9);
    for (int i = 0; i < 2 * 9 * 9; i++) labels[i] = i % 2 == 0 ? 255 : 4;
    const loss_result r = run(be, in, x, labels, 9, 9, NULL, true);
    assert_true(r.sums.loss <= 0.0 && r.sums.loss >= 0.0);
    assert_true(r.sums.valid == 0.0);
    assert_true(r.sums.correct == 0.0);
    assert_true(check_device("gradient of nothing", be, r.gradient, zeros, nx, 0.0));
    be->ops->release(be, r.gradient);
    free(x);
    free(zeros);
    free(labels);
}

static void ties_go_to_the_first(void **state) {
    backend *be = *state;
    const ref_map in = {1, 2, 2, 18};
    double *x = check_doubles(ref_count(in)); /* all logits 0 */
    uint8_t labels[4] = {0, 1, 17, 0};
    const loss_result r = run(be, in, x, labels, 2, 2, NULL, false);
    assert_true(r.sums.correct == 2.0);
    const double want = 4.0 * log(18.0);
    assert_true(check_close("loss of equal logits", &r.sums.loss, &want, 1, 1e-6));
    for (int i = 0; i < 4; i++) x[i * 18 + 1] = -0.0; /* equal to 0 all the same */
    const loss_result signed_zero = run(be, in, x, labels, 2, 2, NULL, false);
    assert_true(signed_zero.sums.correct == 2.0);
    free(x);
}

static void huge_and_nan_logits(void **state) {
    backend *be = *state;
    const ref_map in = {1, 2, 2, 5};
    double *x = check_doubles(20);
    uint8_t labels[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++) x[i * 5] = 1e4;
    const loss_result right = run(be, in, x, labels, 2, 2, NULL, false);
    assert_true(right.sums.loss >= 0.0 && right.sums.loss < 1e-6);
    for (int i = 0; i < 4; i++) labels[i] = 1;
    const loss_result wrong = run(be, in, x, labels, 2, 2, NULL, false);
    const double want = 4e4;
    assert_true(check_close("loss of logits far apart", &wrong.sums.loss, &want, 1, 1e-6));
    x[3] = (double)NAN;
    const loss_result nan = run(be, in, x, labels, 2, 2, NULL, true);
    assert_true(isnan(nan.sums.loss));
    assert_int_equal(be->ops->find_nonfinite(be, nan.gradient, 20, F32), 0);
    be->ops->release(be, nan.gradient);
    free(x);
}

/* Probabilities from 1/2 down to 1e-34 are right to a few roundings each: two classes, logits 0 and x, so that p = e^x / (1 + e^x). */
static void small_probabilities(void **state) {
    backend *be = *state;
    enum { N = 3000 };
    const ref_map in = {1, 1, N, 2};
    double *x = check_doubles(2 * N), *got = check_doubles(N), *ones = check_doubles(N);
    uint8_t labels[N] = {0};
    float gradient[2 * N];
    for (int i = 0; i < N; i++) x[2 * i + 1] = (double)(float)(-79.0 * i / N);
    const loss_result r = run(be, in, x, labels, 1, N, NULL, true);
    be->ops->download(be, gradient, r.gradient, sizeof gradient);
    for (int i = 0; i < N; i++) {
        const double e = exp(x[2 * i + 1]);
        got[i] = (double)gradient[2 * i + 1] / (e / (1.0 + e));
        ones[i] = 1.0;
    }
    assert_true(check_close("ratio of probabilities", got, ones, N, 5e-7));
    be->ops->release(be, r.gradient);
    free(x);
    free(got);
    free(ones);
}

/* The CPU's own promise: these operations give the same bits for any number of threads. */
static void any_number_of_threads(void **state) {
    (void)state;
    enum { MOST = 4, LABELS = 2 * 129 * 97 };
    const ref_map in = {2, 17, 13, 21};
    const size_t nx = ref_count(in);
    double *x = check_random(nx, 4);
    static uint8_t labels[LABELS];
    for (int i = 0; i < LABELS; i++) labels[i] = (uint8_t)(i * 11 % 21);
    float *first_gradient = NULL, *first_resized = NULL;
    loss_sums first = {0};
    double first_squares = 0.0;
    const size_t large = 2 * (size_t)(129 * 97 * 21);
    backend *keeper = NULL;
    assert_int_equal(backend_open_cpu(1, &keeper, NULL), ENTRAIN_OK);
    for (int threads = 1; threads <= MOST; threads++) {
        backend *be = NULL;
        assert_int_equal(backend_open_cpu(threads, &be, NULL), ENTRAIN_OK);
        const loss_result r = run(be, in, x, labels, 129, 97, NULL, true);
        tensor small = {check_upload(be, x, nx), in.n, in.h, in.w, in.c, F32}, big = {check_blank(be, large), 2, 129, 97, 21, F32};
        be->ops->resize_forward(be, &small, &big);
        double *sum = check_upload_double(be, 0.0);
        be->ops->sum_squares(be, big.data, large, sum);
        const double squares = check_double(be, sum);
        be->ops->release(be, sum);
        be->ops->resize_backward(be, &big, &small);
        if (threads == 1) {
            first = r.sums;
            first_squares = squares;
            first_gradient = r.gradient;
            first_resized = small.data;
        } else {
            assert_memory_equal(&r.sums, &first, sizeof first);
            assert_memory_equal(&squares, &first_squares, sizeof squares);
            assert_true(check_same("loss gradient by threads", be, r.gradient, first_gradient, nx * sizeof(float)));
            assert_true(check_same("resize by threads", be, small.data, first_resized, nx * sizeof(float)));
            be->ops->release(be, r.gradient);
            be->ops->release(be, small.data);
        }
        be->ops->release(be, big.data);
        backend_close(be);
    }
    keeper->ops->release(keeper, first_gradient);
    keeper->ops->release(keeper, first_resized);
    backend_close(keeper);
    free(x);
}

static void threads_of_a_backend(void **state) {
    (void)state;
    backend *be = NULL;
    entrain_error err = {0};
    assert_int_equal(backend_open_cpu(-1, &be, &err), ENTRAIN_DEVICE);
    assert_null(be);
    assert_non_null(strstr(err.text, "-1"));
    assert_int_equal(backend_open_cpu(0, &be, &err), ENTRAIN_OK);
    assert_true(be->threads >= 1);
    assert_null(be->ops->alloc(be, SIZE_MAX));
    backend_close(be);
    backend_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_reference),   cmocka_unit_test(nothing_valid),       cmocka_unit_test(ties_go_to_the_first),
        cmocka_unit_test(huge_and_nan_logits), cmocka_unit_test(small_probabilities),
    };
    const struct CMUnitTest cpu_tests[] = {cmocka_unit_test(any_number_of_threads), cmocka_unit_test(threads_of_a_backend)};
    return ops_run(tests, sizeof tests / sizeof *tests) + ops_run_cpu(cpu_tests, sizeof cpu_tests / sizeof *cpu_tests);
}
