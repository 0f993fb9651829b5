/* The order of samples: permutations by epoch, any position at any time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "data/loader.h"

enum { N = 29 };

static void read_epoch(sampler *s, uint64_t epoch, int64_t order[N]) {
    for (uint64_t i = 0; i < N; i++) order[i] = sampler_index(s, epoch * N + i);
}

static void every_epoch_is_a_permutation_of_its_own(void **state) {
    (void)state;
    sampler *s = sampler_open(N, 1, true);
    assert_non_null(s);
    int64_t before[N] = {0};
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        int64_t order[N];
        read_epoch(s, epoch, order);
        bool seen[N] = {false};
        for (int i = 0; i < N; i++) {
            assert_in_range(order[i], 0, N - 1);
            assert_false(seen[order[i]]);
            seen[order[i]] = true;
        }
        assert_true(memcmp(order, before, sizeof order) != 0);
        memcpy(before, order, sizeof order);
    }
    sampler_close(s);
}

/* Asked at random, and by another sampler, the same position gives the same sample. */
static void any_position_at_any_time(void **state) {
    (void)state;
    enum { EPOCHS = 6 };
    sampler *ordered = sampler_open(N, 2, true), *jumping = sampler_open(N, 2, true);
    assert_true(ordered != NULL && jumping != NULL);
    int64_t expected[EPOCHS * N];
    for (uint64_t i = 0; i < EPOCHS * N; i++) expected[i] = sampler_index(ordered, i);
    random_stream r = random_open(3, RANDOM_TEST, 0);
    for (int k = 0; k < 500; k++) {
        const uint32_t i = random_below(&r, EPOCHS * N);
        assert_int_equal(sampler_index(jumping, i), expected[i]);
    }
    const uint64_t far = (uint64_t)1 << 60;
    assert_int_equal(sampler_index(ordered, far), sampler_index(jumping, far));
    sampler_close(ordered);
    sampler_close(jumping);
}

static void seeds_give_other_orders(void **state) {
    (void)state;
    sampler *a = sampler_open(N, 4, true), *b = sampler_open(N, 5, true);
    assert_true(a != NULL && b != NULL);
    int64_t order_a[N], order_b[N];
    read_epoch(a, 0, order_a);
    read_epoch(b, 0, order_b);
    assert_true(memcmp(order_a, order_b, sizeof order_a) != 0);
    sampler_close(a);
    sampler_close(b);
}

/* Over many epochs each sample comes first, and last, about as often as any other. */
static void shuffle_is_fair(void **state) {
    (void)state;
    enum { FEW = 5, EPOCHS = 5000 };
    sampler *s = sampler_open(FEW, 6, true);
    assert_non_null(s);
    int count[FEW][FEW] = {{0}}; /* (place, sample) */
    for (uint64_t i = 0; i < EPOCHS * FEW; i++) count[i % FEW][sampler_index(s, i)]++;
    for (int place = 0; place < FEW; place++) /* 5 standard deviations of a binomial of 5000 at 1/5: 141 */
        for (int sample = 0; sample < FEW; sample++) assert_in_range(count[place][sample], EPOCHS / FEW - 141, EPOCHS / FEW + 141);
    sampler_close(s);
}

static void without_shuffle_in_stored_order(void **state) {
    (void)state;
    sampler *s = sampler_open(N, 7, false);
    assert_non_null(s);
    for (uint64_t i = 0; i < 3 * N; i++) assert_int_equal(sampler_index(s, i), i % N);
    sampler_close(s);
}

static void one_sample_and_none(void **state) {
    (void)state;
    sampler *s = sampler_open(1, 8, true);
    assert_non_null(s);
    for (uint64_t i = 0; i < 10; i++) assert_int_equal(sampler_index(s, i), 0);
    sampler_close(s);
    assert_null(sampler_open(0, 8, true));
    assert_null(sampler_open((int64_t)1 << 32, 8, false));
    sampler_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_is_a_permutation_of_its_own),
        cmocka_unit_test(any_position_at_any_time),
        cmocka_unit_test(seeds_give_other_orders),
        cmocka_unit_test(shuffle_is_fair),
        cmocka_unit_test(without_shuffle_in_stored_order),
        cmocka_unit_test(one_sample_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
