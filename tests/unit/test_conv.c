/*
 * Convolution on every backend against the float64 reference, forward and backward, over odd shapes: in float32, and in bfloat16 where the
 * device computes it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_backends.h"
#include "ops_check.h"
#include "reference.h"

/* n, h, w, c_in, c_out, kernel, stride, padding, dilation, groups, bias, training, TF32, and types that PRECISIONS replace */
static const conv_desc CONVOLUTIONS[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1, true, true, false, F32, F32, false},
    {3, 1, 1, 65, 3, 1, 1, 0, 1, 1, false, true, false, F32, F32, false},
    {1, 1, 1, 3, 65, 3, 1, 1, 1, 1, true, true, false, F32, F32, false},
    {3, 1, 1, 150, 1, 3, 1, 2, 2, 1, true, true, false, F32, F32, false},
    {3, 7, 5, 1, 3, 3, 1, 1, 1, 1, true, true, false, F32, F32, false},
    {1, 7, 5, 3, 1, 3, 2, 1, 1, 1, false, true, false, F32, F32, false},
    {3, 7, 5, 65, 150, 3, 1, 2, 2, 1, true, true, false, F32, F32, false},
    {1, 7, 5, 150, 65, 3, 2, 2, 2, 1, true, true, false, F32, F32, false},
    {3, 7, 5, 150, 150, 1, 1, 0, 1, 1, false, true, false, F32, F32, false},
    {3, 7, 5, 65, 65, 1, 2, 0, 1, 1, true, true, false, F32, F32, false},
    {3, 7, 5, 64, 11, 3, 1, 4, 4, 1, true, true, false, F32, F32, false},
    {1, 7, 5, 65, 19, 3, 1, 4, 4, 1, true, true, false, F32, F32, false},
    {3, 33, 33, 3, 64, 7, 2, 3, 1, 1, false, true, false, F32, F32, false},
    {1, 33, 33, 1, 3, 7, 2, 3, 1, 1, true, true, false, F32, F32, false},
    {1, 33, 33, 65, 65, 3, 1, 1, 1, 1, true, true, false, F32, F32, false},
    {3, 33, 33, 65, 3, 3, 2, 1, 1, 1, false, true, false, F32, F32, false},
    {1, 33, 33, 3, 150, 3, 1, 4, 4, 1, true, true, false, F32, F32, false},
    {3, 33, 33, 24, 24, 3, 2, 1, 1, 24, false, true, false, F32, F32, false},
    {3, 7, 5, 65, 65, 3, 1, 1, 1, 65, true, true, false, F32, F32, false},
    {1, 7, 5, 150, 150, 3, 2, 1, 1, 150, false, true, false, F32, F32, false},
    {3, 7, 5, 3, 3, 3, 1, 2, 2, 3, true, true, false, F32, F32, false},
    {3, 7, 5, 65, 130, 3, 1, 1, 1, 5, true, true, false, F32, F32, false},
    {1, 33, 33, 150, 150, 3, 2, 2, 2, 75, false, true, false, F32, F32, false},
    {3, 7, 5, 64, 32, 1, 1, 0, 1, 4, true, true, false, F32, F32, false},
    {3, 19, 1, 2, 3, 7, 2, 3, 1, 1, true, true, false, F32, F32, false},
    {2, 1, 9, 48, 8, 7, 1, 3, 1, 1, true, true, false, F32, F32, false},
    {2, 12, 17, 24, 65, 3, 1, 2, 2, 1, false, true, false, F32, F32, false},
    {1, 12, 10, 96, 11, 1, 1, 0, 1, 1, true, true, false, F32, F32, false},
    {2, 11, 9, 16, 16, 3, 1, 4, 4, 2, true, true, false, F32, F32, false},
    {3, 38, 14, 3, 48, 1, 2, 0, 1, 1, false, true, false, F32, F32, false},
    {2, 12, 9, 192, 19, 3, 1, 6, 6, 1, true, true, false, F32, F32, false},
    {2, 7, 9, 160, 11, 3, 1, 8, 8, 1, true, true, false, F32, F32, false},
    {1, 13, 13, 640, 70, 3, 1, 12, 12, 1, true, true, false, F32, F32, false},
    {2, 25, 25, 64, 5, 3, 1, 18, 18, 1, false, true, false, F32, F32, false},
    {2, 9, 9, 2, 4, 5, 1, 2, 1, 1, true, true, false, F32, F32, false},
    {1, 13, 4, 32, 48, 3, 1, 12, 12, 1, true, true, false, F32, F32, false},
};

