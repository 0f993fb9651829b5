/*
 * Counter-based random numbers: Philox4x32-10 against the known answers published with Random123, and what the rest of the program relies
 * on: streams that are pure functions of their name, independent of each other, uniform, and unbiased in a range.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

/* The three lines "philox4x32 10" of Random123's kat_vectors. */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
         {0xffffffffu, 0xffffffffu},
         {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
         {0xa4093822u, 0x299f31d0u},
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        random_philox(cases[i].key, cases[i].counter, out);
        for (int k = 0; k < 4; k++) assert_int_equal(out[k], cases[i].expected[k]);
    }
}

/* The published FNV-1a test values. */
static void hash_known_answers(void **state) {
    (void)state;
    assert_true(random_hash("") == 0xcbf29ce484222325u);
    assert_true(random_hash("a") == 0xaf63dc4c8601ec8cu);
    assert_true(random_hash("foobar") == 0x85944171f73967e8u);
}

/* A stream hands out the blocks of counters (0,0,index), (1,0,index), ... in order, and the block number carries into its second word. */
static void stream_walks_its_counters(void **state) {
    (void)state;
    const uint64_t index = 0x123456789abcdefu;
    random_stream s = random_open(7, RANDOM_TEST, index);
    const uint32_t key[2] = {s.key[0], s.key[1]};
    for (uint32_t b = 0; b < 3; b++) {
        const uint32_t counter[4] = {b, 0, (uint32_t)index, (uint32_t)(index >> 32)};
        uint32_t block[4];
        random_philox(key, counter, block);
        for (int k = 0; k < 4; k++) assert_int_equal(random_u32(&s), block[k]);
    }
    s.counter[0] = 0xffffffffu;
    s.used = 4;
    (void)random_u32(&s);
    assert_int_equal(s.counter[0], 0);
    assert_int_equal(s.counter[1], 1);
}

static void uniform_stays_inside_and_is_uniform(void **state) {
    (void)state;
    enum { N = 200000, BINS = 64 };
    random_stream s = random_open(1, RANDOM_TEST, 0);
    int bins[BINS] = {0};
    double sum = 0.0, square = 0.0;
    for (int i = 0; i < N; i++) {
        const double u = random_uniform(&s);
        assert_true(u >= 0.0 && u < 1.0);
        bins[(int)(u * BINS)]++;
        sum += u;
        square += u * u;
    }
    assert_true(fabs(sum / N - 0.5) < 5.0 * sqrt(1.0 / 12.0 / N));
    assert_true(fabs(square / N - 1.0 / 3.0) < 5.0 * sqrt(4.0 / 45.0 / N));
    double chi = 0.0;
    for (int i = 0; i < BINS; i++) chi += pow(bins[i] - (double)N / BINS, 2.0) / ((double)N / BINS);
    assert_true(chi < BINS - 1 + 5.0 * sqrt(2.0 * (BINS - 1)));
}

static void range_stays_inside(void **state) {
    (void)state;
    random_stream s = random_open(2, RANDOM_TEST, 0);
    double low = 10.0, high = -10.0;
    for (int i = 0; i < 10000; i++) {
        const double x = random_range(&s, -3.0, 5.0);
        assert_true(x >= -3.0 && x < 5.0);
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    assert_true(low < -2.99 && high > 4.99);
    assert_true(random_range(&s, 0.75, 0.75) == 0.75);
}

/* Correlation of the first thousand uniforms of two streams: 5 standard deviations at most. */
static void assert_independent(random_stream a, random_stream b) {
    enum { N = 1000 };
    double product = 0.0;
    for (int i = 0; i < N; i++) product += (random_uniform(&a) - 0.5) * (random_uniform(&b) - 0.5);
    assert_true(fabs(product) * 12.0 < 5.0 * sqrt((double)N));
}

static void streams_are_independent(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 50; i++) {
        assert_independent(random_open(i, RANDOM_TEST, 0), random_open(i + 1, RANDOM_TEST, 0));
        assert_independent(random_open(0, RANDOM_TEST, i), random_open(0, RANDOM_TEST, i + 1));
        assert_independent(random_open(0, RANDOM_TEST, i), random_open(0, RANDOM_TEST, (i + 1) << 32));
        assert_independent(random_open(i, RANDOM_AUGMENT, 3), random_open(i, RANDOM_DROPOUT, 3));
    }
    assert_independent(random_open(1, RANDOM_TEST, 5), random_open(1, (random_purpose)(RANDOM_TEST - 1), 5));
    random_stream same = random_open(9, RANDOM_TEST, 4), again = random_open(9, RANDOM_TEST, 4);
    for (int i = 0; i < 100; i++) assert_int_equal(random_u32(&same), random_u32(&again));
}

static void below_is_unbiased(void **state) {
    (void)state;
    enum { N = 7, DRAWS = 70000 };
    random_stream s = random_open(3, RANDOM_TEST, 0);
    int counts[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const uint32_t x = random_below(&s, N);
        assert_in_range(x, 0, N - 1);
        counts[x]++;
    }
    double chi = 0.0;
    for (int i = 0; i < N; i++) chi += pow(counts[i] - (double)DRAWS / N, 2.0) / ((double)DRAWS / N);
    assert_true(chi < N - 1 + 5.0 * sqrt(2.0 * (N - 1)));
    for (int i = 0; i < 10; i++) assert_int_equal(random_below(&s, 1), 0);
}

/* With n = 3*2^30 a plain remainder would make the lowest third twice as likely as the others. */
static void below_rejects_what_would_bias(void **state) {
    (void)state;
    enum { DRAWS = 30000 };
    const uint32_t n = 3u << 30;
    random_stream s = random_open(4, RANDOM_TEST, 0);
    int low = 0;
    for (int i = 0; i < DRAWS; i++) {
        const uint32_t x = random_below(&s, n);
        assert_true(x < n);
        low += x < n / 3;
    }
    assert_true(fabs(low - DRAWS / 3.0) < 5.0 * sqrt(DRAWS * 2.0 / 9.0));
}

static void normal_has_its_moments(void **state) {
    (void)state;
    enum { N = 200000 };
    random_stream s = random_open(5, RANDOM_TEST, 0);
    double moment[5] = {0};
    for (int i = 0; i < N; i++) {
        const double x = random_normal(&s);
        assert_true(isfinite(x));
        for (int k = 1; k <= 4; k++) moment[k] += pow(x, k) / N;
    }
    const double deviation = 1.0 / sqrt((double)N); /* variances of the moments: 1, 2, 15, 96 */
    assert_true(fabs(moment[1]) < 5.0 * deviation);
    assert_true(fabs(moment[2] - 1.0) < 5.0 * sqrt(2.0) * deviation);
    assert_true(fabs(moment[3]) < 5.0 * sqrt(15.0) * deviation);
    assert_true(fabs(moment[4] - 3.0) < 5.0 * sqrt(96.0) * deviation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(stream_walks_its_counters),
        cmocka_unit_test(uniform_stays_inside_and_is_uniform),
        cmocka_unit_test(range_stays_inside),
        cmocka_unit_test(streams_are_independent),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(below_rejects_what_would_bias),
        cmocka_unit_test(normal_has_its_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
