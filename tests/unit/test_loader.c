/*
 * The loader against samples read and augmented one by one: whatever the threads, ranks or starting step, the same bytes; and its errors
 * and its end, with threads busy, blocked or failed. A loader that hangs is ended by the alarm.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "data/loader.h"
#include "small_shards.h"

enum { SAMPLES = 17, GLOBAL = 7, STEPS = 6, POSITIONS = GLOBAL * STEPS, H = 24, W = 32, AREA = H * W };

static const loader_options OPTIONS = {.augment = {.crop_h = H,
                                                   .crop_w = W,
                                                   .scale_min = 0.5,
                                                   .scale_max = 2.0,
                                                   .flip = true,
                                                   .photometric = true,
                                                   .mean = {0.5, 0.4, 0.3},
                                                   .std = {0.2, 0.25, 0.3}},
                                       .seed = 5,
                                       .shuffle = true,
                                       .global_batch = GLOBAL,
                                       .begin = 0,
                                       .end = GLOBAL,
                                       .last_step = STEPS,
                                       .height = H,
                                       .width = W,
                                       .workers = 2,
                                       .prefetch = 2,
                                       .classes = SMALL_CLASSES};

/* All positions of a run. */
typedef struct record {
    float images[POSITIONS][AREA * 3];
    uint8_t labels[POSITIONS][AREA];
    int64_t samples[POSITIONS];
    bool filled[POSITIONS];
} record;

static small_shards sound; /* written once for the tests that need no fault */
static record expected, got;

static shard_set *open_set(const small_shards *s) {
    entrain_error err;
    shard_set *set = NULL;
    assert_int_equal(shard_open(s->folder, &set, &err), ENTRAIN_OK);
    return set;
}

static loader *open_loader(shard_set *set, const loader_options *o) {
    entrain_error err;
    loader *l = NULL;
    assert_int_equal(loader_open(set, o, &l, &err), ENTRAIN_OK);
    return l;
}

static const batch *next_batch(loader *l) {
    entrain_error err;
    const batch *b = NULL;
    const entrain_status status = loader_next(l, &b, &err);
    if (status != ENTRAIN_OK) print_error("%s\n", err.text);
    assert_int_equal(status, ENTRAIN_OK);
    return b;
}

/* One sample after another, in this thread. */
static void record_expected(const loader_options *o) {
    shard_set *set = open_set(&sound);
    sampler *order = sampler_open(shard_count(set), o->seed, o->shuffle);
    image_decoder *decoder = image_decoder_open();
    assert_true(order != NULL && decoder != NULL);
    shard_sample sample = {0};
    image picture = {0}, label = {0};
    augment_scratch scratch = {0};
    entrain_error err;
    for (uint64_t p = 0; p < POSITIONS; p++) {
        expected.samples[p] = sampler_index(order, p);
        assert_int_equal(shard_read(set, expected.samples[p], &sample, &err), ENTRAIN_OK);
        assert_int_equal(image_decode_rgb(decoder, sample.image, sample.image_size, "image", &picture, &err), ENTRAIN_OK);
        assert_int_equal(image_decode_label(decoder, sample.label, sample.label_size, "label", &label, &err), ENTRAIN_OK);
        assert_int_equal(
            augment_sample(&o->augment, &picture, &label, o->seed, p, H, W, expected.images[p], expected.labels[p], &scratch, &err),
            ENTRAIN_OK);
        expected.filled[p] = true;
    }
    augment_scratch_free(&scratch);
    image_free(&picture);
    image_free(&label);
    image_decoder_close(decoder);
    sampler_close(order);
    shard_sample_free(&sample);
    shard_close(set);
}

/* Run a loader through all its steps and keep what it delivers. */
static void record_loader(const loader_options *o) {
    shard_set *set = open_set(&sound);
    loader *l = open_loader(set, o);
    for (int64_t step = o->first_step; step < o->last_step; step++) {
        const batch *b = next_batch(l);
        assert_int_equal(b->n, o->end - o->begin);
        assert_int_equal(b->first_position, step * GLOBAL + o->begin);
        for (int i = 0; i < b->n; i++) {
            const uint64_t p = b->first_position + (uint64_t)i;
            assert_true(p < POSITIONS);
            assert_false(got.filled[p]);
            got.filled[p] = true;
            got.samples[p] = b->samples[i];
            memcpy(got.images[p], b->images + (size_t)i * AREA * 3, sizeof got.images[p]);
            memcpy(got.labels[p], b->labels + (size_t)i * AREA, sizeof got.labels[p]);
        }
        loader_release(l, b);
    }
    loader_close(l);
    shard_close(set);
}

