/* SGD on every backend: against float64, with segments that leave gaps, with clipping, and with gradients that are not finite. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_backends.h"
#include "ops_check.h"

enum { N = 60000, BEHIND = 37 }; /* what lies behind the last segment */

/* Without gaps, and with them: one between neighbours, a long one, one before the first. */
static const sgd_segment DENSE[] = {{0, 3, 1.0f, 1e-2f}, {3, 39997, 1.0f, 1e-2f}, {40000, 65, 1.0f, 0.0f}, {40065, N - 40065, 10.0f, 0.5f}};
static const sgd_segment GAPS[] = {
    {5, 1, 1.0f, 1e-2f}, {7, 20000, 2.0f, 0.0f}, {33001, 17, 1.0f, 0.1f}, {33100, N - BEHIND - 33100, 0.5f, 1e-3f}};
enum { SEGMENTS = sizeof DENSE / sizeof *DENSE };
_Static_assert(sizeof GAPS == sizeof DENSE, "as many segments with gaps");

/* Weights, momentum and segments of one run, on the host in float64 and on the device. */
typedef struct sgd_case {
    const sgd_segment *segments;
    double *w, *v;
    float *on_w, *on_v;
    sgd_segment *on_segments;
} sgd_case;

static sgd_case make_case(backend *be, const sgd_segment *segments) {
    sgd_case c = {.segments = segments, .w = check_random(N, 5), .v = check_random(N, 50)};
    c.on_w = check_upload(be, c.w, N);
    c.on_v = check_upload(be, c.v, N);
    c.on_segments = check_upload_bytes(be, segments, SEGMENTS * sizeof *segments);
    return c;
}

static void free_case(backend *be, const sgd_case *c) {
    void *const device[] = {c->on_w, c->on_v, c->on_segments};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) be->ops->release(be, device[i]);
    free(c->w);
    free(c->v);
}

static void expect_step(const sgd_case *c, const double *g, const sgd_rule *rule, double scale) {
    for (int s = 0; s < SEGMENTS; s++) {
        const sgd_segment *q = &c->segments[s];
        for (size_t i = q->offset; i < q->offset + q->count; i++) {
            const double d = scale * g[i] + (double)q->decay * c->w[i];
            c->v[i] = rule->momentum * c->v[i] + d;
            c->w[i] -= rule->lr * (double)q->lr_scale * (rule->nesterov ? d + rule->momentum * c->v[i] : c->v[i]);
        }
    }
}

/* What lies in no segment has the bits that it had: they are numbers that a float holds, and tolerance would hide a rounding. */
static void check_gaps(backend *be, const sgd_case *c, const float *device, uint64_t index) {
    double *before = check_random(N, index);
    float *now = malloc(N * sizeof *now);
    bool *touched = calloc(N, sizeof *touched);
    assert_true(now != NULL && touched != NULL);
    be->ops->download(be, now, device, N * sizeof *now);
    for (int s = 0; s < SEGMENTS; s++)
        for (size_t i = 0; i < c->segments[s].count; i++) touched[c->segments[s].offset + i] = true;
    for (size_t i = 0; i < N; i++)
        if (!touched[i] && !((double)now[i] == before[i])) fail_msg("sgd wrote to %zu, which is in no segment", i);
    free(touched);
    free(now);
    free(before);
}

/* Three steps; scale: what the rule's clipping comes to. */
static void check_steps(backend *be, const sgd_segment *segments, const sgd_rule *rule, double scale) {
    const sgd_case c = make_case(be, segments);
    for (int step = 0; step < 3; step++) {
        double *g = check_random(N, 6 + (uint64_t)step);
        float *on_g = check_upload(be, g, N);
        expect_step(&c, g, rule, scale);
        be->ops->sgd(be, c.on_w, on_g, c.on_v, N, c.on_segments, SEGMENTS, rule);
        be->ops->release(be, on_g);
        free(g);
    }
    assert_true(check_device("sgd, v", be, c.on_v, c.v, N, 1e-6));
    assert_true(check_device("sgd, w", be, c.on_w, c.w, N, 1e-6));
    check_gaps(be, &c, c.on_w, 5);
    check_gaps(be, &c, c.on_v, 50);
    free_case(be, &c);
}

