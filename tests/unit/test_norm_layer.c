/* What a normalisation layer owns and promises beside its formulas: tensors and initial values, exact repetition, maps in place. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "norm_layer.h"
#include "ops_backends.h"
#include "ops_check.h"

static backend *be; /* of the test under way */
static comm *self;

/* Moments of a large map whose first pixel lies far from the others: neither the shift nor the count may spoil them. */
static void test_moments_of_large_maps(void **state) {
    be = *state;
    const norm_dims d = {1, 450 * 450, 5, F32};
    const size_t elements = (size_t)d.p * (size_t)d.c;
    float *x = malloc(elements * sizeof *x), m[5], v[5];
    assert_non_null(x);
    random_stream random = random_open(11, RANDOM_TEST, 0);
    for (size_t e = 0; e < elements; e++) x[e] = e < (size_t)d.c ? 0.0f : (float)(1000.0 + 0.1 * (double)(e % 5) * random_normal(&random));
    float *on_x = check_upload_bytes(be, x, elements * sizeof *x), *on_m = check_blank(be, 5), *on_v = check_blank(be, 5);
    be->ops->norm_moments(be, on_x, d, on_m, on_v);
    be->ops->download(be, m, on_m, sizeof m);
    be->ops->download(be, v, on_v, sizeof v);
    float *const device[] = {on_x, on_m, on_v};
    for (size_t i = 0; i < 3; i++) be->ops->release(be, device[i]);
    for (size_t c = 0; c < (size_t)d.c; c++) {
        double mean = 0.0, var = 0.0;
        for (size_t e = c; e < elements; e += (size_t)d.c) mean += (double)x[e] / d.p;
        for (size_t e = c; e < elements; e += (size_t)d.c) var += ((double)x[e] - mean) * ((double)x[e] - mean) / d.p;
        assert_true(fabs((double)m[c] - mean) <= 1e-7 * mean);
        assert_true(fabs((double)v[c] - var) <= 1e-5 * var); /* the first pixel's chunk: CHUNK roundings of its own variance */
    }
    free(x);
}

static void check_tensor(const norm_layer *l, const char *name, int rank, int rows, int columns, bool learned) {
    const norm_tensor *t = layer_find(l, name);
    if (t == NULL) fail_msg("no tensor %s", name);
    if (t->rank != rank || t->dims[0] != rows || (rank > 1 && t->dims[1] != columns) || t->learned != learned)
        fail_msg("%s: rank %d, (%d,%d), learned %d", name, t->rank, t->dims[0], t->dims[1], t->learned);
}

static double deviation(const float *values, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum / (double)count);
}

static void test_initial_values(void **state) {
    be = *state;
    const norm_spec *spec = &NORM_CASES[6].spec; /* en in ln bn */
    const norm_dims d = {2, 9, 4096, F32};
    norm_layer *l = layer_new(be, spec, d);
    assert_int_equal(l->count, 9);
    check_tensor(l, "weight", 2, 3, d.c, true);
    check_tensor(l, "bias", 2, 3, d.c, true);
    check_tensor(l, "running_mean", 1, d.c, 1, false);
    check_tensor(l, "running_var", 1, d.c, 1, false);
    check_tensor(l, "ratio.conv.weight", 1, d.c, 1, true);
    check_tensor(l, "ratio.fc1.weight", 2, 150, 9, true);
    check_tensor(l, "ratio.fc1.bias", 1, 150, 1, true);
    check_tensor(l, "ratio.fc2.weight", 2, 3, 150, true);
    check_tensor(l, "ratio.fc2.bias", 1, 3, 1, true);
    for (int c = 0; c < d.c; c++)
        assert_true(l->host.params.running_mean[c] == 0.0f && l->host.params.running_var[c] == 1.0f &&
                    l->host.params.weight[2 * d.c + c] == 1.0f && l->host.params.bias[2 * d.c + c] == 0.0f);
    assert_true(fabs(deviation(l->host.params.conv_weight, (size_t)d.c) * sqrt(32.0) - 1.0) < 0.05);
    assert_true(fabs(deviation(l->host.params.fc1_weight, 150 * 9) * sqrt(3.0) * (d.c / 32) - 1.0) < 0.08);
    assert_true(deviation(l->host.params.fc2_weight, 450) == 0.0 && deviation(l->host.params.fc1_bias, 150) == 0.0);
    layer_fill(l, 12, 0, 0.0);
    layer_send(l);
    const norm_call call = layer_call(l, true);
    assert_int_equal(norm_forward(be, self, &call, l->on.x, NULL, false, l->on.y), ENTRAIN_OK);
    layer_fetch(l);
    for (int i = 0; i < d.n * 3; i++) assert_true(l->lambda[i] == (float)(1.0 / 3.0));
    layer_free(l);

    assert_int_equal(norm_reduction(spec, 150), 30);
    assert_int_equal(norm_reduction(spec, 3), 3);
    assert_int_equal(norm_reduction(spec, 37), 1);
    assert_int_equal(norm_reduction(&NORM_CASES[11].spec, 64), 1); /* no conv */
    assert_int_equal(norm_groups(spec, 48), 24);
    assert_string_equal(norm_method_name(NORM_METHOD_GN), "gn");
    assert_null(norm_method_name((norm_method)(NORM_METHOD_BN + 1)));
}

