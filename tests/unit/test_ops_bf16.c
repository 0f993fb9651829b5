/*
 * Operations on bfloat16 maps, on every backend: the bits of the float32 operation on the same numbers, rounded where the result is a map.
 * So whatever the float32 tests prove holds here. (Convolution is compared with the float64 reference in test_conv_bf16.c.)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops_backends.h"
#include "ops_check.h"

/* The same numbers twice in the backend's memory: as bfloat16, and as the float32 that these are. */
typedef struct pair {
    bf16 *narrow;
    float *wide;
    size_t count;
} pair;

static pair random_pair(backend *be, size_t count, uint64_t index) {
    double *values = check_random(count, index);
    pair p = {be->ops->alloc(be, (count + 1) * sizeof(bf16)), NULL, count};
    bf16 *host = malloc((count + 1) * sizeof *host);
    assert_non_null(p.narrow);
    assert_non_null(host);
    for (size_t i = 0; i < count; i++) {
        host[i] = bf16_from_float((float)values[i]);
        values[i] = (double)bf16_to_float(host[i]);
    }
    be->ops->upload(be, p.narrow, host, count * sizeof *host);
    p.wide = check_upload(be, values, count);
    free(host);
    free(values);
    return p;
}

static void free_pair(backend *be, pair p) {
    be->ops->release(be, p.narrow);
    be->ops->release(be, p.wide);
}

static void assert_rounded(const char *what, backend *be, pair p) {
    bf16 *got = malloc((p.count + 1) * sizeof *got);
    float *want = malloc((p.count + 1) * sizeof *want);
    assert_non_null(got);
    assert_non_null(want);
    be->ops->download(be, got, p.narrow, p.count * sizeof *got);
    be->ops->download(be, want, p.wide, p.count * sizeof *want);
    for (size_t i = 0; i < p.count; i++)
        if (got[i] != bf16_from_float(want[i]))
            fail_msg("%s [%zu]: got %.9g, want %.9g rounded", what, i, (double)bf16_to_float(got[i]), (double)want[i]);
    free(got);
    free(want);
}

