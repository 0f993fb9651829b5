/* Convolution, pooling and resize on every backend against the float64 reference, forward and backward, over odd shapes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_backends.h"
#include "ops_check.h"
#include "reference.h"

/* ---- convolution ---- */

/* n, h, w, c_in, c_out, kernel, stride, padding, dilation, groups, bias, training */
static const conv_desc CONVOLUTIONS[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1, true, true, F32, F32},         {3, 1, 1, 65, 3, 1, 1, 0, 1, 1, false, true, F32, F32},
    {1, 1, 1, 3, 65, 3, 1, 1, 1, 1, true, true, F32, F32},        {3, 1, 1, 150, 1, 3, 1, 2, 2, 1, true, true, F32, F32},
    {3, 7, 5, 1, 3, 3, 1, 1, 1, 1, true, true, F32, F32},         {1, 7, 5, 3, 1, 3, 2, 1, 1, 1, false, true, F32, F32},
    {3, 7, 5, 65, 150, 3, 1, 2, 2, 1, true, true, F32, F32},      {1, 7, 5, 150, 65, 3, 2, 2, 2, 1, true, true, F32, F32},
    {3, 7, 5, 150, 150, 1, 1, 0, 1, 1, false, true, F32, F32},    {3, 7, 5, 65, 65, 1, 2, 0, 1, 1, true, true, F32, F32},
    {3, 7, 5, 64, 11, 3, 1, 4, 4, 1, true, true, F32, F32},       {1, 7, 5, 65, 19, 3, 1, 4, 4, 1, true, true, F32, F32},
    {3, 33, 33, 3, 64, 7, 2, 3, 1, 1, false, true, F32, F32},     {1, 33, 33, 1, 3, 7, 2, 3, 1, 1, true, true, F32, F32},
    {1, 33, 33, 65, 65, 3, 1, 1, 1, 1, true, true, F32, F32},     {3, 33, 33, 65, 3, 3, 2, 1, 1, 1, false, true, F32, F32},
    {1, 33, 33, 3, 150, 3, 1, 4, 4, 1, true, true, F32, F32},     {3, 33, 33, 24, 24, 3, 2, 1, 1, 24, false, true, F32, F32},
    {3, 7, 5, 65, 65, 3, 1, 1, 1, 65, true, true, F32, F32},      {1, 7, 5, 150, 150, 3, 2, 1, 1, 150, false, true, F32, F32},
    {3, 7, 5, 3, 3, 3, 1, 2, 2, 3, true, true, F32, F32},         {3, 7, 5, 65, 130, 3, 1, 1, 1, 5, true, true, F32, F32},
    {1, 33, 33, 150, 150, 3, 2, 2, 2, 75, false, true, F32, F32}, {3, 7, 5, 64, 32, 1, 1, 0, 1, 4, true, true, F32, F32},
    {2, 9, 9, 2, 4, 5, 1, 2, 1, 1, true, true, F32, F32},         {1, 13, 4, 32, 48, 3, 1, 12, 12, 1, true, true, F32, F32},
};

/* Rounding of float sums of up to 1350 products, relative to the largest output. */
static const double CONV_TOLERANCE = 1e-5;