typedef struct precision {
    const char *name;
    dtype type, y_type;
    double y, dx, dw; /* tolerances, relative to the largest result */
} precision;

/*
 * float32: rounding of sums of up to 1350 products. bfloat16: products of two are exact in float32, so that what is stored in float32 is
 * as close as ever, given the same inputs; a stored bfloat16 is off by 2^-9 of itself.
 */
static const precision PRECISIONS[] = {
    {"float32", F32, F32, 1e-5, 1e-5, 1e-5},
    {"bfloat16", BF16, BF16, 0x1p-8, 0x1p-8, 2e-5},
    {"bfloat16 to float32", BF16, F32, 1e-5, 0x1p-8, 2e-5},
};
static const double EVALUATION_TOLERANCE = 1e-5;

/* What the device makes of a number stored in this type. */
static double *rounded(const double *values, size_t count, dtype type) {
    double *r = check_doubles(count);
    for (size_t i = 0; i < count; i++) r[i] = type == BF16 ? (double)bf16_to_float(bf16_from_float((float)values[i])) : values[i];
    return r;
}

/* Device memory of this type from float32 device memory, which is released. */
static void *as_type(backend *be, float *from, size_t count, dtype type) {
    void *to = be->ops->alloc(be, count * dtype_size(type));
    assert_non_null(to);
    float *host = malloc((count + 1) * sizeof *host);
    assert_non_null(host);
    be->ops->download(be, host, from, count * sizeof *host);
    be->ops->upload_floats(be, to, type, host, count);
    free(host);
    be->ops->release(be, from);
    return to;
}

static void check(const char *name, const char *what, backend *be, const void *got, dtype type, const double *want, size_t count,
                  double tolerance) {
    char text[240];
    (void)snprintf(text, sizeof text, "%s, %s", name, what);
    unsigned char *host = check_bytes(count * dtype_size(type));
    double *wide = check_doubles(count);
    be->ops->download(be, host, got, count * dtype_size(type));
    for (size_t i = 0; i < count; i++) {
        float f = 0.0f;
        bf16 h = 0;
        if (type == F32) memcpy(&f, host + i * sizeof f, sizeof f);
        if (type == BF16) memcpy(&h, host + i * sizeof h, sizeof h);
        wide[i] = (double)(type == BF16 ? bf16_to_float(h) : f);
    }
    assert_true(check_close(text, wide, want, count, tolerance));
    free(wide);
    free(host);
}

/* Inputs and results of one convolution on the host, and its inputs on the device. */
typedef struct conv_case {
    size_t nx, ny, nw, nb;
    double *x, *w, *b, *dy, *y, *dx, *dw, *db;
    void *on_x, *on_dy;
    float *on_w, *on_b;
} conv_case;

/* The weights reach the device in float32, unrounded: rounding them is the convolution's business. */
static conv_case make_case(backend *be, const conv_desc *d) {
    conv_case c = {.nx = ref_count(ref_conv_in(d)), .ny = ref_count(ref_conv_out(d)), .nw = ref_conv_weights(d), .nb = (size_t)d->c_out};
    double *x = check_random(c.nx, 1), *w = check_random(c.nw, 2), *dy = check_random(c.ny, 4);
    c.x = rounded(x, c.nx, d->type);
    c.w = rounded(w, c.nw, d->type);
    c.dy = rounded(dy, c.ny, d->type);
    c.b = check_random(c.nb, 3);
    c.y = check_doubles(c.ny);
    c.dx = check_doubles(c.nx);
    c.dw = check_doubles(c.nw);
    c.db = check_doubles(c.nb);
    ref_conv_forward(d, c.x, c.w, d->bias ? c.b : NULL, c.y);
    ref_conv_backward_data(d, c.dy, c.w, c.dx);
    ref_conv_backward_weights(d, c.x, c.dy, c.dw, c.db);
    c.on_x = as_type(be, check_upload(be, x, c.nx), c.nx, d->type);
    c.on_dy = as_type(be, check_upload(be, dy, c.ny), c.ny, d->type);
    c.on_w = check_upload(be, w, c.nw);
    c.on_b = check_upload(be, c.b, c.nb);
    free(x);
    free(w);
    free(dy);
    return c;
}