static void test_tensors_of_the_other_forms(void **state) {
    be = *state;
    for (int i = 0; i < NORM_CASE_COUNT; i++) {
        const norm_spec *spec = &NORM_CASES[i].spec;
        const bool en = spec->type == NORM_EN;
        const int sets = en && !spec->affine_single ? spec->k : 0;
        norm_layer *l = layer_new(be, spec, (norm_dims){1, 1, 6, F32});
        check_tensor(l, "weight", sets > 0 ? 2 : 1, sets > 0 ? sets : 6, 6, true);
        check_tensor(l, "bias", sets > 0 && !spec->shift_outside ? 2 : 1, sets > 0 && !spec->shift_outside ? sets : 6, 6, true);
        assert_int_equal(layer_find(l, "ratio.conv.weight") != NULL, en && spec->conv);
        assert_int_equal(layer_find(l, "ratio.fc1.weight") != NULL, en);
        assert_int_equal(layer_find(l, "mean_weight") != NULL, spec->type == NORM_SN);
        assert_int_equal(layer_find(l, "running_mean") != NULL, norm_uses_bn(spec));
        if (spec->type == NORM_SN) assert_true(l->host.params.mean_weight[0] == 1.0f && l->host.params.var_weight[1] == 1.0f);
        layer_free(l);
    }
}

/* A forward and a backward pass with residual and ReLU, with so many threads; 0: as many as there are. */
static norm_layer *run_with_threads(const norm_spec *spec, norm_dims d, int threads) {
    norm_layer *l = layer_new(be, spec, d);
    const int before = be->threads;
    layer_randomise(l, 13);
    layer_fill(l, 14, 0, 1.0);
    layer_send(l);
    if (threads > 0) be->threads = threads;
    const norm_call call = layer_call(l, true);
    assert_int_equal(norm_forward(be, self, &call, l->on.x, l->on.residual, true, l->on.y), ENTRAIN_OK);
    assert_int_equal(norm_backward(be, self, &call, l->on.dy, true, l->on.y, l->on.x, l->on.dx, l->on.dresidual), ENTRAIN_OK);
    be->threads = before;
    layer_fetch(l);
    return l;
}

static void assert_same_bits(const norm_layer *a, const norm_layer *b) {
    assert_memory_equal(a->host.y, b->host.y, a->elements * sizeof(float));
    assert_memory_equal(a->host.dx, b->host.dx, a->elements * sizeof(float));
    for (int i = 0; i < a->count; i++) {
        const norm_tensor *t = &a->tensors[i];
        const size_t bytes = (size_t)t->dims[0] * (size_t)(t->rank > 1 ? t->dims[1] : 1) * sizeof(float);
        const norm_params *pa = t->learned ? &a->host.grads : &a->host.params, *pb = t->learned ? &b->host.grads : &b->host.params;
        assert_memory_equal(layer_tensor(pa, t), layer_tensor(pb, t), bytes);
    }
}

static void test_threads_change_nothing(void **state) {
    be = *state;
    const norm_dims dims[] = {{1, 4001, 65, F32}, {2, 700, 300, F32}, {70, 3, 8, F32}};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        norm_layer *one = run_with_threads(&NORM_CASES[7].spec, dims[i], 1);
        for (int threads = 2; threads <= 3; threads++) {
            norm_layer *more = run_with_threads(&NORM_CASES[7].spec, dims[i], threads);
            assert_same_bits(one, more);
            layer_free(more);
        }
        layer_free(one);
    }
}

/* y over the residual, dx over dy, the residual's gradient over dy: the same bits as side by side. */
static void test_in_place(void **state) {
    be = *state;
    const norm_dims d = {2, 35, 65, F32};
    norm_layer *apart = run_with_threads(&NORM_CASES[6].spec, d, 0), *again = run_with_threads(&NORM_CASES[6].spec, d, 0);
    assert_same_bits(apart, again);
    layer_free(again);
    for (int over = 0; over < 2; over++) { /* which of dx and dresidual lies over dy */
        norm_layer *l = layer_new(be, &NORM_CASES[6].spec, d);
        layer_randomise(l, 13);
        layer_fill(l, 14, 0, 1.0);
        const norm_call call = layer_call(l, true);
        const size_t bytes = l->elements * sizeof(float);
        layer_send(l);
        assert_int_equal(norm_forward(be, self, &call, l->on.x, l->on.residual, true, l->on.residual), ENTRAIN_OK);
        assert_true(check_same("y over the residual", be, l->on.residual, apart->on.y, bytes));
        float *dx = over == 0 ? l->on.dy : l->on.dx, *dresidual = over == 0 ? l->on.dresidual : l->on.dy;
        assert_int_equal(norm_backward(be, self, &call, l->on.dy, true, l->on.residual, l->on.x, dx, dresidual), ENTRAIN_OK);
        assert_true(check_same("dx", be, dx, apart->on.dx, bytes));
        assert_true(check_same("the residual's gradient", be, dresidual, apart->on.dresidual, bytes));
        be->ops->norm_affine(be, l->on.x, d, l->state.m, l->state.a, l->state.b, NULL, false, l->on.y);
        be->ops->norm_affine(be, l->on.x, d, l->state.m, l->state.a, l->state.b, NULL, false, l->on.x);
        assert_true(check_same("y over x", be, l->on.x, l->on.y, bytes));
        layer_free(l);
    }
    layer_free(apart);
}

int main(void) {
    entrain_error err;
    if (comm_open_self(&self, &err) != ENTRAIN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_of_large_maps),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_tensors_of_the_other_forms),
        cmocka_unit_test(test_in_place),
    };
    const struct CMUnitTest cpu_tests[] = {cmocka_unit_test(test_threads_change_nothing)};
    const int failed = ops_run(tests, sizeof tests / sizeof *tests) + ops_run_cpu(cpu_tests, 1);
    comm_close(self);
    return failed;
}
