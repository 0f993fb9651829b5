/*
 * The normalisation engine over ranks: each rank holds its part of a global batch, in uneven numbers and sizes, and must get what the
 * float64 reference gets from the whole batch at once. Every rank computes that reference itself; collectives come before assertions,
 * so that a failure on one rank does not leave the others waiting.
 */
#include <math.h>
#include <stdio.h>

#include "norm_layer.h"
#include "ops_backends.h"

static backend *be;
static comm *ranks;

enum { MOST_IMAGES = 16 };

/* A global batch dealt to ranks; images of rank 0 may have another size than those of the others. */
typedef struct batch {
    int images, channels;
    int pixels_first, pixels_rest; /* P on rank 0, on the others */
    int pixels[MOST_IMAGES];       /* P of every image */
    int begin, end;                /* this rank's */
} batch;

static batch deal(int images, int channels, int pixels_first, int pixels_rest) {
    batch b = {.images = images, .channels = channels, .pixels_first = pixels_first, .pixels_rest = pixels_rest};
    for (int rank = 0; rank < ranks->size; rank++) {
        int64_t begin, end;
        comm_share(images, rank, ranks->size, &begin, &end);
        for (int64_t i = begin; i < end; i++) b.pixels[i] = rank == 0 ? pixels_first : pixels_rest;
        if (rank != ranks->rank) continue;
        b.begin = (int)begin;
        b.end = (int)end;
    }
    return b;
}

static norm_layer *fill_layer(const norm_spec *spec, const batch *b, int begin, int end, int pixels) {
    norm_layer *l = layer_new(be, spec, (norm_dims){end - begin, pixels, b->channels, F32});
    layer_randomise(l, 3);
    layer_fill(l, 4, begin, 0.0);
    return l;
}

/* The reference of images [begin, end). */
static reference *fill_reference(const norm_spec *spec, const batch *b, int begin, int end) {
    reference *r = reference_new(spec, end - begin, b->channels, b->pixels + begin);
    size_t at = 0;
    for (int i = begin; i < end; i++) {
        norm_layer *image = fill_layer(spec, b, i, i + 1, b->pixels[i]);
        if (i == begin) layer_to_reference(image, r);
        for (size_t e = 0; e < image->elements; e++, at++) {
            r->x[at] = (double)image->host.x[e];
            r->g[at] = (double)image->host.dy[e];
        }
        layer_free(image);
    }
    reference_forward(r);
    reference_backward(r);
    return r;
}

/* Sum each gradient over ranks, in place. Returns false when a collective failed. */
static bool sum_gradients(norm_layer *l) {
    for (int i = 0; i < l->count; i++) {
        const norm_tensor *t = &l->tensors[i];
        const size_t count = (size_t)t->dims[0] * (size_t)(t->rank > 1 ? t->dims[1] : 1);
        if (t->learned && comm_allreduce(ranks, layer_tensor(&l->host.grads, t), count, COMM_F32, NULL) != ENTRAIN_OK) return false;
    }
    return true;
}

#define assert_within(error, bound, what, name)                                                                                            \
    do {                                                                                                                                   \
        const double error_ = (error);                                                                                                     \
        if (!(error_ <= (bound))) fail_msg("rank %d of %d, %s, %s: error %.3g", ranks->rank, ranks->size, name, what, error_);             \
    } while (0)

/* r holds the images that shared statistics; this rank's begin at image `first` of them. */
static void compare(const norm_layer *l, const reference *r, int first, const char *name) {
    size_t at = 0;
    for (int i = 0; i < first; i++) at += (size_t)r->pixels[i] * (size_t)r->c;
    assert_within(worst_error(l->host.y, r->y + at, l->elements, 1.0), 1e-5, "Y", name);
    assert_within(worst_error(l->host.dx, r->dx + at, l->elements, 0.02 * layer_gradient_scale(l)), 2e-5, "dX", name);
    if (norm_uses_bn(l->spec)) {
        assert_within(worst_error(l->host.params.running_mean, r->running_mean, (size_t)r->c, 1.0), 1e-6, "running mean", name);
        assert_within(worst_error(l->host.params.running_var, r->running_var, (size_t)r->c, 1.0), 1e-6, "running variance", name);
    }
}

