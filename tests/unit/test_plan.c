/* The memory planner: buffers alive at the same time never overlap, and a chain of short lives shares memory. */
#include "check.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/plan.h"

static void no_two_alive_overlap(const plan *p) {
    for (int i = 0; i < p->count; i++) {
        for (int j = 0; j < i; j++) {
            const plan_buffer *a = &p->buffers[i], *b = &p->buffers[j];
            if (a->first < 0 || b->first < 0 || a->first > b->last || b->first > a->last) continue;
            assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset);
        }
        if (p->buffers[i].first >= 0) assert_true(p->buffers[i].offset + p->buffers[i].bytes <= p->arena_bytes);
        assert_int_equal(p->buffers[i].offset % MEMORY_ALIGNMENT, 0);
    }
}

/* What is alive at the worst step is the least that an arena can have. */
static size_t peak_of(const plan *p) {
    size_t most = 0, said = 0;
    for (int step = 0; step < 64; step++) {
        size_t sum = 0;
        for (int i = 0; i < p->count; i++)
            if (p->buffers[i].first >= 0 && p->buffers[i].first <= step && step <= p->buffers[i].last) sum += p->buffers[i].bytes;
        if (sum > most) most = sum;
    }
    for (int kind = 0; kind < PLAN_KINDS; kind++) said += p->peak_bytes[kind];
    assert_int_equal(said, most);
    return most;
}

static void random_lives_never_overlap(void **state) {
    (void)state;
    random_stream s = random_open(1, RANDOM_TEST, 0);
    for (int round = 0; round < 50; round++) {
        plan p = {0};
        for (int i = 0; i < 60; i++) {
            const int b = plan_add(&p, 1 + random_below(&s, 5000), PLAN_ACTIVATION);
            const int first = (int)random_below(&s, 40);
            if (random_below(&s, 10) == 0) continue; /* never used */
            plan_touch(&p, b, first);
            plan_touch(&p, b, first + (int)random_below(&s, 10));
        }
        assert_int_equal(plan_assign(&p), 0);
        no_two_alive_overlap(&p);
        assert_true(p.arena_bytes >= peak_of(&p));
        plan_free(&p);
    }
}

/* x1 -> x2 -> x3 ...: two buffers alive at a time, so two buffers' memory is enough. */
static void a_chain_needs_two_buffers(void **state) {
    (void)state;
    plan p = {0};
    for (int i = 0; i < 20; i++) {
        const int b = plan_add(&p, 1000, PLAN_ACTIVATION);
        plan_touch(&p, b, i);
        plan_touch(&p, b, i + 1);
    }
    assert_int_equal(plan_assign(&p), 0);
    no_two_alive_overlap(&p);
    assert_int_equal(p.arena_bytes, 2 * memory_round(1000));
    assert_int_equal(p.arena_bytes, peak_of(&p));
    assert_int_equal(p.kind_bytes[PLAN_ACTIVATION], 20 * memory_round(1000));
    plan_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_lives_never_overlap), cmocka_unit_test(a_chain_needs_two_buffers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