static void free_case(backend *be, conv_case *c) {
    void *const device[] = {c->on_x, c->on_dy, c->on_w, c->on_b};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) be->ops->release(be, device[k]);
    double *const host[] = {c->x, c->w, c->b, c->dy, c->y, c->dx, c->dw, c->db};
    for (size_t k = 0; k < sizeof host / sizeof *host; k++) free(host[k]);
}

/* Before each call the workspace is full of NaN, so that results made of what was left there show; behind it is a guard. */
enum { GUARD = 4096 };

static void spoil(backend *be, unsigned char *workspace, size_t bytes) {
    unsigned char *host = check_bytes(bytes);
    memset(host, 0xFF, bytes);
    be->ops->upload(be, workspace, host, bytes);
    free(host);
}

static bool guard_whole(backend *be, const unsigned char *workspace, size_t bytes) {
    unsigned char guard[GUARD];
    be->ops->download(be, guard, workspace + bytes, GUARD);
    for (int i = 0; i < GUARD; i++) {
        if (guard[i] != 0xFF) return false;
    }
    return true;
}

/* A bfloat16 map is rounded again where cuDNN's has a bias added to it. */
static double y_tolerance(const backend *be, const conv_desc *d, const precision *p) {
    return d->y_type == BF16 && d->bias && strcmp(be->ops->name, "cuda") == 0 ? 2.0 * p->y : p->y;
}

/* cuDNN rounds the gradient of bfloat16 weights to bfloat16. */
static double dw_tolerance(const backend *be, const conv_desc *d, const precision *p) {
    return d->type == BF16 && strcmp(be->ops->name, "cuda") == 0 ? 0x1.0p-8 : p->dw;
}

static void convolution(backend *be, const conv_desc *d, const precision *p) {
    char name[200];
    (void)snprintf(name, sizeof name, "%s %s convolution n%d %dx%d %d->%d k%d s%d p%d d%d g%d bias %d", be->ops->name, p->name, d->n, d->h,
                   d->w, d->c_in, d->c_out, d->kernel, d->stride, d->padding, d->dilation, d->groups, d->bias);
    conv_case c = make_case(be, d);
    conv *cv = NULL;
    entrain_error err = {0};
    if (be->ops->conv_create(be, d, &cv, &err) != ENTRAIN_OK) fail_msg("%s: %s", name, err.text);
    const size_t workspace_bytes = be->ops->conv_workspace(cv);
    unsigned char *workspace = be->ops->alloc(be, workspace_bytes + GUARD);
    assert_non_null(workspace);
    spoil(be, workspace + workspace_bytes, GUARD);
    void *first[3] = {NULL};
    for (int round = 0; round < 2; round++) { /* the second time into other memory: the same bits */
        float *dw = check_blank(be, c.nw), *db = check_blank(be, c.nb);
        void *y = as_type(be, check_blank(be, c.ny), c.ny, d->y_type), *dx = as_type(be, check_blank(be, c.nx), c.nx, d->type);
        spoil(be, workspace, workspace_bytes);
        be->ops->conv_forward(be, cv, c.on_x, c.on_w, d->bias ? c.on_b : NULL, y, workspace);
        spoil(be, workspace, workspace_bytes);
        be->ops->conv_backward_data(be, cv, c.on_dy, c.on_w, dx, workspace);
        spoil(be, workspace, workspace_bytes);
        be->ops->conv_backward_weights(be, cv, c.on_x, c.on_dy, dw, d->bias ? db : NULL, workspace);
        check(name, "y", be, y, d->y_type, c.y, c.ny, y_tolerance(be, d, p));
        check(name, "dx", be, dx, d->type, c.dx, c.nx, p->dx);
        check(name, "dw", be, dw, F32, c.dw, c.nw, dw_tolerance(be, d, p));
        if (d->bias) check(name, "dbias", be, db, F32, c.db, c.nb, p->dw);
        be->ops->release(be, db);
        void *const now[3] = {y, dx, dw};
        const size_t bytes[3] = {c.ny * dtype_size(d->y_type), c.nx * dtype_size(d->type), c.nw * sizeof(float)};
        for (int k = 0; k < 3; k++) {
            if (round > 0) assert_true(check_same(name, be, first[k], now[k], bytes[k]));
            if (round > 0) be->ops->release(be, first[k]);
            first[k] = now[k];
        }
    }
    if (!guard_whole(be, workspace, workspace_bytes)) fail_msg("%s: writes behind its workspace", name);
    for (int k = 0; k < 3; k++) be->ops->release(be, first[k]);
    be->ops->release(be, workspace);
    be->ops->conv_destroy(be, cv);
    free_case(be, &c);
}