static void compare_gradients(const norm_layer *l, const reference *r, const char *name) {
    for (int p = 0; p < REF_PARAMS; p++) {
        const norm_tensor *t = layer_find(l, REF_NAMES[p]);
        if (t == NULL) continue;
        assert_within(worst_error(layer_tensor(&l->host.grads, t), r->grad[p], reference_count(l->spec, l->d.c, p), 1e-2), 5e-5,
                      REF_NAMES[p], name);
    }
}

static void check(const norm_spec *spec, const char *name, int images, int channels, int pixels_first, int pixels_rest) {
    const batch b = deal(images, channels, pixels_first, pixels_rest);
    norm_layer *l = fill_layer(spec, &b, b.begin, b.end, ranks->rank == 0 ? pixels_first : pixels_rest);
    const norm_call call = layer_call(l, true);
    layer_send(l);
    const entrain_status forward = norm_forward(be, ranks, &call, l->on.x, NULL, false, l->on.y);
    const entrain_status backward = norm_backward(be, ranks, &call, l->on.dy, false, NULL, l->on.x, l->on.dx, NULL);
    layer_fetch(l);
    /* Without synchronisation a rank's own gradients belong to its own images' statistics. */
    const bool whole = spec->sync || !norm_uses_bn(spec), summed = !whole || sum_gradients(l);
    assert_int_equal(forward, ENTRAIN_OK);
    assert_int_equal(backward, ENTRAIN_OK);
    assert_true(summed);
    if (whole || b.end > b.begin) {
        reference *r = whole ? fill_reference(spec, &b, 0, b.images) : fill_reference(spec, &b, b.begin, b.end);
        compare(l, r, whole ? b.begin : 0, name);
        compare_gradients(l, r, name);
        reference_free(r);
    }
    layer_free(l);
}

static void check_all(bool sync, int images, int channels, int pixels_first, int pixels_rest) {
    for (int i = 0; i < NORM_CASE_COUNT; i++) {
        norm_spec spec = NORM_CASES[i].spec;
        spec.sync = sync;
        check(&spec, NORM_CASES[i].name, images, channels, pixels_first, pixels_rest);
    }
}

static void test_uneven_images(void **state) {
    (void)state;
    check_all(true, 7, 24, 35, 35);
    check_all(true, 7, 65, 1, 1);
}

static void test_uneven_sizes(void **state) {
    (void)state;
    check_all(true, 7, 24, 35, 99);
}

/* With four ranks one of them has no image, and must still take part. */
static void test_rank_without_images(void **state) {
    (void)state;
    check_all(true, 3, 10, 12, 12);
}

static void test_without_synchronisation(void **state) {
    (void)state;
    check_all(false, 7, 24, 35, 35);
}

/* Evaluation has no collective: a rank may evaluate while the others do nothing. */
static void test_evaluation_is_local(void **state) {
    (void)state;
    if (ranks->rank == 0) {
        const batch b = {.images = 2, .channels = 24, .pixels = {35, 35}};
        for (int i = 0; i < NORM_CASE_COUNT; i++) {
            norm_layer *l = fill_layer(&NORM_CASES[i].spec, &b, 0, 2, 35);
            const norm_call call = layer_call(l, false);
            layer_send(l);
            assert_int_equal(norm_forward(be, ranks, &call, l->on.x, NULL, false, l->on.y), ENTRAIN_OK);
            layer_free(l);
        }
    }
    assert_int_equal(comm_barrier(ranks), ENTRAIN_OK);
}

int main(void) {
    entrain_error err;
    if (test_device_missing()) return TEST_SKIPPED;
    if (open_test_backend(1, &be, &err) != ENTRAIN_OK || open_test_ranks(be, &ranks, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uneven_images),       cmocka_unit_test(test_uneven_sizes),
        cmocka_unit_test(test_rank_without_images), cmocka_unit_test(test_without_synchronisation),
        cmocka_unit_test(test_evaluation_is_local),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_close(ranks);
    backend_close(be);
    return failed;
}
