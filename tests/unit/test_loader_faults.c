/*
 * The loader's errors and its end: which sample is named, what is still delivered, and closing with threads busy, blocked or failed. A
 * loader that hangs is ended by the alarm.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/h5lock.h"
#include "base/log.h"
#include "loader_case.h"

static small_shards sound; /* written once, for the tests that need no fault */

/* In stored order, batches of 4: all batches before the faulty sample's come out whole, then its error, again and again. */
static void assert_fault(const small_shards *s, int faulty, int workers, const char *const texts[]) {
    loader_options o = LOADER_CASE;
    o.shuffle = false;
    o.global_batch = 4;
    o.end = 4;
    o.last_step = 100;
    o.workers = workers;
    o.augment.scale_min = o.augment.scale_max = 0.5; /* all of a picture is in its crop, and so decoded */
    if (s->same_size) o.augment.crop_h = o.augment.crop_w = 0;
    shard_set *set = loader_case_set(s);
    loader *l = loader_case_open(set, &o);
    for (int step = 0; step < faulty / 4; step++) {
        const batch *b = loader_case_next(l);
        assert_int_equal(b->samples[3], 4 * step + 3);
        loader_release(l, b);
    }
    for (int again = 0; again < 2; again++) {
        entrain_error err = {0};
        const batch *b = NULL;
        assert_int_equal(loader_next(l, &b, &err), ENTRAIN_DATA);
        assert_int_equal(err.status, ENTRAIN_DATA);
        assert_null(b);
        for (int i = 0; texts[i] != NULL; i++) {
            if (strstr(err.text, texts[i]) == NULL) print_error("'%s' not in: %s\n", texts[i], err.text);
            assert_non_null(strstr(err.text, texts[i]));
        }
    }
    loader_close(l);
    shard_close(set);
}

static void assert_fault_any_workers(small_shards *s, int faulty, const char *const texts[]) {
    for (int workers = 1; workers <= 4; workers *= 2) assert_fault(s, faulty, workers, texts);
    small_shards_remove(s);
}

static void label_out_of_range(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.bad_label[0] = 10;
    small_shards_write(&s);
    assert_fault_any_workers(&s, 10, (const char *[]){"picture_10", "label 5", "x=3, y=2", "below 5", NULL});
}

static void image_that_does_not_decode(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.bad_image = 0;
    small_shards_write(&s);
    assert_fault_any_workers(&s, 0, (const char *[]){"picture_0", NULL});
}

static void label_of_another_size(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.bad_size = 15;
    small_shards_write(&s);
    assert_fault_any_workers(&s, 15, (const char *[]){"picture_15", "label map", NULL});
}

static void flipped_byte(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    small_shards_write(&s);
    small_shards_flip_byte(&s, 12);
    assert_fault_any_workers(&s, 12, (const char *[]){"picture_12", NULL});
}

/* The shard says 24x32, the image is another size: seen only when it is decoded. */
static void image_of_another_size_than_said(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.same_size = true;
    s.false_size = 9;
    small_shards_write(&s);
    assert_fault_any_workers(&s, 9, (const char *[]){"picture_9", "29x21", "shard says 24x32", NULL});
}

/* Of several bad samples the earliest is reported, whoever meets it first. */
static void the_earliest_fault_comes_out(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.bad_label[0] = 9;
    s.bad_label[1] = 10;
    s.bad_image = 12;
    small_shards_write(&s);
    small_shards_flip_byte(&s, 11);
    for (int round = 0; round < 120; round++) assert_fault(&s, 9, 4, (const char *[]){"picture_9)", "label 5", NULL});
    small_shards_remove(&s);
}

/* Without a crop, sizes are compared before the first step. */
static void mixed_sizes_need_a_crop(void **state) {
    (void)state;
    shard_set *set = loader_case_set(&sound);
    loader_options o = LOADER_CASE;
    o.augment.crop_h = o.augment.crop_w = 0;
    entrain_error err = {0};
    loader *l = NULL;
    assert_int_equal(loader_open(set, &o, &l, &err), ENTRAIN_DATA);
    assert_null(l);
    assert_non_null(strstr(err.text, "data.crop"));
    assert_non_null(strstr(err.text, "picture_0"));
    shard_close(set);
}

