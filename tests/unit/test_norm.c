/*
 * The normalisation engine on one rank. The reference's gradients are proven by finite differences; the engine is held to the reference
 * in every form, over odd shapes, and at the bounds: a mean of 1000, constant images, maps of one pixel.
 */
#include <math.h>

#include "norm_layer.h"
#include "ops_backends.h"

static backend *be; /* of the test under way */
static comm *self;

/* a <= b, with what and where in the message; false for NaN. */
#define assert_within(error, bound, what, test, d)                                                                                         \
    do {                                                                                                                                   \
        const double error_ = (error);                                                                                                     \
        if (!(error_ <= (bound)))                                                                                                          \
            fail_msg("%s: %s, N=%d P=%d C=%d: error %.3g, bound %.3g", test, what, (d).n, (d).p, (d).c, error_, (double)(bound));          \
    } while (0)

/* ---- the reference ---- */

static double objective(reference *r) {
    double sum = 0.0;
    reference_forward(r);
    for (size_t i = 0; i < r->elements; i++) sum += r->g[i] * r->y[i];
    return sum;
}

/* Largest difference between gradient and central difference, in parts of the largest gradient. */
static double difference(reference *r, double *values, const double *gradient, size_t count) {
    const double step = 1e-5;
    double worst = 0.0, largest = 1e-3;
    for (size_t i = 0; i < count; i++) {
        const double kept = values[i];
        values[i] = kept + step;
        const double up = objective(r);
        values[i] = kept - step;
        const double down = objective(r);
        values[i] = kept;
        worst = fmax(worst, fabs((up - down) / (2.0 * step) - gradient[i]));
        largest = fmax(largest, fabs(gradient[i]));
    }
    return worst / largest;
}

static void test_reference_gradients(void **state) {
    be = *state;
    const int pixels[] = {4, 6, 3};
    for (int i = 0; i < NORM_CASE_COUNT; i++) {
        norm_spec spec = NORM_CASES[i].spec;
        if (spec.pi > 7) spec.pi = 3;
        if (spec.groups > 2) spec.groups = 2;
        if (spec.reduction == 32) spec.reduction = 3;
        const norm_dims d = {.n = 3, .p = 6, .c = 6};
        norm_layer *l = layer_new(be, &spec, d);
        layer_randomise(l, 5);
        layer_fill(l, 6, 0, 0.0);
        reference *r = reference_new(&spec, d.n, d.c, pixels);
        layer_to_reference(l, r);
        for (size_t e = 0; e < r->elements; e++) {
            r->x[e] = (double)l->host.x[e];
            r->g[e] = (double)l->host.dy[e];
        }
        reference_forward(r);
        reference_backward(r);
        assert_within(difference(r, r->x, r->dx, r->elements), 1e-7, "dX of the reference", NORM_CASES[i].name, d);
        for (int p = 0; p < REF_PARAMS; p++)
            assert_within(difference(r, r->param[p], r->grad[p], reference_count(&spec, d.c, p)), 1e-7, REF_NAMES[p], NORM_CASES[i].name,
                          d);
        reference_free(r);
        layer_free(l);
    }
}

/* ---- the engine against it ---- */

typedef struct variant {
    bool relu, residual;
    double mean;         /* of x */
    double output_bound; /* relative error of y */
    double dx_bound;     /* of dx */
    double param_bound;  /* of the parameters' gradients */
} variant;

/* y of the reference, after residual and ReLU. */
static void finish_output(reference *r, const norm_layer *l, const variant *v) {
    for (size_t i = 0; i < r->elements; i++) {
        if (v->residual) r->y[i] += (double)l->host.residual[i];
        if (v->relu) r->y[i] = fmax(r->y[i], 0.0);
    }
}

static void check_running(const norm_layer *l, const reference *r, const char *name) {
    if (!norm_uses_bn(l->spec)) return;
    const size_t c = (size_t)l->d.c;
    assert_within(worst_error(l->host.params.running_mean, r->running_mean, c, 1.0), 1e-6, "running mean", name, l->d);
    assert_within(worst_error(l->host.params.running_var, r->running_var, c, 1.0), 1e-6, "running variance", name, l->d);
}

static void check_training(norm_layer *l, reference *r, const char *name, const variant *v) {
    const norm_call call = layer_call(l, true);
    layer_send(l);
    assert_int_equal(norm_forward(be, self, &call, l->on.x, v->residual ? l->on.residual : NULL, v->relu, l->on.y), ENTRAIN_OK);
    layer_fetch(l);
    reference_forward(r);
    finish_output(r, l, v);
    assert_within(worst_error(l->host.y, r->y, l->elements, 1.0), v->output_bound, "Y", name, l->d);
    check_running(l, r, name);
    if (l->spec->type == NORM_EN)
        assert_within(worst_error(l->lambda, r->lambda, (size_t)(l->d.n * l->spec->k), 1.0), v->output_bound, "lambda", name, l->d);

    layer_spoil_shared(l);                  /* other layers have used it meanwhile */
    for (int times = 0; times < 2; times++) /* twice, for gradients are overwritten, not added to */
        assert_int_equal(norm_backward(be, self, &call, l->on.dy, v->relu, v->residual ? l->on.y : NULL, l->on.x, l->on.dx,
                                       v->residual ? l->on.dresidual : NULL),
                         ENTRAIN_OK);
    layer_fetch(l);
    for (size_t i = 0; i < l->elements; i++) r->g[i] = v->relu && !(l->host.y[i] > 0.0f) ? 0.0 : (double)l->host.dy[i];
    reference_backward(r);
    if (v->residual) assert_within(worst_error(l->host.dresidual, r->g, l->elements, 0.0), 0.0, "residual's gradient", name, l->d);
    assert_within(worst_error(l->host.dx, r->dx, l->elements, 0.02 * layer_gradient_scale(l)), v->dx_bound, "dX", name, l->d);
    for (int p = 0; p < REF_PARAMS; p++) {
        const norm_tensor *t = layer_find(l, REF_NAMES[p]);
        if (t == NULL) continue;
        const size_t count = reference_count(l->spec, l->d.c, p);
        assert_within(worst_error(layer_tensor(&l->host.grads, t), r->grad[p], count, 1e-2), v->param_bound, REF_NAMES[p], name, l->d);
    }
}