static void assert_recorded(int first_position) {
    for (int p = 0; p < POSITIONS; p++) {
        assert_int_equal(got.filled[p], p >= first_position);
        if (!got.filled[p]) continue;
        assert_int_equal(got.samples[p], expected.samples[p]);
        assert_memory_equal(got.images[p], expected.images[p], sizeof got.images[p]);
        assert_memory_equal(got.labels[p], expected.labels[p], sizeof got.labels[p]);
    }
    memset(&got, 0, sizeof got);
}

static void any_number_of_workers_gives_the_same_bytes(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    record_expected(&o);
    for (o.workers = 1; o.workers <= 4; o.workers *= 2) {
        for (o.prefetch = 1; o.prefetch <= 9; o.prefetch += 4) { /* 9: more than there are steps */
            record_loader(&o);
            assert_recorded(0);
        }
    }
}

static void any_number_of_ranks_gives_the_same_bytes(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    record_expected(&o);
    for (int ranks = 1; ranks <= 3; ranks++) {
        for (int rank = 0; rank < ranks; rank++) {
            o.begin = GLOBAL * rank / ranks;
            o.end = GLOBAL * (rank + 1) / ranks;
            record_loader(&o);
        }
        assert_recorded(0);
    }
}

static void resuming_gives_the_same_bytes(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    record_expected(&o);
    for (o.first_step = 0; o.first_step <= STEPS; o.first_step++) {
        record_loader(&o);
        assert_recorded((int)o.first_step * GLOBAL);
    }
}

static void stored_order_without_shuffle(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    o.shuffle = false;
    record_expected(&o);
    for (int p = 0; p < POSITIONS; p++) assert_int_equal(expected.samples[p], p % SAMPLES);
    record_loader(&o);
    assert_recorded(0);
}

/* The ring's memory is used again and again: as many batches as promised, no more. */
static void batches_are_reused(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    o.last_step = 20;
    shard_set *set = open_set(&sound);
    loader *l = open_loader(set, &o);
    const float *seen[20];
    int distinct = 0;
    for (int step = 0; step < 20; step++) {
        const batch *b = next_batch(l);
        int i = 0;
        while (i < distinct && seen[i] != b->images) i++;
        seen[i] = b->images;
        distinct += i == distinct;
        loader_release(l, b);
    }
    assert_int_equal(distinct, o.prefetch + 1);
    loader_close(l);
    shard_close(set);
}

/* Several batches may be held, up to all of them; each stays what it is while others are read. */
static void held_batches_stay(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    o.prefetch = 1;
    record_expected(&o);
    shard_set *set = open_set(&sound);
    loader *l = open_loader(set, &o);
    const batch *first = next_batch(l), *second = next_batch(l), *third = NULL;
    entrain_error err;
    assert_int_equal(loader_next(l, &third, &err), ENTRAIN_USAGE);
    assert_null(third);
    loader_release(l, second); /* its place comes after the first's: nothing new can be read yet */
    assert_int_equal(loader_next(l, &third, &err), ENTRAIN_USAGE);
    loader_release(l, first);
    third = next_batch(l);
    const batch *fourth = next_batch(l);
    assert_memory_equal(third->images, expected.images[2 * GLOBAL], GLOBAL * sizeof expected.images[0]);
    assert_memory_equal(fourth->images, expected.images[3 * GLOBAL], GLOBAL * sizeof expected.images[0]);
    loader_close(l); /* with both still held */
    shard_close(set);
}

static void no_batch_past_the_last(void **state) {
    (void)state;
    loader_options o = OPTIONS;
    o.first_step = o.last_step = 3;
    shard_set *set = open_set(&sound);
    loader *l = open_loader(set, &o);
    const batch *b = NULL;
    entrain_error err;
    assert_int_equal(loader_next(l, &b, &err), ENTRAIN_USAGE);
    assert_null(b);
    loader_close(l);
    shard_close(set);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    shard_set *set = open_set(&sound);
    loader_options bad[14];
    for (int i = 0; i < 14; i++) bad[i] = OPTIONS;
    bad[0].workers = 0;
    bad[1].prefetch = 0;
    bad[2].begin = -1;
    bad[3].begin = bad[3].end;
    bad[4].end = GLOBAL + 1;
    bad[5].first_step = STEPS + 1;
    bad[6].first_step = -1;
    bad[7].height = H + 1;
    bad[8].width = W - 1;
    bad[9].classes = 0;
    bad[10].classes = 256;
    bad[11].augment.scale_min = 0.0;
    bad[12].augment.scale_max = 0.1;
    bad[13].augment.std[2] = 0.0;
    for (int i = 0; i < 14; i++) {
        entrain_error err = {0};
        loader *l = NULL;
        assert_int_equal(loader_open(set, &bad[i], &l, &err), ENTRAIN_USAGE);
        assert_null(l);
        assert_true(strlen(err.text) > 10);
    }
    shard_close(set);
}