static void convolution(backend *be, const conv_desc *d) {
    char name[160], what[200];
    (void)snprintf(name, sizeof name, "%s convolution n%d %dx%d %d->%d k%d s%d p%d d%d g%d bias %d", be->ops->name, d->n, d->h, d->w,
                   d->c_in, d->c_out, d->kernel, d->stride, d->padding, d->dilation, d->groups, d->bias);
    const size_t nx = ref_count(ref_conv_in(d)), ny = ref_count(ref_conv_out(d)), nw = ref_conv_weights(d), nb = (size_t)d->c_out;
    double *x = check_random(nx, 1), *w = check_random(nw, 2), *b = check_random(nb, 3), *dy = check_random(ny, 4);
    double *y = check_doubles(ny), *dx = check_doubles(nx), *dw = check_doubles(nw), *db = check_doubles(nb);
    ref_conv_forward(d, x, w, d->bias ? b : NULL, y);
    ref_conv_backward_data(d, dy, w, dx);
    ref_conv_backward_weights(d, x, dy, dw, db);

    conv *cv = NULL;
    entrain_error err = {0};
    if (be->ops->conv_create(be, d, &cv, &err) != ENTRAIN_OK) fail_msg("%s: %s", name, err.text);
    float *fx = check_upload(be, x, nx), *fw = check_upload(be, w, nw), *fb = check_upload(be, b, nb), *fdy = check_upload(be, dy, ny);
    void *workspace = be->ops->alloc(be, be->ops->conv_workspace(cv));
    assert_non_null(workspace);
    float *first[3] = {NULL};
    for (int round = 0; round < 2; round++) { /* the second time into other memory: the same bits */
        float *fy = check_blank(be, ny), *fdx = check_blank(be, nx), *fdw = check_blank(be, nw), *fdb = check_blank(be, nb);
        be->ops->conv_forward(be, cv, fx, fw, d->bias ? fb : NULL, fy, workspace);
        be->ops->conv_backward_data(be, cv, fdy, fw, fdx, workspace);
        be->ops->conv_backward_weights(be, cv, fx, fdy, fdw, d->bias ? fdb : NULL, workspace);
        (void)snprintf(what, sizeof what, "%s, y", name);
        assert_true(check_device(what, be, fy, y, ny, CONV_TOLERANCE));
        (void)snprintf(what, sizeof what, "%s, dx", name);
        assert_true(check_device(what, be, fdx, dx, nx, CONV_TOLERANCE));
        (void)snprintf(what, sizeof what, "%s, dw", name);
        assert_true(check_device(what, be, fdw, dw, nw, CONV_TOLERANCE));
        (void)snprintf(what, sizeof what, "%s, dbias", name);
        if (d->bias) assert_true(check_device(what, be, fdb, db, nb, CONV_TOLERANCE));
        be->ops->release(be, fdb);
        float *const now[3] = {fy, fdx, fdw};
        const size_t count[3] = {ny, nx, nw};
        for (int k = 0; k < 3; k++) {
            if (round > 0) assert_true(check_same(name, be, first[k], now[k], count[k] * sizeof(float)));
            if (round > 0) be->ops->release(be, first[k]);
            first[k] = now[k];
        }
    }
    void *const device[] = {fx, fw, fb, fdy, workspace, first[0], first[1], first[2]};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) be->ops->release(be, device[k]);
    double *const host[] = {x, w, b, dy, y, dx, dw, db};
    for (size_t k = 0; k < sizeof host / sizeof *host; k++) free(host[k]);
    be->ops->conv_destroy(be, cv);
}

static void convolutions(void **state) {
    for (size_t k = 0; k < sizeof CONVOLUTIONS / sizeof *CONVOLUTIONS; k++) convolution(*state, &CONVOLUTIONS[k]);
}

static void convolution_for_evaluation(void **state) {
    backend *be = *state;
    const conv_desc d = {2, 7, 5, 3, 16, 3, 1, 1, 1, 1, true, false, F32, F32};
    const size_t nx = ref_count(ref_conv_in(&d)), ny = ref_count(ref_conv_out(&d)), nw = ref_conv_weights(&d);
    double *x = check_random(nx, 1), *w = check_random(nw, 2), *b = check_random(16, 3), *y = check_doubles(ny);
    ref_conv_forward(&d, x, w, b, y);
    conv *cv = NULL;
    assert_int_equal(be->ops->conv_create(be, &d, &cv, NULL), ENTRAIN_OK);
    float *fx = check_upload(be, x, nx), *fw = check_upload(be, w, nw), *fb = check_upload(be, b, 16), *fy = check_blank(be, ny);
    void *workspace = be->ops->alloc(be, be->ops->conv_workspace(cv));
    be->ops->conv_forward(be, cv, fx, fw, fb, fy, workspace);
    assert_true(check_device("convolution without training", be, fy, y, ny, CONV_TOLERANCE));
    void *const device[] = {fx, fw, fb, fy, workspace};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) be->ops->release(be, device[k]);
    be->ops->conv_destroy(be, cv);
    free(x);
    free(w);
    free(b);
    free(y);
}