static void check_evaluation(norm_layer *l, reference *r, const char *name, const variant *v) {
    const norm_call call = layer_call(l, false);
    layer_spoil_state(l);
    layer_spoil_shared(l); /* nothing of the training pass may enter */
    layer_to_reference(l, r);
    r->training = false;
    assert_int_equal(norm_forward(be, self, &call, l->on.x, v->residual ? l->on.residual : NULL, v->relu, l->on.y), ENTRAIN_OK);
    layer_fetch(l);
    reference_forward(r);
    finish_output(r, l, v);
    assert_within(worst_error(l->host.y, r->y, l->elements, 1.0), v->output_bound, "Y in evaluation", name, l->d);
    check_running(l, r, name);
}

static void check(const norm_case *test, norm_dims d, const variant *v) {
    int pixels[16];
    for (int i = 0; i < d.n; i++) pixels[i] = d.p;
    norm_layer *l = layer_new(be, &test->spec, d);
    layer_randomise(l, 7);
    layer_fill(l, 8, 0, v->mean);
    for (int c = 0; c < d.c && norm_uses_bn(&test->spec); c++) l->host.params.running_mean[c] += (float)v->mean;
    reference *r = reference_new(&test->spec, d.n, d.c, pixels);
    layer_to_reference(l, r);
    for (size_t i = 0; i < r->elements; i++) r->x[i] = (double)l->host.x[i];
    check_training(l, r, test->name, v);
    check_evaluation(l, r, test->name, v);
    reference_free(r);
    layer_free(l);
}

static void test_engine(void **state) {
    be = *state;
    const int channels[] = {1, 3, 64, 65, 150}, maps[] = {1, 7 * 5, 33 * 33}, images[] = {1, 3};
    int turn = 0;
    for (int i = 0; i < NORM_CASE_COUNT; i++)
        for (int c = 0; c < 5; c++)
            for (int p = 0; p < 3; p++)
                for (int n = 0; n < 2; n++, turn++) {
                    const variant v = {turn & 1, turn / 2 & 1, 0.0, 1e-5, 2e-5, 5e-5};
                    /* The largest maps cost the reference most of the time: a quarter of them. */
                    if (p == 2 && c >= 2 && (turn / 2 + i) % 4 != 0) continue;
                    check(&NORM_CASES[i], (norm_dims){images[n], maps[p], channels[c], F32}, &v);
                }
}

static void test_mean_1000(void **state) {
    be = *state;
    const norm_dims dims[] = {{3, 1, 65, F32}, {3, 35, 3, F32}, {1, 35, 65, F32}, {3, 33 * 33, 24, F32}};
    const variant v = {false, false, 1000.0, 1e-3, 1e-3, 1e-2};
    for (int i = 0; i < NORM_CASE_COUNT; i++)
        for (size_t k = 0; k < sizeof dims / sizeof dims[0]; k++) check(&NORM_CASES[i], dims[k], &v);
}

/* Every image constant, channel by channel: variance 0, finite numbers, and what the reference says. */
static void test_constant_images(void **state) {
    be = *state;
    const norm_dims d = {3, 33 * 33, 20, F32};
    const int pixels[] = {d.p, d.p, d.p};
    const variant v = {false, false, 0.0, 1e-3, 1e-3, 1e-2};
    for (int i = 0; i < NORM_CASE_COUNT; i++) {
        norm_layer *l = layer_new(be, &NORM_CASES[i].spec, d);
        layer_randomise(l, 9);
        layer_fill(l, 10, 0, 0.0);
        reference *r = reference_new(&NORM_CASES[i].spec, d.n, d.c, pixels);
        layer_to_reference(l, r);
        for (size_t e = 0; e < l->elements; e++) {
            const size_t c = e % (size_t)d.c, n = e / ((size_t)d.p * (size_t)d.c);
            l->host.x[e] = c == 0 ? 0.0f : 100.1f * (float)c + 0.37f * (float)(n * c);
            r->x[e] = (double)l->host.x[e];
        }
        check_training(l, r, NORM_CASES[i].name, &v);
        for (size_t e = 0; e < (size_t)(d.n * d.c); e++) assert_true(l->v[e] == 0.0f);
        reference_free(r);
        layer_free(l);
    }
}

int main(void) {
    entrain_error err;
    if (comm_open_self(&self, &err) != ENTRAIN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_gradients),
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_mean_1000),
        cmocka_unit_test(test_constant_images),
    };
    const int failed = ops_run(tests, sizeof tests / sizeof *tests);
    comm_close(self);
    return failed;
}
