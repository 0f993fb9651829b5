/*
 * The float64 reference proves itself: for each operation y = f(x), the gradient of sum r y by the backward pass against central
 * differences of the forward pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops_check.h"
#include "reference.h"

/* A function of x with y_count outputs; the context holds everything else. */
typedef void forward_function(const void *context, const double *x, double *y);

static double weighted(forward_function *f, const void *context, const double *x, const double *r, double *y, size_t y_count) {
    double sum = 0.0;
    f(context, x, y);
    for (size_t i = 0; i < y_count; i++) sum += r[i] * y[i];
    return sum;
}

/* Compare grad with differences of f at no more than 150 places spread over x. */
static void check_gradient(const char *what, forward_function *f, const void *context, double *x, size_t x_count, const double *r,
                           size_t y_count, const double *grad) {
    enum { MOST = 150 };
    const double step = 1e-5;
    const size_t stride = x_count / MOST + 1, places = (x_count + stride - 1) / stride;
    double *y = check_doubles(y_count), *got = check_doubles(places), *want = check_doubles(places);
    for (size_t k = 0; k < places; k++) {
        const size_t i = k * stride;
        const double kept = x[i];
        x[i] = kept + step;
        const double up = weighted(f, context, x, r, y, y_count);
        x[i] = kept - step;
        const double down = weighted(f, context, x, r, y, y_count);
        x[i] = kept;
        got[k] = grad[i];
        want[k] = (up - down) / (2.0 * step);
    }
    assert_true(check_close(what, got, want, places, 1e-7));
    free(y);
    free(got);
    free(want);
}

/* ---- convolution ---- */

typedef struct conv_context {
    conv_desc d;
    const double *x, *w, *b;
} conv_context;

static void conv_of_x(const void *context, const double *x, double *y) {
    const conv_context *c = context;
    ref_conv_forward(&c->d, x, c->w, c->b, y);
}

static void conv_of_w(const void *context, const double *w, double *y) {
    const conv_context *c = context;
    ref_conv_forward(&c->d, c->x, w, c->b, y);
}

static void conv_of_b(const void *context, const double *b, double *y) {
    const conv_context *c = context;
    ref_conv_forward(&c->d, c->x, c->w, b, y);
}

static void conv_gradients(void **state) {
    (void)state;
    static const conv_desc cases[] = {
        {.n = 2, .h = 5, .w = 4, .c_in = 3, .c_out = 5, .kernel = 3, .stride = 1, .padding = 1, .dilation = 1, .groups = 1},
        {.n = 1, .h = 7, .w = 5, .c_in = 4, .c_out = 6, .kernel = 3, .stride = 2, .padding = 2, .dilation = 2, .groups = 2},
        {.n = 1, .h = 9, .w = 8, .c_in = 3, .c_out = 2, .kernel = 7, .stride = 2, .padding = 3, .dilation = 1, .groups = 1},
        {.n = 2, .h = 6, .w = 6, .c_in = 5, .c_out = 5, .kernel = 3, .stride = 1, .padding = 4, .dilation = 4, .groups = 5},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const conv_desc d = cases[k];
        const size_t nx = ref_count(ref_conv_in(&d)), nw = ref_conv_weights(&d), nb = (size_t)d.c_out, ny = ref_count(ref_conv_out(&d));
        double *x = check_random(nx, 1), *w = check_random(nw, 2), *b = check_random(nb, 3), *r = check_random(ny, 4);
        double *dx = check_doubles(nx), *dw = check_doubles(nw), *db = check_doubles(nb);
        const conv_context c = {d, x, w, b};
        ref_conv_backward_data(&d, r, w, dx);
        ref_conv_backward_weights(&d, x, r, dw, db);
        check_gradient("convolution dx", conv_of_x, &c, x, nx, r, ny, dx);
        check_gradient("convolution dw", conv_of_w, &c, w, nw, r, ny, dw);
        check_gradient("convolution dbias", conv_of_b, &c, b, nb, r, ny, db);
        double *const all[] = {x, w, b, r, dx, dw, db};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    }
}

/* ---- maps ---- */

typedef struct map_context {
    ref_map in;
    int kernel, stride, padding; /* max pooling */
    int out_h, out_w;            /* resize, loss */
    const uint8_t *labels;
    const double *class_weights;
} map_context;

