/*
 * Nothing is allocated in the step loop, shown by counting: this program's own malloc and its relatives stand before libc's, for every
 * library in the process, and from the fourth step on each call is traced to the library that made it.
 *
 * None of entrain's own code may call them, on any thread. Libraries may, where they cannot be kept from it; which do is listed below with
 * the most that they were found to ask for in a step, and what they ask for they must also give back.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "check.h"
#include "small_shards.h"
#include "train/trainer.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#ifdef SANITIZED

static void counting_is_off(void **state) {
    (void)state;
    print_message("skipped: a sanitizer has put its own malloc before libc's, so that calls cannot be counted\n");
    skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counting_is_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

enum { WARM_STEPS = 3, COUNTED_STEPS = 7, MOST_CALLS = 1 << 16, FRAMES = 12 };

/* One counted call. */
typedef struct call {
    void *block;
    size_t bytes;
    const void *from; /* the caller's address, one of the frames */
    void *frames[FRAMES];
    int depth;
    bool trained; /* by the training thread */
    bool freed;
} call;

static call calls[MOST_CALLS];
static atomic_int call_count;
static atomic_bool counting;
static _Thread_local bool training_thread, inside; /* inside: this call comes from the counting itself */

/* ---- in place of libc's; a call that the compiler has resolved into its caller would hide who that is ---- */

#define NOT_INLINED __attribute__((noinline))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

/* from: where the function in place of libc's returns to. */
static void *record(void *block, size_t bytes, const void *from) {
    if (!atomic_load(&counting) || inside) return block;
    inside = true;
    const int i = atomic_fetch_add(&call_count, 1);
    if (i < MOST_CALLS) {
        call *c = &calls[i];
        c->bytes = bytes;
        c->trained = training_thread;
        c->depth = backtrace(c->frames, FRAMES);
        c->block = block;
        c->from = from;
    }
    inside = false;
    return block;
}

static void forget(const void *block) {
    if (!atomic_load(&counting) || inside || block == NULL) return;
    const int n = atomic_load(&call_count);
    for (int i = (n < MOST_CALLS ? n : MOST_CALLS) - 1; i >= 0; i--) {
        if (calls[i].block != block || calls[i].freed) continue;
        calls[i].freed = true;
        return;
    }
}

NOT_INLINED void *malloc(size_t size) {
    return record(__libc_malloc(size), size, __builtin_return_address(0));
}

NOT_INLINED void *calloc(size_t count, size_t size) {
    return record(__libc_calloc(count, size), count * size, __builtin_return_address(0));
}

NOT_INLINED void *realloc(void *p, size_t size) {
    forget(p);
    return record(__libc_realloc(p, size), size, __builtin_return_address(0));
}

NOT_INLINED void *aligned_alloc(size_t alignment, size_t size) {
    return record(__libc_memalign(alignment, size), size, __builtin_return_address(0));
}

void *memalign(size_t alignment, size_t size);
NOT_INLINED void *memalign(size_t alignment, size_t size) {
    return record(__libc_memalign(alignment, size), size, __builtin_return_address(0));
}

NOT_INLINED int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = record(__libc_memalign(alignment, size), size, __builtin_return_address(0));
    return *out == NULL ? ENOMEM : 0;
}

NOT_INLINED void free(void *p) {
    forget(p);
    __libc_free(p);
}

/* ---- who called ---- */

/* The file name of the program or library that an address belongs to. */
static const char *object_of(const void *address) {
    Dl_info info;
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL) return "?";
    const char *slash = strrchr(info.dli_fname, '/');
    return slash == NULL ? info.dli_fname : slash + 1;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Who is answerable: the innermost caller that is neither libc nor C++'s operator new. */
static const char *owner_of(const call *c) {
    int i = 0;
    while (i < c->depth && c->frames[i] != c->from) i++;
    for (; i < c->depth; i++) {
        const char *object = object_of(c->frames[i]);
        if (!begins(object, "libc.so") && !begins(object, "libstdc++")) return object;
    }
    return "?";
}

/* ---- the libraries that allocate ---- */

typedef struct allowance {
    const char *name;
    int calls_a_step;
    size_t bytes_a_step;
    bool in_training_thread;
    const char *reason;
} allowance;

static const allowance ALLOWED[] = {
    {"libdnnl.so", 2000, 2 << 20, true, "oneDNN wraps the arguments of every execution in C++ containers"},
    {"libgomp.so", 500, 1 << 20, true, "a team of threads is made anew where the number of threads changes: small tensors run on one"},
    {"libomp.so", 500, 1 << 20, true, "likewise, where clang's library stands in for libgomp"},
    {"libhdf5", 100, 1 << 16, false, "reading a sample makes data spaces and selections"},
};
enum { ALLOWED_COUNT = sizeof ALLOWED / sizeof ALLOWED[0] };

/* ---- a small run ---- */

static const char CONFIG[] = "{\"model\": {\"backbone\": \"resnet18\", \"output_stride\": 16, \"head\": \"fcn\", \"aux_weight\": 0.4},"
                             " \"data\": {\"train\": \"%s\", \"crop\": [33, 40], \"photometric\": true, \"workers\": 1},"
                             " \"train\": {\"global_batch\": 3, \"iterations\": 100, \"log_every\": 0},"
                             " \"optimizer\": {\"clip_norm\": 1, \"nesterov\": true}, \"norm\": {\"type\": \"%s\"}}";