static void wait_milliseconds(long ms) {
    const struct timespec t = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Closed at once, while busy, and when everything is full and blocked; with no batch taken, one held, or one released. */
static void closes_at_any_moment(void **state) {
    (void)state;
    static const long waits[] = {0, 1, 30};
    shard_set *set = loader_case_set(&sound);
    loader_options o = LOADER_CASE;
    o.last_step = 1000000;
    const double start = log_seconds();
    for (o.workers = 1; o.workers <= 4; o.workers *= 2) {
        for (int taken = 0; taken < 3; taken++) {
            for (int k = 0; k < 3; k++) {
                loader *l = loader_case_open(set, &o);
                const batch *b = taken > 0 ? loader_case_next(l) : NULL;
                if (taken == 2) loader_release(l, b);
                if (waits[k] > 0) wait_milliseconds(waits[k]);
                loader_close(l);
            }
        }
    }
    assert_true(log_seconds() - start < 10.0);
    loader_close(NULL);
    shard_close(set);
}

static void closes_after_a_fault_nobody_asked_for(void **state) {
    (void)state;
    small_shards s = small_shards_sound(SAMPLES);
    s.bad_label[0] = 5;
    small_shards_write(&s);
    shard_set *set = loader_case_set(&s);
    for (int k = 0; k < 10; k++) {
        loader *l = loader_case_open(set, &LOADER_CASE);
        wait_milliseconds(k);
        loader_close(l);
    }
    shard_close(set);
    small_shards_remove(&s);
}

/* What the thread that holds HDF5 and the main thread say to each other. */
static pthread_barrier_t holding;
static atomic_bool released;

static void *hold_hdf5(void *argument) {
    (void)argument;
    h5_lock();
    (void)pthread_barrier_wait(&holding);
    wait_milliseconds(60);
    atomic_store(&released, true);
    h5_unlock();
    return NULL;
}

/* While another thread uses HDF5 (a checkpoint is written), the reader waits. */
static void reading_waits_for_hdf5(void **state) {
    (void)state;
    shard_set *set = loader_case_set(&sound);
    pthread_t holder;
    assert_int_equal(pthread_barrier_init(&holding, NULL, 2), 0);
    assert_int_equal(pthread_create(&holder, NULL, hold_hdf5, NULL), 0);
    (void)pthread_barrier_wait(&holding);
    loader *l = loader_case_open(set, &LOADER_CASE);
    const batch *b = loader_case_next(l);
    assert_true(atomic_load(&released));
    loader_release(l, b);
    loader_close(l);
    assert_int_equal(pthread_join(holder, NULL), 0);
    (void)pthread_barrier_destroy(&holding);
    shard_close(set);
}

static volatile sig_atomic_t handled;

static void handle(int number) {
    (void)number;
    handled = 1;
}

/* A signal that the main thread holds back must not be handled in one of the loader's threads. */
static void signals_stay_out_of_the_threads(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = handle}, before;
    sigset_t held, old, now;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    shard_set *set = loader_case_set(&sound);
    loader *l = loader_case_open(set, &LOADER_CASE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_false(sigismember(&now, SIGUSR1)); /* opening left the caller's own mask alone */

    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &held, &old), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loader_release(l, loader_case_next(l));
    wait_milliseconds(50);
    assert_int_equal(handled, 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    assert_int_equal(handled, 1);

    loader_close(l);
    shard_close(set);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static int write_sound(void **state) {
    (void)state;
    sound = small_shards_sound(SAMPLES);
    small_shards_write(&sound);
    (void)alarm(200);
    return 0;
}

static int remove_sound(void **state) {
    (void)state;
    small_shards_remove(&sound);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_out_of_range),
        cmocka_unit_test(image_that_does_not_decode),
        cmocka_unit_test(label_of_another_size),
        cmocka_unit_test(flipped_byte),
        cmocka_unit_test(image_of_another_size_than_said),
        cmocka_unit_test(the_earliest_fault_comes_out),
        cmocka_unit_test(mixed_sizes_need_a_crop),
        cmocka_unit_test(closes_at_any_moment),
        cmocka_unit_test(closes_after_a_fault_nobody_asked_for),
        cmocka_unit_test(reading_waits_for_hdf5),
        cmocka_unit_test(signals_stay_out_of_the_threads),
    };
    return cmocka_run_group_tests(tests, write_sound, remove_sound);
}
