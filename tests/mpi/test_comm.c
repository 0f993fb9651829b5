/* Communicators: sums, broadcasts, agreement, several sums under way; under mpirun with 1, 2 and 4 ranks. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"

static comm *world;

static void sums_of_every_type(void **state) {
    (void)state;
    float f[1000];
    double d[3] = {1.0 + world->rank, 0.5, -1.0};
    int64_t i[2] = {world->rank, INT64_C(1) << 40};
    for (int k = 0; k < 1000; k++) f[k] = (float)(k + world->rank);
    assert_int_equal(comm_allreduce(world, f, 1000, COMM_F32, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce(world, d, 3, COMM_F64, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce(world, i, 2, COMM_I64, NULL), ENTRAIN_OK);
    const int n = world->size, triangle = n * (n - 1) / 2;
    for (int k = 0; k < 1000; k++) assert_near((double)f[k], k * n + triangle, 0);
    assert_near(d[0], n + triangle, 0);
    assert_near(d[1], 0.5 * n, 0);
    assert_int_equal(i[0], triangle);
    assert_int_equal(i[1], n * (INT64_C(1) << 40));
}

/* ---- sums under way ---- */

enum { PARTS = 9, MOST = 40000 };
static const size_t counts[PARTS] = {1, 15, 16, 17, 1000, 4096, MOST, 0, 333};

/* Whole numbers below 2^24 and their sums are exact in float32, in any order. */
static float whole(size_t part, size_t k, int rank) {
    return (float)((k * 7 + part * 131 + (size_t)rank * 100003) % 1000000) - 500000.0f;
}

static void fill_parts(float *data) {
    for (size_t part = 0; part < PARTS; part++)
        for (size_t k = 0; k < counts[part]; k++) data[part * MOST + k] = whole(part, k, world->rank);
}

static void check_parts(const float *data) {
    for (size_t part = 0; part < PARTS; part++) {
        for (size_t k = 0; k < counts[part]; k++) {
            double sum = 0.0;
            for (int rank = 0; rank < world->size; rank++) sum += (double)whole(part, k, rank);
            assert_near((double)data[part * MOST + k], sum, 0);
        }
    }
}

/* Several sums under way, ranks at different paces, other collectives in between: none disturbs another. */
static void several_under_way(float *data) {
    for (int turn = 0; turn < 3; turn++) {
        fill_parts(data);
        for (size_t part = 0; part < PARTS; part++) {
            if (world->rank % 2 == 1 && part % 3 == 0) (void)usleep(2000);
            assert_int_equal(comm_allreduce_start(world, data + part * MOST, counts[part], COMM_F32, NULL), ENTRAIN_OK);
            double between[2] = {(double)part, world->rank};
            assert_int_equal(comm_allreduce(world, between, 2, COMM_F64, NULL), ENTRAIN_OK);
            assert_near(between[0], world->size * (double)part, 0);
            assert_near(between[1], world->size * (world->size - 1) / 2, 0);
            for (int look = 0; look < world->rank; look++) assert_int_equal(comm_progress(world), ENTRAIN_OK);
        }
        assert_true(comm_any(world, world->rank == 0));
        assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK);
        check_parts(data);
    }
    assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK); /* nothing is under way */
}

static void several_in_any_memory(void **state) {
    (void)state;
    float *data = calloc(PARTS * MOST, sizeof *data);
    assert_non_null(data);
    several_under_way(data);
    free(data);
}

static float *shared_floats(size_t count) {
    float *data = comm_alloc_shared(world, count * sizeof *data);
    if (data != NULL) return data;
    assert_int_equal(world->size, 1); /* the tests' ranks are on one host */
    skip();
    exit(1); /* skip does not come back, but the compiler is not told */
}

static void several_in_shared_memory(void **state) {
    (void)state;
    float *data = shared_floats(PARTS * MOST);
    for (size_t i = 0; i < PARTS * MOST; i++) assert_near((double)data[i], 0, 0);
    several_under_way(data);
    comm_release_shared(world, data);
}

/* More sums than may be under way at a time, in memory that only partly is shared. */
static void very_many_under_way(void **state) {
    (void)state;
    enum { SUMS = 1000 };
    float *shared = shared_floats(SUMS);
    float *other = calloc(SUMS, sizeof *other);
    assert_non_null(other);
    for (int k = 0; k < SUMS; k++) {
        shared[k] = (float)(k + world->rank);
        other[k] = (float)(2 * k + world->rank);
        assert_int_equal(comm_allreduce_start(world, shared + k, 1, COMM_F32, NULL), ENTRAIN_OK);
        assert_int_equal(comm_allreduce_start(world, other + k, 1, COMM_F32, NULL), ENTRAIN_OK);
    }
    assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK);
    const int n = world->size, triangle = n * (n - 1) / 2;
    for (int k = 0; k < SUMS; k++) {
        assert_near((double)shared[k], k * n + triangle, 0);
        assert_near((double)other[k], 2 * k * n + triangle, 0);
    }
    free(other);
    comm_release_shared(world, shared);
}