static void print_call(const call *c) {
    print_error("%zu bytes on %s thread, %s:\n", c->bytes, c->trained ? "the training" : "another", owner_of(c));
    for (int i = 0; i < c->depth; i++) {
        Dl_info info;
        const bool known = dladdr(c->frames[i], &info) != 0;
        print_error("    %s %s\n", object_of(c->frames[i]), known && info.dli_sname != NULL ? info.dli_sname : "");
    }
}

/* Compare what was counted with what is allowed. */
static void judge(void) {
    int used[ALLOWED_COUNT] = {0}, kept = 0, wrong = 0;
    size_t bytes[ALLOWED_COUNT] = {0};
    const int n = atomic_load(&call_count);
    assert_true(n <= MOST_CALLS);
    for (int i = 0; i < n; i++) {
        const char *owner = owner_of(&calls[i]);
        int row = 0;
        while (row < ALLOWED_COUNT && !begins(owner, ALLOWED[row].name)) row++;
        const bool allowed = row < ALLOWED_COUNT && (!calls[i].trained || ALLOWED[row].in_training_thread);
        if (!allowed && ++wrong <= 5) print_call(&calls[i]);
        if (row == ALLOWED_COUNT) continue;
        used[row]++;
        bytes[row] += calls[i].bytes;
        kept += !calls[i].freed && calls[i].trained;
    }
    for (int row = 0; row < ALLOWED_COUNT; row++) {
        if (used[row] == 0) continue;
        print_message("%-12s %6.1f calls, %8.0f bytes a step (%s)\n", ALLOWED[row].name, (double)used[row] / COUNTED_STEPS,
                      (double)bytes[row] / COUNTED_STEPS, ALLOWED[row].reason);
        assert_in_range(used[row], 0, ALLOWED[row].calls_a_step * COUNTED_STEPS);
        assert_in_range(bytes[row], 0, ALLOWED[row].bytes_a_step * COUNTED_STEPS);
    }
    assert_int_equal(kept, 0);
    assert_int_equal(wrong, 0);
}

static void count_steps(const char *type) {
    small_shards shards = small_shards_sound(6);
    shards.same_size = true;
    small_shards_write(&shards);
    char text[1024];
    (void)snprintf(text, sizeof text, CONFIG, shards.folder, type);
    static config c;
    static trainer t;
    entrain_job *job = NULL;
    entrain_error err = {0};
    assert_int_equal(config_parse(text, "test", NULL, 0, &c, &err), ENTRAIN_OK);
    assert_int_equal(entrain_job_open("cpu", &job, &err), ENTRAIN_OK);
    assert_int_equal(trainer_open(&t, job, &c, 0, &err), ENTRAIN_OK);
    assert_int_equal(trainer_start_loader(&t, &err), ENTRAIN_OK);

    training_thread = true;
    atomic_store(&call_count, 0);
    memset(calls, 0, sizeof calls);
    entrain_status status = ENTRAIN_OK;
    step_result r;
    for (int step = 0; step < WARM_STEPS + COUNTED_STEPS && status == ENTRAIN_OK; step++) {
        if (step == WARM_STEPS) atomic_store(&counting, true);
        status = trainer_step(&t, false, &r, &err);
    }
    atomic_store(&counting, false);
    if (status != ENTRAIN_OK) print_error("%s\n", err.text);
    assert_int_equal(status, ENTRAIN_OK);
    assert_int_equal(t.step, WARM_STEPS + COUNTED_STEPS);
    trainer_close(&t);
    entrain_job_close(job);
    small_shards_remove(&shards);
    judge();
}

static void en_allocates_nothing(void **state) {
    (void)state;
    count_steps("en");
}

static void sn_allocates_nothing(void **state) {
    (void)state;
    count_steps("sn");
}

/* The counting sees what it is meant to see: blocks of this program, by any function, and whether they were freed. */
static void counting_counts(void **state) {
    (void)state;
    training_thread = true;
    memset(calls, 0, sizeof calls);
    atomic_store(&call_count, 0);
    atomic_store(&counting, true);
    void *volatile first = malloc(7), *volatile second = calloc(3, 5);
    void *volatile aligned = NULL;
    void *block = NULL;
    const int code = posix_memalign(&block, 64, 11);
    aligned = aligned_alloc(64, 128);
    first = realloc(first, 70);
    free(second);
    atomic_store(&counting, false);
    assert_int_equal(code, 0);
    assert_int_equal(atomic_load(&call_count), 5);
    const size_t bytes[] = {7, 15, 11, 128, 70};
    const bool freed[] = {true, true, false, false, false};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(calls[i].bytes, bytes[i]);
        assert_int_equal(calls[i].freed, freed[i]);
        assert_true(calls[i].trained);
        assert_string_equal(owner_of(&calls[i]), program_invocation_short_name);
    }
    free(first);
    free(aligned);
    free(block);
}

int main(void) {
    log_set_quiet(true);
    void *frames[2];
    (void)backtrace(frames, 2); /* the first one loads a library */
    const struct CMUnitTest tests[] = {cmocka_unit_test(counting_counts), cmocka_unit_test(en_allocates_nothing),
                                       cmocka_unit_test(sn_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