static void rounding(void **state) {
    (void)state;
    const float cases[][2] = {{1.0f, 1.0f},
                              {1.00390625f, 1.0f},       /* a tie, to even */
                              {1.01171875f, 1.015625f},  /* a tie, to even */
                              {1.00390637f, 1.0078125f}, /* just above a tie */
                              {-3.3895314e38f, -3.3895314e38f},
                              {3.4e38f, INFINITY},
                              {INFINITY, INFINITY},
                              {1e-40f, 9.18354962e-41f}, /* denormal */
                              {-0.0f, -0.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float got = bf16_to_float(bf16_from_float(cases[i][0]));
        if (!(got == cases[i][1]) || signbit(got) != signbit(cases[i][1]))
            fail_msg("%.9g became %.9g, want %.9g", (double)cases[i][0], (double)got, (double)cases[i][1]);
    }
    const float_bits nan = {.u = 0x7FFFFFFFu}, negative = {.u = 0xFF800001u};
    assert_true(isnan(bf16_to_float(bf16_from_float(nan.f))));
    assert_true(isnan(bf16_to_float(bf16_from_float(negative.f))));
}

static const size_t LENGTHS[] = {1, 3, 65, 4097, 100003};

static void elements(void **state) {
    backend *be = *state;
    double *two = check_upload_double(be, 2.0);
    for (size_t k = 0; k < sizeof LENGTHS / sizeof *LENGTHS; k++) {
        const size_t n = LENGTHS[k];
        float *host = malloc(n * sizeof *host);
        assert_non_null(host);
        const pair a = random_pair(be, n, 1), b = random_pair(be, n, 2), y = random_pair(be, n, 3);
        const void *const narrow[2] = {a.narrow, b.narrow}, *const wide[2] = {a.wide, b.wide};
        be->ops->add(be, narrow, 2, y.narrow, n, BF16);
        be->ops->add(be, wide, 2, y.wide, n, F32);
        assert_rounded("add", be, y);
        be->ops->add(be, narrow, 1, y.narrow, n, BF16);
        be->ops->add(be, wide, 1, y.wide, n, F32);
        assert_rounded("copy", be, y);
        be->ops->accumulate(be, b.narrow, y.narrow, n, BF16);
        be->ops->accumulate(be, b.wide, y.wide, n, F32);
        assert_rounded("accumulate", be, y);
        be->ops->relu_forward(be, a.narrow, y.narrow, n, BF16);
        be->ops->relu_forward(be, a.wide, y.wide, n, F32);
        assert_rounded("relu", be, y);
        be->ops->relu_backward(be, b.narrow, a.narrow, y.narrow, n, BF16);
        be->ops->relu_backward(be, b.wide, a.wide, y.wide, n, F32);
        assert_rounded("relu backward", be, y);
        be->ops->download(be, host, y.wide, n * sizeof *host);
        be->ops->upload_floats(be, y.narrow, BF16, host, n);
        assert_rounded("upload", be, y);
        be->ops->scale(be, y.narrow, -0.6, two, n, BF16);
        be->ops->scale(be, y.wide, -0.6, two, n, F32);
        assert_rounded("scale", be, y);
        assert_int_equal(be->ops->find_nonfinite(be, y.narrow, n, BF16), -1);
        const bf16 bad = bf16_from_float(k % 2 == 0 ? NAN : -INFINITY);
        be->ops->upload(be, y.narrow + n / 2, &bad, sizeof bad);
        assert_int_equal(be->ops->find_nonfinite(be, y.narrow, n, BF16), (int64_t)(n / 2));
        free_pair(be, a);
        free_pair(be, b);
        free_pair(be, y);
        free(host);
    }
    be->ops->release(be, two);
}

/* ---- maps ---- */

static const int MAPS[][4] = {{1, 1, 1, 1}, {3, 1, 1, 65}, {1, 7, 5, 3}, {3, 7, 5, 150}, {2, 33, 33, 65}};
enum { MAP_COUNT = sizeof MAPS / sizeof *MAPS };

static tensor tensor_of(const int *s, void *data, dtype type) {
    return (tensor){data, s[0], s[1], s[2], s[3], type};
}

static size_t count_of(const int *s) {
    return (size_t)s[0] * (size_t)s[1] * (size_t)s[2] * (size_t)s[3];
}

static void pooling(void **state) {
    backend *be = *state;
    for (int k = 0; k < MAP_COUNT; k++) {
        const int *in = MAPS[k], out[4] = {in[0], conv_out(in[1], 3, 2, 1, 1), conv_out(in[2], 3, 2, 1, 1), in[3]};
        const int point[4] = {in[0], 1, 1, in[3]};
        const size_t n = count_of(out);
        const pair x = random_pair(be, count_of(in), 4), y = random_pair(be, n, 5), mean = random_pair(be, count_of(point), 6);
        uint8_t *first = be->ops->alloc(be, n), *second = be->ops->alloc(be, n);
        tensor xn = tensor_of(in, x.narrow, BF16), xw = tensor_of(in, x.wide, F32), yn = tensor_of(out, y.narrow, BF16),
               yw = tensor_of(out, y.wide, F32), mn = tensor_of(point, mean.narrow, BF16), mw = tensor_of(point, mean.wide, F32);
        be->ops->global_pool_forward(be, &xn, &mn);
        be->ops->global_pool_forward(be, &xw, &mw);
        assert_rounded("global pooling", be, mean);
        be->ops->maxpool_forward(be, &xn, 3, 2, 1, &yn, first);
        be->ops->maxpool_forward(be, &xw, 3, 2, 1, &yw, second);
        assert_rounded("max pooling", be, y);
        assert_true(check_same("winners", be, first, second, n));
        const pair dy = random_pair(be, n, 7), dmean = random_pair(be, count_of(point), 8);
        const tensor dyn = tensor_of(out, dy.narrow, BF16), dyw = tensor_of(out, dy.wide, F32), dmn = tensor_of(point, dmean.narrow, BF16),
                     dmw = tensor_of(point, dmean.wide, F32);
        be->ops->maxpool_backward(be, &dyn, first, 3, 2, 1, &xn);
        be->ops->maxpool_backward(be, &dyw, second, 3, 2, 1, &xw);
        assert_rounded("max pooling backward", be, x);
        be->ops->global_pool_backward(be, &dmn, &xn);
        be->ops->global_pool_backward(be, &dmw, &xw);
        assert_rounded("global pooling backward", be, x);
        const pair pairs[] = {x, y, mean, dy, dmean};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) free_pair(be, pairs[i]);
        be->ops->release(be, first);
        be->ops->release(be, second);
    }
}

