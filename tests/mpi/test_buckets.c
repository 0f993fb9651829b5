/*
 * Gradients summed in buckets while backward goes on: the same as those of each rank alone, added up afterwards, whatever the buckets'
 * size and wherever the gradients are. A bucket started before its last gradient is final would show.
 */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "model/buckets.h"
#include "model/net.h"
#include "ops_backends.h"
#include "ops_check.h"

enum { SIDE = 40, IMAGES = 2, CLASSES = 5 };

static comm *world, *self;
static backend *be;
static entrain_error err;

static const char CONFIG[] =
    "{\"model\": {\"backbone\": \"resnet18\", \"output_stride\": 16, \"head\": \"deeplab_v2\", \"aux_weight\": 0.4},"
    " \"data\": {\"train\": \"-\"}, \"norm\": {\"type\": \"gn\"}}";

static void make_inputs(float *images, uint8_t *labels) {
    for (int i = 0; i < 3 * IMAGES * SIDE * SIDE; i++) images[i] = (float)sin(0.37 * i + world->rank);
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++) labels[i] = (uint8_t)((i / 7 + world->rank) % CLASSES);
}

/* What a test's backward hands its finished nodes to. */
typedef struct summing {
    buckets b;
    comm *c;
    params *p;
} summing;

static entrain_status sum_finished(void *context, int id) {
    summing *s = context;
    const bucket *b = buckets_next(&s->b, id);
    if (b == NULL) return comm_progress(s->c);
    return comm_allreduce_start(s->c, s->p->grad + b->begin, b->end - b->begin, COMM_F32, be->stream);
}

/* Gradients of one pass, as backward and c's sums leave them. Returns a copy; *floats: how many. */
static float *gradients(comm *c, size_t bucket_bytes, bool shared, size_t *floats) {
    static config conf;
    static float images[3 * IMAGES * SIDE * SIDE];
    static uint8_t labels[IMAGES * SIDE * SIDE];
    params p;
    graph g;
    net *t = NULL;
    loss_sums *sums = be->ops->alloc(be, 2 * sizeof *sums);
    assert_non_null(sums);
    assert_ok(config_parse(CONFIG, "test", NULL, 0, &conf, &err));
    assert_ok(model_build(&conf, CLASSES, &p, &g, &err));
    if (shared) params_share_gradients(&p, be, c);
    assert_int_equal(p.c != NULL, shared && c->size > 1 && be->host_memory);
    assert_ok(params_allocate(&p, be, true, &err));
    assert_ok(model_init(&g, 1, &err));
    summing sum = {.c = c, .p = &p};
    assert_ok(buckets_make(&g, bucket_bytes, &sum.b, &err));
    assert_int_equal(sum.b.list[0].end, p.learned_floats);
    assert_int_equal(sum.b.list[sum.b.count - 1].begin, 0);
    const net_options o = {
        .n = IMAGES, .h = SIDE, .w = SIDE, .training = true, .aux_weight = 0.4, .finished = sum_finished, .finished_context = &sum};
    assert_ok(net_create(&g, be, c, &o, &t, &err));
    make_inputs(images, labels);
    void *on_images = check_upload_bytes(be, images, sizeof images);
    uint8_t *on_labels = check_upload_bytes(be, labels, sizeof labels);
    double *valid = check_upload_double(be, 1000.0);
    for (int turn = 0; turn < 2; turn++) { /* the second pass writes over the sums of the first */
        buckets_restart(&sum.b);
        assert_int_equal(net_forward(t, on_images, 0), ENTRAIN_OK);
        net_loss(t, on_labels, sums);
        assert_int_equal(net_backward(t, valid), ENTRAIN_OK);
        assert_int_equal(comm_allreduce_wait(c, be->stream), ENTRAIN_OK);
    }
    *floats = p.learned_floats;
    float *copy = malloc(*floats * sizeof *copy);
    assert_non_null(copy);
    be->ops->download(be, copy, p.grad, *floats * sizeof *copy);
    void *const device[] = {on_images, on_labels, valid, sums};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) be->ops->release(be, device[i]);
    buckets_free(&sum.b);
    net_free(t);
    graph_free(&g);
    params_free(&p);
    return copy;
}

/* Each rank's own gradients, added up in float64. */
static double *expected_sums(size_t floats) {
    size_t count = 0;
    float *alone = gradients(self, 0, false, &count);
    assert_int_equal(count, floats);
    double *sums = malloc(count * sizeof *sums);
    assert_non_null(sums);
    for (size_t i = 0; i < count; i++) sums[i] = (double)alone[i];
    assert_int_equal(comm_allreduce(world, sums, count, COMM_F64, NULL), ENTRAIN_OK);
    free(alone);
    return sums;
}

static void check_against_sums(const float *found, const double *sums, size_t floats) {
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < floats; i++) {
        difference += ((double)found[i] - sums[i]) * ((double)found[i] - sums[i]);
        norm += sums[i] * sums[i];
    }
    assert_true(norm > 0.0);
    assert_true(sqrt(difference) <= 1e-6 * sqrt(norm));
}

static void any_size_of_bucket(bool shared) {
    const size_t bytes[] = {(size_t)1 << 20, 1, SIZE_MAX};
    size_t floats = 0;
    float *first = gradients(world, bytes[0], shared, &floats);
    double *sums = expected_sums(floats);
    check_against_sums(first, sums, floats);
    for (size_t i = 1; i < sizeof bytes / sizeof bytes[0]; i++) {
        float *other = gradients(world, bytes[i], shared, &floats);
        assert_memory_equal(first, other, floats * sizeof *first);
        free(other);
    }
    free(sums);
    free(first);
}

static void in_shared_memory(void **state) {
    (void)state;
    any_size_of_bucket(true);
}

static void in_any_memory(void **state) {
    (void)state;
    any_size_of_bucket(false);
}

int main(void) {
    if (test_device_missing()) return TEST_SKIPPED;
    if (open_test_backend(1, &be, &err) != ENTRAIN_OK || open_test_ranks(be, &world, &err) != ENTRAIN_OK ||
        comm_open_self(&self, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_shared_memory), cmocka_unit_test(in_any_memory)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed = comm_any(world, failed != 0) ? 1 : 0;
    comm_close(self);
    comm_close(world);
    backend_close(be);
    return failed;
}