/* Of a norm of 4: not clipped because nobody asks, because it is smaller, because no norm is given; clipped to a quarter. */
static void against_reference(void **state) {
    backend *be = *state;
    double *squares = check_upload_double(be, 16.0);
    const struct {
        double clip_norm;
        const double *squares;
        double scale;
    } clips[] = {{0.0, NULL, 1.0}, {0.0, squares, 1.0}, {4.5, squares, 1.0}, {1.0, NULL, 1.0}, {1.0, squares, 0.25}};
    for (int k = 0; k < 4; k++) {
        for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
            const sgd_rule rule = {.lr = k % 2 == 0 ? 0.1 : 0.05,
                                   .momentum = k % 2 == 0 ? 0.9 : 0.0,
                                   .nesterov = k >= 2,
                                   .clip_norm = clips[i].clip_norm,
                                   .squares = clips[i].squares};
            check_steps(be, i % 2 == 0 ? DENSE : GAPS, &rule, clips[i].scale);
            check_steps(be, i % 2 == 0 ? GAPS : DENSE, &rule, clips[i].scale);
        }
    }
    be->ops->release(be, squares);
}

/* A sum of squares that is not finite: not one bit changes, whether clipping is asked for or not. */
static void nothing_from_gradients_that_are_not_finite(void **state) {
    backend *be = *state;
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    double *g = check_random(N, 6);
    for (int k = 0; k < 6; k++) {
        const sgd_case c = make_case(be, DENSE);
        float *on_g = check_upload(be, g, N);
        double *squares = check_upload_double(be, 0.0);
        be->ops->upload(be, on_g + N / 3, &BAD[k / 2], sizeof *BAD);
        be->ops->sum_squares(be, on_g, N, squares);
        const sgd_rule rule = {.lr = 0.1, .momentum = 0.9, .clip_norm = k % 2, .squares = squares};
        be->ops->sgd(be, c.on_w, on_g, c.on_v, N, c.on_segments, SEGMENTS, &rule);
        assert_true(check_device("w, untouched", be, c.on_w, c.w, N, 0.0));
        assert_true(check_device("v, untouched", be, c.on_v, c.v, N, 0.0));
        be->ops->release(be, squares);
        be->ops->release(be, on_g);
        free_case(be, &c);
    }
    free(g);
}

/* A bucket of which nothing is learned, and a whole that is given in two parts: the same bits as at once. */
static void in_parts(void **state) {
    backend *be = *state;
    const sgd_rule rule = {.lr = 0.1, .momentum = 0.9};
    const sgd_case whole = make_case(be, DENSE), parts = make_case(be, DENSE);
    double *g = check_random(N, 6);
    float *on_g = check_upload(be, g, N);
    sgd_segment second[2] = {DENSE[2], DENSE[3]};
    const size_t begin = second[0].offset;
    for (int i = 0; i < 2; i++) second[i].offset -= begin;
    be->ops->upload(be, parts.on_segments + 2, second, sizeof second);
    be->ops->sgd(be, whole.on_w, on_g, whole.on_v, N, whole.on_segments, SEGMENTS, &rule);
    be->ops->sgd(be, parts.on_w, on_g, parts.on_v, begin, parts.on_segments, 2, &rule);
    be->ops->sgd(be, parts.on_w, on_g, parts.on_v, N, parts.on_segments, 0, &rule);
    be->ops->sgd(be, parts.on_w + begin, on_g + begin, parts.on_v + begin, N - begin, parts.on_segments + 2, 2, &rule);
    assert_true(check_same("sgd in parts, w", be, whole.on_w, parts.on_w, N * sizeof(float)));
    assert_true(check_same("sgd in parts, v", be, whole.on_v, parts.on_v, N * sizeof(float)));
    be->ops->release(be, on_g);
    free(g);
    free_case(be, &whole);
    free_case(be, &parts);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_reference), cmocka_unit_test(nothing_from_gradients_that_are_not_finite),
                                       cmocka_unit_test(in_parts)};
    return ops_run(tests, sizeof tests / sizeof *tests);
}