static void dropout(void **state) {
    backend *be = *state;
    for (int k = 0; k < MAP_COUNT; k++) {
        const pair x = random_pair(be, count_of(MAPS[k]), 9), y = random_pair(be, count_of(MAPS[k]), 10);
        tensor xn = tensor_of(MAPS[k], x.narrow, BF16), xw = tensor_of(MAPS[k], x.wide, F32), yn = tensor_of(MAPS[k], y.narrow, BF16),
               yw = tensor_of(MAPS[k], y.wide, F32);
        be->ops->dropout(be, &xn, 0.3, 7, 2, 5, &yn);
        be->ops->dropout(be, &xw, 0.3, 7, 2, 5, &yw);
        assert_rounded("dropout", be, y);
        free_pair(be, x);
        free_pair(be, y);
    }
}

static void loss(void **state) {
    backend *be = *state;
    const int in[4] = {2, 5, 7, 19}, h = 33, w = 50;
    const size_t n = count_of(in), pixels = (size_t)(2 * h * w);
    const pair x = random_pair(be, n, 11), dx = random_pair(be, n, 12);
    uint8_t *labels = be->ops->alloc(be, pixels), *host = check_bytes(pixels);
    for (size_t i = 0; i < pixels; i++) host[i] = (uint8_t)(i % 23 < 19 ? i % 23 : 255);
    be->ops->upload(be, labels, host, pixels);
    const tensor logits = tensor_of(in, x.wide, F32), narrow = tensor_of(in, dx.narrow, BF16), wide = tensor_of(in, dx.wide, F32);
    void *workspace = be->ops->alloc(be, be->ops->upsample_loss_workspace(be, &logits, h, w));
    loss_sums *a = be->ops->alloc(be, 2 * sizeof *a), *b = a + 1;
    assert_non_null(a);
    be->ops->upsample_loss(be, &logits, labels, h, w, NULL, &narrow, a, workspace);
    be->ops->upsample_loss(be, &logits, labels, h, w, NULL, &wide, b, workspace);
    assert_true(check_same("sums of the loss", be, a, b, sizeof *a));
    be->ops->release(be, a);
    assert_rounded("gradient of the logits", be, dx);
    free_pair(be, x);
    free_pair(be, dx);
    be->ops->release(be, labels);
    be->ops->release(be, workspace);
    free(host);
}

/* ---- normalisation ---- */

typedef struct norm_maps {
    pair x, residual, y, dy, dx, aside;
    float *row[6]; /* m, a, b, dm, dv, and one more; (N,C) */
    float *sums[4];
} norm_maps;