static void convolutions(backend *be, const precision *p) {
    if (!be->ops->supports(be, p->type)) {
        print_message("%s: convolutions in %s skipped: this processor has no instructions for bfloat16\n", be->ops->name, p->name);
        skip();
    }
    for (size_t k = 0; k < sizeof CONVOLUTIONS / sizeof *CONVOLUTIONS; k++) {
        conv_desc d = CONVOLUTIONS[k];
        d.type = p->type;
        d.y_type = p->y_type;
        convolution(be, &d, p);
    }
}

static void convolutions_f32(void **state) {
    convolutions(*state, &PRECISIONS[0]);
}

static void convolutions_bf16(void **state) {
    convolutions(*state, &PRECISIONS[1]);
}

static void convolutions_bf16_to_f32(void **state) {
    convolutions(*state, &PRECISIONS[2]);
}

static void convolution_for_evaluation(void **state) {
    backend *be = *state;
    const conv_desc d = {2, 7, 5, 3, 16, 3, 1, 1, 1, 1, true, false, false, F32, F32, false};
    const size_t nx = ref_count(ref_conv_in(&d)), ny = ref_count(ref_conv_out(&d)), nw = ref_conv_weights(&d);
    double *x = check_random(nx, 1), *w = check_random(nw, 2), *b = check_random(16, 3), *y = check_doubles(ny);
    ref_conv_forward(&d, x, w, b, y);
    conv *cv = NULL;
    assert_int_equal(be->ops->conv_create(be, &d, &cv, NULL), ENTRAIN_OK);
    float *fx = check_upload(be, x, nx), *fw = check_upload(be, w, nw), *fb = check_upload(be, b, 16), *fy = check_blank(be, ny);
    void *workspace = be->ops->alloc(be, be->ops->conv_workspace(cv));
    be->ops->conv_forward(be, cv, fx, fw, fb, fy, workspace);
    assert_true(check_device("convolution without training", be, fy, y, ny, EVALUATION_TOLERANCE));
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
        {1, 3, 3, 8, 8, 5, 1, 0, 1, 1, false, true, false, F32, F32, false}, /* window larger than the map */
        {1, 8, 8, 6, 8, 3, 1, 1, 1, 4, false, true, false, F32, F32, false}, /* groups do not divide the channels */
        {1, 8, 8, 8, 8, 3, 0, 1, 1, 1, false, true, false, F32, F32, false}, /* no stride */
        {0, 8, 8, 8, 8, 3, 1, 1, 1, 1, false, true, false, F32, F32, false}, /* no image */
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_f32),           cmocka_unit_test(convolutions_bf16),       cmocka_unit_test(convolutions_bf16_to_f32),
        cmocka_unit_test(convolution_for_evaluation), cmocka_unit_test(impossible_convolutions),
    };
    return ops_run(tests, sizeof tests / sizeof *tests);
}