/* Refused when made, with the geometry in the message; nothing is handed out. */
static void impossible_convolutions(void **state) {
    backend *be = *state;
    static const conv_desc cases[] = {
        {1, 3, 3, 8, 8, 5, 1, 0, 1, 1, false, true, F32, F32}, /* window larger than the map */
        {1, 8, 8, 6, 8, 3, 1, 1, 1, 4, false, true, F32, F32}, /* groups do not divide the channels */
        {1, 8, 8, 8, 8, 3, 0, 1, 1, 1, false, true, F32, F32}, /* no stride */
        {0, 8, 8, 8, 8, 3, 1, 1, 1, 1, false, true, F32, F32}, /* no image */
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char unset;
        conv *cv = (conv *)(void *)&unset;
        entrain_error err = {0};
        assert_int_equal(be->ops->conv_create(be, &cases[k], &cv, &err), ENTRAIN_DEVICE);
        assert_null(cv);
        char shape[64];
        (void)snprintf(shape, sizeof shape, "(%d,%d,%d,%d)", cases[k].n, cases[k].h, cases[k].w, cases[k].c_in);
        assert_non_null(strstr(err.text, shape));
    }
    assert_int_equal(conv_out(33, 7, 2, 3, 1), 17);
    assert_int_equal(conv_out(5, 3, 1, 4, 4), 5);
    assert_int_equal(conv_out(3, 5, 1, 0, 1), 0);
}

/* ---- maps in, maps out ---- */

static const ref_map MAPS[] = {{1, 1, 1, 1}, {3, 1, 1, 65}, {1, 7, 5, 3}, {3, 7, 5, 150}, {1, 33, 33, 1}, {3, 33, 33, 65}, {1, 8, 33, 64}};
enum { MAP_COUNT = sizeof MAPS / sizeof *MAPS };

static tensor tensor_of(float *data, ref_map m) {
    return (tensor){data, m.n, m.h, m.w, m.c, F32};
}

static void max_pooling(backend *be, ref_map in, int kernel, int stride, int padding, bool ties) {
    const ref_map out = ref_maxpool_out(in, kernel, stride, padding);
    const size_t nx = ref_count(in), ny = ref_count(out);
    double *x = check_random(nx, 5), *dy = check_random(ny, 6), *y = check_doubles(ny), *dx = check_doubles(nx);
    for (size_t i = 0; ties && i < nx; i++) x[i] = x[i] < 0.0 ? -1.0 : 1.0;
    uint8_t *argmax = check_bytes(ny);
    ref_maxpool_forward(in, x, kernel, stride, padding, y, argmax);
    ref_maxpool_backward(in, dy, argmax, kernel, stride, padding, dx);
    tensor tx = tensor_of(check_upload(be, x, nx), in), ty = tensor_of(check_blank(be, ny), out);
    tensor tdy = tensor_of(check_upload(be, dy, ny), out), tdx = tensor_of(check_blank(be, nx), in);
    uint8_t *winner = be->ops->alloc(be, ny), *wanted = be->ops->alloc(be, ny);
    be->ops->upload(be, wanted, argmax, ny);
    be->ops->maxpool_forward(be, &tx, kernel, stride, padding, &ty, winner);
    be->ops->maxpool_backward(be, &tdy, winner, kernel, stride, padding, &tdx);
    assert_true(check_device("max pooling, y", be, ty.data, y, ny, 0.0));
    assert_true(check_same("max pooling, argmax", be, winner, wanted, ny));
    assert_true(check_device("max pooling, dx", be, tdx.data, dx, nx, 1e-6));
    void *const device[] = {tx.data, ty.data, tdy.data, tdx.data, winner, wanted};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) be->ops->release(be, device[k]);
    free(x);
    free(dy);
    free(y);
    free(dx);
    free(argmax);
}

static void max_poolings(void **state) {
    for (int k = 0; k < MAP_COUNT; k++) {
        for (int ties = 0; ties < 2; ties++) {
            max_pooling(*state, MAPS[k], 3, 2, 1, ties != 0);
            max_pooling(*state, MAPS[k], 3, 1, 1, ties != 0);
            if (MAPS[k].h > 1) max_pooling(*state, MAPS[k], 2, 2, 0, ties != 0);
        }
    }
}