/* ---- faults ---- */

/* In stored order, batches of 4: all batches before the faulty sample's come out whole, then its error, again and again. */
static void assert_fault(const small_shards *s, int faulty, int workers, const char *const texts[]) {
    loader_options o = OPTIONS;
    o.shuffle = false;
    o.global_batch = 4;
    o.end = 4;
    o.last_step = 100;
    o.workers = workers;
    if (s->same_size) o.augment.crop_h = o.augment.crop_w = 0;
    shard_set *set = open_set(s);
    loader *l = open_loader(set, &o);
    for (int step = 0; step < faulty / 4; step++) {
        const batch *b = next_batch(l);
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
    assert_fault_any_workers(&s, 9, (const char *[]){"picture_9", "data.crop", NULL});
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
    for (int round = 0; round < 30; round++) assert_fault(&s, 9, 4, (const char *[]){"picture_9)", "label 5", NULL});
    small_shards_remove(&s);
}

/* Without a crop, sizes are compared before the first step. */
static void mixed_sizes_need_a_crop(void **state) {
    (void)state;
    shard_set *set = open_set(&sound);
    loader_options o = OPTIONS;
    o.augment.crop_h = o.augment.crop_w = 0;
    entrain_error err = {0};
    loader *l = NULL;
    assert_int_equal(loader_open(set, &o, &l, &err), ENTRAIN_DATA);
    assert_null(l);
    assert_non_null(strstr(err.text, "data.crop"));
    assert_non_null(strstr(err.text, "picture_0"));
    shard_close(set);
}

/* ---- the end ---- */

static void wait_milliseconds(long ms) {
    const struct timespec t = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Closed at once, while busy, and when everything is full and blocked; with no batch taken, one held, or one released. */
static void closes_at_any_moment(void **state) {
    (void)state;
    static const long waits[] = {0, 1, 30};
    shard_set *set = open_set(&sound);
    loader_options o = OPTIONS;
    o.last_step = 1000000;
    const double start = log_seconds();
    for (o.workers = 1; o.workers <= 4; o.workers *= 2) {
        for (int taken = 0; taken < 3; taken++) {
            for (int k = 0; k < 3; k++) {
                loader *l = open_loader(set, &o);
                const batch *b = taken > 0 ? next_batch(l) : NULL;
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
    shard_set *set = open_set(&s);
    for (int k = 0; k < 10; k++) {
        loader *l = open_loader(set, &OPTIONS);
        wait_milliseconds(k);
        loader_close(l);
    }
    shard_close(set);
    small_shards_remove(&s);
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
    shard_set *set = open_set(&sound);
    loader *l = open_loader(set, &OPTIONS);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_false(sigismember(&now, SIGUSR1)); /* opening left the caller's own mask alone */

    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &held, &old), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loader_release(l, next_batch(l));
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
        cmocka_unit_test(any_number_of_workers_gives_the_same_bytes),
        cmocka_unit_test(any_number_of_ranks_gives_the_same_bytes),
        cmocka_unit_test(resuming_gives_the_same_bytes),
        cmocka_unit_test(stored_order_without_shuffle),
        cmocka_unit_test(batches_are_reused),
        cmocka_unit_test(held_batches_stay),
        cmocka_unit_test(no_batch_past_the_last),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(label_out_of_range),
        cmocka_unit_test(image_that_does_not_decode),
        cmocka_unit_test(label_of_another_size),
        cmocka_unit_test(flipped_byte),
        cmocka_unit_test(image_of_another_size_than_said),
        cmocka_unit_test(the_earliest_fault_comes_out),
        cmocka_unit_test(mixed_sizes_need_a_crop),
        cmocka_unit_test(closes_at_any_moment),
        cmocka_unit_test(closes_after_a_fault_nobody_asked_for),
        cmocka_unit_test(signals_stay_out_of_the_threads),
    };
    return cmocka_run_group_tests(tests, write_sound, remove_sound);
}
