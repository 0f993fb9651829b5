/* Communicators: sums, broadcasts, agreement, several sums under way; under mpirun with 1, 2 and 4 ranks. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

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

static void several_under_way(void **state) {
    (void)state;
    double a[5][7];
    for (int k = 0; k < 5; k++)
        for (int j = 0; j < 7; j++) a[k][j] = 10 * k + j;
    for (int k = 0; k < 5; k++) assert_int_equal(comm_allreduce_start(world, a[k], 7, COMM_F64, NULL), ENTRAIN_OK);
    assert_int_equal(comm_allreduce_wait(world, NULL), ENTRAIN_OK);
    for (int k = 0; k < 5; k++)
        for (int j = 0; j < 7; j++) assert_near(a[k][j], world->size * (10 * k + j), 0);
}

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_of_every_type),  cmocka_unit_test(several_under_way),
                                       cmocka_unit_test(sums_are_repeatable), cmocka_unit_test(broadcast_from_each),
                                       cmocka_unit_test(any_of_us),           cmocka_unit_test(shares_cover_everything)};
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