/* Arbitrary numbers: the same bits again, and on every rank. */
static void started_sums_are_repeatable(float *a, float *b, size_t count) {
    float *root = malloc(count * sizeof *root);
    assert_non_null(root);
    for (size_t k = 0; k < count; k++) a[k] = b[k] = 1.0f / (float)(1 + k + 31 * (size_t)world->rank);
    assert_int_equal(comm_allreduce_start(world, a, count, COMM_F32, NULL), ENTRAIN_OK);
    (void)usleep(500 * (unsigned)(world->size - world->rank));
    assert_int_equal(comm_allreduce_start(world, b, count, COMM_F32, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK);
    assert_memory_equal(a, b, count * sizeof *a);
    memcpy(root, a, count * sizeof *a);
    assert_int_equal(comm_broadcast(world, root, count * sizeof *a, COMM_BYTE, 0, NULL), ENTRAIN_OK);
    assert_memory_equal(a, root, count * sizeof *a);
    free(root);
}

static void started_sums_have_the_same_bits(void **state) {
    (void)state;
    const size_t sizes[] = {5, 5000, 300000};
    float *any = calloc(600000, sizeof *any);
    assert_non_null(any);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) started_sums_are_repeatable(any, any + sizes[i], sizes[i]);
    free(any);
    float *shared = shared_floats(600000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) started_sums_are_repeatable(shared, shared + sizes[i], sizes[i]);
    comm_release_shared(world, shared);
}

/* One region given back while another stays, and one that only closing gives back. */
static void shared_memory_comes_and_goes(void **state) {
    (void)state;
    float *first = shared_floats(100), *second = shared_floats(50);
    second[49] = (float)world->rank;
    comm_release_shared(world, first);
    assert_int_equal(comm_allreduce_start(world, second, 50, COMM_F32, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK);
    assert_near((double)second[49], world->size * (world->size - 1) / 2, 0);
    assert_near((double)second[0], 0, 0);
    first = shared_floats(100); /* the second is left to comm_close */
    comm_release_shared(world, first);
}

/* ---- the rest ---- */

/* The same float sum twice, and on every rank: the same bits. */
static void sums_are_repeatable(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    float *a = malloc(COUNT * sizeof *a), *b = malloc(COUNT * sizeof *b), *root = malloc(COUNT * sizeof *root);
    assert_true(a != NULL && b != NULL && root != NULL);
    for (int k = 0; k < COUNT; k++) a[k] = b[k] = 1.0f / (float)(1 + k + 31 * world->rank);
    assert_int_equal(comm_allreduce(world, a, COUNT, COMM_F32, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce(world, b, COUNT, COMM_F32, NULL), ENTRAIN_OK);
    assert_memory_equal(a, b, COUNT * sizeof *a);
    memcpy(root, a, COUNT * sizeof *a);
    assert_int_equal(comm_broadcast(world, root, COUNT, COMM_F32, 0, NULL), ENTRAIN_OK);
    assert_memory_equal(a, root, COUNT * sizeof *a);
    free(a);
    free(b);
    free(root);
}

static void broadcast_from_each(void **state) {
    (void)state;
    for (int root = 0; root < world->size; root++) {
        char text[16] = "nothing";
        if (world->rank == root) (void)snprintf(text, sizeof text, "from %d", root);
        char expected[16];
        (void)snprintf(expected, sizeof expected, "from %d", root);
        assert_int_equal(comm_broadcast(world, text, sizeof text, COMM_BYTE, root, NULL), ENTRAIN_OK);
        assert_string_equal(text, expected);
    }
}

static void any_of_us(void **state) {
    (void)state;
    assert_false(comm_any(world, false));
    assert_true(comm_any(world, world->rank == world->size - 1));
    assert_int_equal(comm_barrier(world), ENTRAIN_OK);
}

static void shares_cover_everything(void **state) {
    (void)state;
    for (int64_t count = 0; count < 20; count++) {
        int64_t next = 0;
        for (int rank = 0; rank < 7; rank++) {
            int64_t begin, end;
            comm_share(count, rank, 7, &begin, &end);
            assert_int_equal(begin, next);
            assert_true(end >= begin && end - begin <= count / 7 + 1);
            next = end;
        }
        assert_int_equal(next, count);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_every_type),
        cmocka_unit_test(several_in_any_memory),
        cmocka_unit_test(several_in_shared_memory),
        cmocka_unit_test(very_many_under_way),
        cmocka_unit_test(started_sums_have_the_same_bits),
        cmocka_unit_test(shared_memory_comes_and_goes),
        cmocka_unit_test(sums_are_repeatable),
        cmocka_unit_test(broadcast_from_each),
        cmocka_unit_test(any_of_us),
        cmocka_unit_test(shares_cover_everything),
    };
    entrain_error err;
    if (comm_open(&world, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed = comm_any(world, failed != 0) ? 1 : 0;
    comm_close(world);
    return failed;
}