static void maxpool_of(const void *context, const double *x, double *y) {
    const map_context *c = context;
    uint8_t *argmax = check_bytes(ref_count(ref_maxpool_out(c->in, c->kernel, c->stride, c->padding)));
    ref_maxpool_forward(c->in, x, c->kernel, c->stride, c->padding, y, argmax);
    free(argmax);
}

static void maxpool_gradient(void **state) {
    (void)state;
    static const map_context cases[] = {{.in = {2, 7, 5, 3}, .kernel = 3, .stride = 2, .padding = 1},
                                        {.in = {1, 6, 6, 2}, .kernel = 2, .stride = 2},
                                        {.in = {1, 5, 5, 1}, .kernel = 3, .stride = 1, .padding = 1}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const map_context *c = &cases[k];
        const size_t nx = ref_count(c->in), ny = ref_count(ref_maxpool_out(c->in, c->kernel, c->stride, c->padding));
        double *x = check_random(nx, 5), *r = check_random(ny, 6), *y = check_doubles(ny), *dx = check_doubles(nx);
        uint8_t *argmax = check_bytes(ny);
        ref_maxpool_forward(c->in, x, c->kernel, c->stride, c->padding, y, argmax);
        ref_maxpool_backward(c->in, r, argmax, c->kernel, c->stride, c->padding, dx);
        check_gradient("max pooling", maxpool_of, c, x, nx, r, ny, dx);
        free(x);
        free(r);
        free(y);
        free(dx);
        free(argmax);
    }
}

static void global_pool_of(const void *context, const double *x, double *y) {
    ref_global_pool_forward(((const map_context *)context)->in, x, y);
}

static void resize_of(const void *context, const double *x, double *y) {
    const map_context *c = context;
    ref_resize_forward(c->in, c->out_h, c->out_w, x, y);
}

static void map_gradients(void **state) {
    (void)state;
    static const map_context cases[] = {{.in = {2, 4, 5, 3}, .out_h = 13, .out_w = 9},
                                        {.in = {1, 7, 8, 2}, .out_h = 3, .out_w = 8},
                                        {.in = {1, 1, 1, 4}, .out_h = 3, .out_w = 2}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const map_context *c = &cases[k];
        const size_t nx = ref_count(c->in), pooled = (size_t)c->in.n * (size_t)c->in.c, ny = pooled * (size_t)(c->out_h * c->out_w);
        double *x = check_random(nx, 7), *r = check_random(ny, 8), *dx = check_doubles(nx);
        ref_resize_backward(c->in, c->out_h, c->out_w, r, dx);
        check_gradient("resize", resize_of, c, x, nx, r, ny, dx);
        ref_global_pool_backward(c->in, r, dx);
        check_gradient("global pooling", global_pool_of, c, x, nx, r, pooled, dx);
        free(x);
        free(r);
        free(dx);
    }
}

static void loss_of(const void *context, const double *x, double *y) {
    const map_context *c = context;
    loss_sums sums;
    ref_upsample_loss(c->in, x, c->labels, c->out_h, c->out_w, c->class_weights, NULL, &sums);
    y[0] = sums.loss;
}

static void loss_gradient(void **state) {
    (void)state;
    enum { OUT_H = 9, OUT_W = 7, CLASSES = 4, PIXELS = 2 * OUT_H * OUT_W };
    static const double class_weights[CLASSES] = {1.0, 0.5, 2.0, 0.0};
    uint8_t labels[PIXELS];
    for (int i = 0; i < PIXELS; i++) labels[i] = (uint8_t)(i % 7 == 0 ? 255 : i * 5 % CLASSES);
    for (int weighted_classes = 0; weighted_classes < 2; weighted_classes++) {
        const map_context c = {.in = {2, 3, 4, CLASSES},
                               .out_h = OUT_H,
                               .out_w = OUT_W,
                               .labels = labels,
                               .class_weights = weighted_classes ? class_weights : NULL};
        const size_t nx = ref_count(c.in);
        double *x = check_random(nx, 9), *dx = check_doubles(nx);
        const double one = 1.0;
        loss_sums sums;
        ref_upsample_loss(c.in, x, labels, OUT_H, OUT_W, c.class_weights, dx, &sums);
        check_gradient("loss", loss_of, &c, x, nx, &one, 1, dx);
        free(x);
        free(dx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_gradients),
        cmocka_unit_test(maxpool_gradient),
        cmocka_unit_test(map_gradients),
        cmocka_unit_test(loss_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
