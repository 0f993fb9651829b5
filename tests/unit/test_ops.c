/* Pooling and resize on every backend against the float64 reference, forward and backward, over odd shapes. */
#include <math.h>
#include <stdlib.h>

#include "ops_backends.h"
#include "ops_check.h"
#include "reference.h"

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
        cmocka_unit_test(max_poolings),
        cmocka_unit_test(max_pooling_keeps_nan),
        cmocka_unit_test(global_pooling),
        cmocka_unit_test(resizes),
    };
    return ops_run(tests, sizeof tests / sizeof *tests);
}
