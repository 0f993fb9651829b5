/* Fusing: the same bits for any number of threads and any height of bands, windows asked for once and in order, memory as planned. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "train/fuse.h"
#include "train/fuse_internal.h"
#include "train/softmax.h"

enum { CLASSES = 11 };

static entrain_error err;
static config c;

static void configure(const char *text) {
    assert_ok(config_parse(text, "test", NULL, 0, &c, &err));
}

/* ---- a source whose logits are a function of place and class ---- */

typedef struct counted {
    const fuse_plan *plan;
    int runs[FUSE_MAX_PASSES];
    int top[FUSE_MAX_PASSES]; /* of the last window */
    int fail_at;              /* 0: never */
    int all;
} counted;

static entrain_status smooth(void *context, const fuse_window *w, float *logits, entrain_error *e) {
    counted *n = context;
    const int pass = (int)(w->pass - n->plan->passes);
    if (++n->all == n->fail_at) {
        e->status = ENTRAIN_DATA;
        return ENTRAIN_DATA;
    }
    assert_true(w->y >= n->top[pass]);
    n->top[pass] = w->y;
    n->runs[pass]++;
    random_stream r = random_open(7, RANDOM_TEST, (uint64_t)(pass * 1000003 + w->y * 1009 + w->x));
    const size_t count = (size_t)w->pass->logits_h * (size_t)w->pass->logits_w * (size_t)n->plan->classes;
    for (size_t i = 0; i < count; i++) logits[i] = (float)random_range(&r, -8, 8);
    return ENTRAIN_OK;
}

static void run(const fuse_plan *p, int threads, uint8_t *labels, float *scores) {
    counted n = {.plan = p};
    const fuse_source source = {smooth, &n};
    fuse_memory memory = {0};
    assert_ok(fuse_run(p, &source, threads, &memory, labels, scores, &err));
    for (int i = 0; i < p->count; i++) assert_int_equal(n.runs[i], p->passes[i].rows * p->passes[i].columns);
    assert_true(memory.capacity * sizeof(float) <= fuse_bytes(p, threads)); /* what is said is what is taken */
    fuse_memory_free(&memory);
}

static const char *const ways[] = {
    "{}",
    "{\"eval\": {\"flip\": true, \"scales\": [0.5, 1, 1.7]}}",
    "{\"eval\": {\"mode\": \"slide\", \"crop\": [40, 50], \"stride\": [13, 31]}}",
    "{\"eval\": {\"mode\": \"slide\", \"crop\": [40, 50], \"short_sides\": [60, 90, 140], \"flip\": true}}",
};

static void test_threads_and_bands(void **state) {
    (void)state;
    const int height = 150, width = 170;
    const size_t pixels = (size_t)height * (size_t)width;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        fuse_plan p;
        configure(ways[i]);
        fuse_plan_make(&c, CLASSES, 100, 120, height, width, &p);
        assert_int_equal(p.band, FUSE_BAND);
        float *want = malloc(pixels * CLASSES * sizeof *want), *got = malloc(pixels * CLASSES * sizeof *got);
        uint8_t *labels = malloc(2 * pixels);
        assert_true(want != NULL && got != NULL && labels != NULL);
        run(&p, 1, labels, want);
        for (size_t k = 0; k < pixels; k++) {
            const float *s = want + k * CLASSES;
            for (int j = 0; j < CLASSES; j++) assert_true(s[labels[k]] > s[j] || (s[labels[k]] == s[j] && labels[k] <= j));
        }
        for (int threads = 2; threads < 100; threads = 3 * threads + 1) {
            memset(got, 0xff, pixels * CLASSES * sizeof *got);
            run(&p, threads, labels + pixels, got);
            assert_memory_equal(want, got, pixels * CLASSES * sizeof *got);
            assert_memory_equal(labels, labels + pixels, pixels);
        }
        /* As many rows of windows are kept as this band needs: too many for a smaller one does no harm. */
        p.band = 9;
        run(&p, 3, labels + pixels, NULL);
        assert_memory_equal(labels, labels + pixels, pixels);
        run(&p, 3, NULL, got);
        assert_memory_equal(want, got, pixels * CLASSES * sizeof *got);
        free(want);
        free(got);
        free(labels);
    }
}

static void test_a_failing_source(void **state) {
    (void)state;
    fuse_plan p;
    uint8_t labels[60 * 60];
    configure(ways[3]);
    fuse_plan_make(&c, CLASSES, 60, 60, 60, 60, &p);
    counted n = {.plan = &p, .fail_at = 5};
    const fuse_source source = {smooth, &n};
    fuse_memory memory = {0};
    assert_int_equal(fuse_run(&p, &source, 2, &memory, labels, NULL, &err), ENTRAIN_DATA);
    assert_int_equal(n.all, 5);
    fuse_memory_free(&memory);
}

