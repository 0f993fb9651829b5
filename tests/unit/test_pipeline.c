/* Work by threads in order: what `after` sees, how many items are under way, how it ends after a failure. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "check.h"
#include "data/pipeline.h"

typedef struct item {
    int64_t index, result;
} item;

typedef struct context {
    int64_t before, after;
    int64_t fail_before, fail_work, fail_after; /* at this index; -1: never */
    int64_t most_ahead;
    atomic_int workers;
    atomic_long worked;
} context;

static entrain_error err;

static entrain_status open_worker(void *c, void **worker, entrain_error *e) {
    (void)e;
    *worker = c;
    (void)atomic_fetch_add(&((context *)c)->workers, 1);
    return ENTRAIN_OK;
}

static void close_worker(void *c, void *worker) {
    assert_ptr_equal(c, worker);
    (void)atomic_fetch_sub(&((context *)c)->workers, 1);
}

static void close_item(void *it) {
    (void)it;
}

static entrain_status before(void *context_, int64_t index, void *it, entrain_error *e) {
    context *c = context_;
    assert_int_equal(index, c->before++);
    if (c->before - c->after > c->most_ahead) c->most_ahead = c->before - c->after;
    ((item *)it)->index = index;
    return index == c->fail_before ? error_set(e, ENTRAIN_DATA, "before %lld", (long long)index) : ENTRAIN_OK;
}

static entrain_status work(void *context_, void *worker, int64_t index, void *it, entrain_error *e) {
    context *c = context_;
    item *i = it;
    (void)worker;
    if (index % 7 == 0) (void)usleep(300); /* others overtake */
    i->result = i->index * i->index;
    (void)atomic_fetch_add(&c->worked, 1);
    return index == c->fail_work || index == c->fail_work + 2 ? error_set(e, ENTRAIN_DEVICE, "work %lld", (long long)index) : ENTRAIN_OK;
}

static entrain_status after(void *context_, int64_t index, void *it, entrain_error *e) {
    context *c = context_;
    const item *i = it;
    assert_int_equal(index, c->after++);
    assert_int_equal(i->index, index);
    assert_int_equal(i->result, index * index);
    return index == c->fail_after ? error_set(e, ENTRAIN_STOPPED, "after %lld", (long long)index) : ENTRAIN_OK;
}

static entrain_status run(context *c, int threads, int64_t count) {
    const pipeline p = {.name = "test",
                        .context = c,
                        .threads = threads,
                        .item_size = sizeof(item),
                        .close_item = close_item,
                        .open_worker = open_worker,
                        .close_worker = close_worker,
                        .before = before,
                        .work = work,
                        .after = after};
    const entrain_status status = pipeline_run(&p, count, &err);
    assert_int_equal(atomic_load(&c->workers), 0);
    return status;
}

static void everything_in_order(void **state) {
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        for (int64_t count = 0; count <= 300; count += 150) {
            context c = {.fail_before = -1, .fail_work = -10, .fail_after = -1};
            assert_ok(run(&c, threads, count));
            assert_int_equal(c.after, count);
            assert_int_equal(atomic_load(&c.worked), count);
            assert_true(c.most_ahead <= 2 * threads + 2); /* whatever the count */
        }
    }
}

static void the_first_failure_ends_it(void **state) {
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        context c = {.fail_before = -1, .fail_work = 40, .fail_after = -1};
        assert_int_equal(run(&c, threads, 300), ENTRAIN_DEVICE);
        assert_string_equal(err.text, "work 40"); /* though 42 failed, too, perhaps earlier */
        assert_int_equal(c.after, 40);
        c = (context){.fail_before = -1, .fail_work = -10, .fail_after = 25};
        assert_int_equal(run(&c, threads, 300), ENTRAIN_STOPPED);
        assert_int_equal(c.after, 26);
        c = (context){.fail_before = 33, .fail_work = -10, .fail_after = -1};
        assert_int_equal(run(&c, threads, 300), ENTRAIN_DATA);
        assert_string_equal(err.text, "before 33");
    }
}

static void threads_of_a_rank(void **state) {
    (void)state;
    assert_int_equal(pipeline_threads(5, 3), 5);
    assert_true(pipeline_threads(0, 1) >= 1);
    assert_int_equal(pipeline_threads(0, 100000), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_in_order),
        cmocka_unit_test(the_first_failure_ends_it),
        cmocka_unit_test(threads_of_a_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