static void max_pooling_keeps_nan(void **state) {
    backend *be = *state;
    const float values[9] = {1, 2, 3, 4, NAN, 6, 7, 8, 9};
    float y;
    tensor x = {be->ops->alloc(be, sizeof values), 1, 3, 3, 1, F32}, out = {be->ops->alloc(be, sizeof y), 1, 1, 1, 1, F32};
    uint8_t *argmax = be->ops->alloc(be, 1), winner;
    be->ops->upload(be, x.data, values, sizeof values);
    be->ops->maxpool_forward(be, &x, 3, 2, 0, &out, argmax);
    be->ops->download(be, &y, out.data, sizeof y);
    be->ops->download(be, &winner, argmax, 1);
    assert_true(isnan(y));
    assert_int_equal(winner, 4);
    be->ops->release(be, x.data);
    be->ops->release(be, out.data);
    be->ops->release(be, argmax);
}

static void global_pooling(void **state) {
    backend *be = *state;
    for (int k = 0; k < MAP_COUNT; k++) {
        const ref_map in = MAPS[k], out = {in.n, 1, 1, in.c};
        const size_t nx = ref_count(in), ny = ref_count(out);
        double *x = check_random(nx, 7), *dy = check_random(ny, 8), *y = check_doubles(ny), *dx = check_doubles(nx);
        ref_global_pool_forward(in, x, y);
        ref_global_pool_backward(in, dy, dx);
        tensor tx = tensor_of(check_upload(be, x, nx), in), ty = tensor_of(check_blank(be, ny), out);
        tensor tdy = tensor_of(check_upload(be, dy, ny), out), tdx = tensor_of(check_blank(be, nx), in);
        be->ops->global_pool_forward(be, &tx, &ty);
        be->ops->global_pool_backward(be, &tdy, &tdx);
        assert_true(check_device("global pooling, y", be, ty.data, y, ny, 1e-6));
        assert_true(check_device("global pooling, dx", be, tdx.data, dx, nx, 1e-6));
        void *const device[] = {tx.data, ty.data, tdy.data, tdx.data};
        for (size_t i = 0; i < 4; i++) be->ops->release(be, device[i]);
        double *const host[] = {x, dy, y, dx};
        for (size_t i = 0; i < 4; i++) free(host[i]);
    }
}

static void resizes(void **state) {
    backend *be = *state;
    static const int SIZES[][2] = {{1, 1}, {7, 5}, {33, 33}, {13, 40}};
    for (int k = 0; k < MAP_COUNT * 4; k++) {
        const ref_map in = MAPS[k / 4], out = {in.n, SIZES[k % 4][0], SIZES[k % 4][1], in.c};
        const size_t nx = ref_count(in), ny = ref_count(out);
        double *x = check_random(nx, 9), *dy = check_random(ny, 10), *y = check_doubles(ny), *dx = check_doubles(nx);
        ref_resize_forward(in, out.h, out.w, x, y);
        ref_resize_backward(in, out.h, out.w, dy, dx);
        tensor tx = tensor_of(check_upload(be, x, nx), in), ty = tensor_of(check_blank(be, ny), out);
        tensor tdy = tensor_of(check_upload(be, dy, ny), out), tdx = tensor_of(check_blank(be, nx), in);
        be->ops->resize_forward(be, &tx, &ty);
        be->ops->resize_backward(be, &tdy, &tdx);
        assert_true(check_device("resize, y", be, ty.data, y, ny, 1e-6));
        assert_true(check_device("resize, dx", be, tdx.data, dx, nx, 2e-6));
        void *const device[] = {tx.data, ty.data, tdy.data, tdx.data};
        for (size_t i = 0; i < 4; i++) be->ops->release(be, device[i]);
        double *const host[] = {x, dy, y, dx};
        for (size_t i = 0; i < 4; i++) free(host[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions), cmocka_unit_test(convolution_for_evaluation), cmocka_unit_test(impossible_convolutions),
        cmocka_unit_test(max_poolings), cmocka_unit_test(max_pooling_keeps_nan),      cmocka_unit_test(global_pooling),
        cmocka_unit_test(resizes),
    };
    return ops_run(tests, sizeof tests / sizeof *tests);
}