static void norm_forward_passes(backend *be, norm_dims narrow, norm_dims wide, const norm_maps *t) {
    const size_t rows = (size_t)narrow.n * (size_t)narrow.c * sizeof(float);
    be->ops->norm_moments(be, t->x.narrow, narrow, t->sums[0], t->sums[1]);
    be->ops->norm_moments(be, t->x.wide, wide, t->sums[2], t->sums[3]);
    assert_true(check_same("means", be, t->sums[0], t->sums[2], rows));
    assert_true(check_same("variances", be, t->sums[1], t->sums[3], rows));
    for (int form = 0; form < 4; form++) {
        const bool relu = form & 1, residual = form & 2;
        be->ops->norm_affine(be, t->x.narrow, narrow, t->row[0], t->row[1], t->row[2], residual ? t->residual.narrow : NULL, relu,
                             t->y.narrow);
        be->ops->norm_affine(be, t->x.wide, wide, t->row[0], t->row[1], t->row[2], residual ? t->residual.wide : NULL, relu, t->y.wide);
        assert_rounded("affine", be, t->y);
    }
}

static void norm_backward_passes(backend *be, norm_dims narrow, norm_dims wide, const norm_maps *t) {
    const size_t rows = (size_t)narrow.n * (size_t)narrow.c * sizeof(float);
    for (int form = 0; form < 5; form++) { /* mask: none, kept, again; then the first two with a residual */
        const int kind = form % 3;
        const bool residual = form > 2;
        norm_mask mn = {NULL, NULL, NULL}, mw = mn;
        if (kind == 1) mn.y = t->residual.narrow, mw.y = t->residual.wide;
        if (kind == 2) mn = mw = (norm_mask){NULL, t->row[1], t->row[2]};
        be->ops->norm_reduce(be, t->dy.narrow, mn, t->x.narrow, narrow, t->row[0], t->sums[0], t->sums[1]);
        be->ops->norm_reduce(be, t->dy.wide, mw, t->x.wide, wide, t->row[0], t->sums[2], t->sums[3]);
        assert_true(check_same("sums of g", be, t->sums[0], t->sums[2], rows));
        assert_true(check_same("sums of g (x - m)", be, t->sums[1], t->sums[3], rows));
        be->ops->norm_backward(be, t->dy.narrow, mn, t->x.narrow, narrow, t->row[1], t->row[0], t->row[3], t->row[4], t->dx.narrow,
                               residual ? t->aside.narrow : NULL);
        be->ops->norm_backward(be, t->dy.wide, mw, t->x.wide, wide, t->row[1], t->row[0], t->row[3], t->row[4], t->dx.wide,
                               residual ? t->aside.wide : NULL);
        assert_rounded("backward", be, t->dx);
        if (residual) assert_rounded("residual's gradient", be, t->aside);
    }
}

static void normalisation(void **state) {
    backend *be = *state;
    for (int k = 0; k < MAP_COUNT; k++) {
        const int *s = MAPS[k];
        const norm_dims narrow = {s[0], s[1] * s[2], s[3], BF16}, wide = {s[0], s[1] * s[2], s[3], F32};
        const size_t n = count_of(s), rows = (size_t)s[0] * (size_t)s[3];
        norm_maps t;
        pair *const pairs[] = {&t.x, &t.residual, &t.y, &t.dy, &t.dx, &t.aside};
        for (size_t i = 0; i < 6; i++) *pairs[i] = random_pair(be, n, 20 + i);
        for (size_t i = 0; i < 6; i++) {
            double *values = check_random(rows, 30 + i);
            t.row[i] = check_upload(be, values, rows);
            free(values);
        }
        for (size_t i = 0; i < 4; i++) t.sums[i] = check_blank(be, rows);
        norm_forward_passes(be, narrow, wide, &t);
        norm_backward_passes(be, narrow, wide, &t);
        for (size_t i = 0; i < 6; i++) free_pair(be, *pairs[i]);
        for (size_t i = 0; i < 6; i++) be->ops->release(be, t.row[i]);
        for (size_t i = 0; i < 4; i++) be->ops->release(be, t.sums[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounding), cmocka_unit_test(elements), cmocka_unit_test(pooling),
                                       cmocka_unit_test(dropout),  cmocka_unit_test(loss),     cmocka_unit_test(normalisation)};
    return ops_run(tests, sizeof tests / sizeof *tests);
}