/* A score that is not finite ends it, wherever it stands. */
static entrain_status spoiled(void *context, const fuse_window *w, float *logits, entrain_error *e) {
    counted *n = context;
    const entrain_status status = smooth(context, w, logits, e);
    const size_t count = (size_t)w->pass->logits_h * (size_t)w->pass->logits_w * (size_t)n->plan->classes;
    if (n->all == 3) logits[n->fail_at < 0 ? count - 1 : count / 2] = n->fail_at < 0 ? -INFINITY : NAN;
    return status;
}

static void test_scores_that_are_not_finite(void **state) {
    (void)state;
    fuse_plan p;
    uint8_t labels[60 * 60];
    configure(ways[3]);
    fuse_plan_make(&c, CLASSES, 60, 60, 60, 60, &p);
    for (int fail_at = -1; fail_at < 1; fail_at++) {
        counted n = {.plan = &p, .fail_at = fail_at};
        const fuse_source source = {spoiled, &n};
        fuse_memory memory = {0};
        assert_int_equal(fuse_run(&p, &source, 2, &memory, labels, NULL, &err), ENTRAIN_NONFINITE);
        assert_int_equal(n.all, 3);
        fuse_memory_free(&memory);
    }
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int h, w, want_h, want_w;
    } cases[] = {
        {"{\"eval\": {\"scales\": [0.5]}}", 5, 3, 3, 2}, /* halves away from zero */
        {"{\"eval\": {\"scales\": [0.1]}}", 4, 1000, 1, 100},
        {"{\"eval\": {\"short_sides\": [300]}}", 512, 683, 300, 400}, /* 400.2 */
        {"{\"eval\": {\"short_sides\": [300]}}", 683, 512, 400, 300},
        {"{\"eval\": {\"short_sides\": [600], \"max_side\": 1000}}", 512, 683, 600, 800},
        {"{\"eval\": {\"short_sides\": [600], \"max_side\": 1000}}", 300, 900, 333, 1000},
        {"{\"eval\": {\"short_sides\": [600], \"max_side\": 1000}}", 1, 5000, 1, 1000},
        {"{\"eval\": {\"short_sides\": [16384]}}", 1, 100000, 16384, INT32_MAX / 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fuse_plan p;
        configure(cases[i].text);
        fuse_plan_make(&c, CLASSES, cases[i].h, cases[i].w, 1, 1, &p);
        assert_int_equal(p.passes[0].h, cases[i].want_h);
        assert_int_equal(p.passes[0].w, cases[i].want_w);
    }
}

/* Memory does not grow with the height of what slides. */
static void test_memory(void **state) {
    (void)state;
    fuse_plan small, tall, wide;
    configure("{\"eval\": {\"mode\": \"slide\", \"crop\": [512, 512], \"flip\": true}}");
    fuse_plan_make(&c, 19, 2000, 6000, 2000, 6000, &small);
    fuse_plan_make(&c, 19, 40000, 6000, 40000, 6000, &tall);
    fuse_plan_make(&c, 150, 4000, 6000, 4000, 6000, &wide);
    assert_true(fuse_bytes(&tall, 4) == fuse_bytes(&small, 4));
    assert_true(tall.passes[0].resident == 2 || tall.passes[0].resident == 3);
    assert_true(wide.band < FUSE_BAND && wide.band >= FUSE_BAND_LEAST);
    assert_true(fuse_bytes(&wide, 4) < (size_t)6000 * 4000 * 150 * sizeof(float) / 20);
}

/* ---- softmax ---- */

static void test_softmax(void **state) {
    (void)state;
    enum { N = 200000 };
    double worst = 0.0;
    for (int i = 0; i <= N; i++) {
        float row[8] = {0.0f, -76.0f * (float)i / N, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE};
        float sum[8] = {0};
        const double e = exp((double)row[1]);
        softmax_add(row, 1, 8, sum);
        const double error = fabs((double)row[1] / e - 1.0); /* e^x itself is left in the row */
        if (error > worst) worst = error;
        assert_near((double)(sum[0] + sum[1]), 1.0, 2e-7);
        assert_near((double)sum[1], e / (1.0 + e), 2e-7);
    }
    assert_true(worst < 2.0 / 8388608.0);
    assert_true(worst > 1e-9); /* it was looked at */
}

static void test_extreme_scores(void **state) {
    (void)state;
    float sum[16] = {0}, row[16] = {3e38f, -3e38f, 3e38f};
    for (int k = 3; k < 16; k++) row[k] = SOFTMAX_NONE;
    softmax_add(row, 1, 16, sum);
    assert_near((double)sum[0], 0.5, 1e-7);
    assert_near((double)sum[2], 0.5, 1e-7);
    float bad[8] = {NAN, NAN, NAN, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE};
    uint8_t label = 200;
    softmax_argmax(bad, 1, 3, 8, &label);
    assert_true(label < 3);
    float equal[8] = {1, 2, 2, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE, SOFTMAX_NONE};
    softmax_argmax(equal, 1, 3, 8, &label);
    assert_int_equal(label, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_bands),
        cmocka_unit_test(test_a_failing_source),
        cmocka_unit_test(test_scores_that_are_not_finite),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_extreme_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
