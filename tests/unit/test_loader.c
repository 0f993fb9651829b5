/*
 * The loader against samples read and augmented one by one: whatever the threads, ranks or starting step, the same bytes. A loader that
 * hangs is ended by the alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader_case.h"

/* All positions of a run. */
typedef struct record {
    uint8_t images[POSITIONS][AREA * 3];
    uint8_t labels[POSITIONS][AREA];
    int64_t samples[POSITIONS];
    bool filled[POSITIONS];
} record;

static small_shards sound; /* written once */
static record expected, got;

/* One sample after another, in this thread. */
static void record_expected(const loader_options *o) {
    shard_set *set = loader_case_set(&sound);
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
    shard_set *set = loader_case_set(&sound);
    loader *l = loader_case_open(set, o);
    for (int64_t step = o->first_step; step < o->last_step; step++) {
        const batch *b = loader_case_next(l);
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
    loader_options o = LOADER_CASE;
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
    loader_options o = LOADER_CASE;
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
    loader_options o = LOADER_CASE;
    record_expected(&o);
    for (o.first_step = 0; o.first_step <= STEPS; o.first_step++) {
        record_loader(&o);
        assert_recorded((int)o.first_step * GLOBAL);
    }
}

static void stored_order_without_shuffle(void **state) {
    (void)state;
    loader_options o = LOADER_CASE;
    o.shuffle = false;
    record_expected(&o);
    for (int p = 0; p < POSITIONS; p++) assert_int_equal(expected.samples[p], p % SAMPLES);
    record_loader(&o);
    assert_recorded(0);
}

/* The ring's memory is used again and again: as many batches as promised, no more. */
static void batches_are_reused(void **state) {
    (void)state;
    loader_options o = LOADER_CASE;
    o.last_step = 20;
    shard_set *set = loader_case_set(&sound);
    loader *l = loader_case_open(set, &o);
    const uint8_t *seen[20];
    int distinct = 0;
    for (int step = 0; step < 20; step++) {
        const batch *b = loader_case_next(l);
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
    loader_options o = LOADER_CASE;
    o.prefetch = 1;
    record_expected(&o);
    shard_set *set = loader_case_set(&sound);
    loader *l = loader_case_open(set, &o);
    const batch *first = loader_case_next(l), *second = loader_case_next(l), *third = NULL;
    entrain_error err;
    assert_int_equal(loader_next(l, &third, &err), ENTRAIN_USAGE);
    assert_null(third);
    loader_release(l, second); /* its place comes after the first's: nothing new can be read yet */
    assert_int_equal(loader_next(l, &third, &err), ENTRAIN_USAGE);
    loader_release(l, first);
    third = loader_case_next(l);
    const batch *fourth = loader_case_next(l);
    assert_memory_equal(third->images, expected.images[2 * GLOBAL], GLOBAL * sizeof expected.images[0]);
    assert_memory_equal(fourth->images, expected.images[3 * GLOBAL], GLOBAL * sizeof expected.images[0]);
    loader_close(l); /* with both still held */
    shard_close(set);
}

/* Memory that counts what is taken and given back; more than `most` pieces there are not. */
typedef struct counted_memory {
    int most, taken, held;
    void *pieces[64];
} counted_memory;

static void *take_counted(void *context, size_t bytes) {
    counted_memory *m = context;
    if (m->taken == m->most) return NULL;
    void *p = calloc(bytes, 1);
    assert_non_null(p);
    m->pieces[m->taken++] = p;
    m->held++;
    return p;
}

static void release_counted(void *context, void *p) {
    counted_memory *m = context;
    int i = 0;
    while (i < m->taken && m->pieces[i] != p) i++;
    assert_true(i < m->taken && p != NULL);
    m->pieces[i] = NULL;
    m->held--;
    free(p);
}

static bool is_counted(const counted_memory *m, const void *p) {
    for (int i = 0; i < m->taken; i++)
        if (m->pieces[i] == p) return true;
    return false;
}

/* Batches lie where the caller wants them, whatever is taken is given back once, and where there is too little of it nothing stays. */
static void memory_of_the_callers(void **state) {
    (void)state;
    loader_options o = LOADER_CASE;
    record_expected(&o);
    const int pieces = 2 * (o.prefetch + 1);
    counted_memory m = {.most = 64};
    o.memory = (loader_memory){take_counted, release_counted, &m};
    record_loader(&o);
    assert_recorded(0);
    assert_int_equal(m.taken, pieces);
    assert_int_equal(m.held, 0);

    shard_set *set = loader_case_set(&sound);
    m = (counted_memory){.most = 64};
    loader *l = loader_case_open(set, &o);
    const batch *b = loader_case_next(l);
    assert_true(is_counted(&m, b->images) && is_counted(&m, b->labels));
    loader_close(l);
    assert_int_equal(m.held, 0);
    for (int most = 0; most < pieces; most++) {
        entrain_error err = {0};
        m = (counted_memory){.most = most};
        l = NULL;
        assert_int_equal(loader_open(set, &o, &l, &err), ENTRAIN_DEVICE);
        assert_null(l);
        assert_int_equal(m.taken, most);
        assert_int_equal(m.held, 0);
    }
    shard_close(set);
}

static void no_batch_past_the_last(void **state) {
    (void)state;
    loader_options o = LOADER_CASE;
    o.first_step = o.last_step = 3;
    shard_set *set = loader_case_set(&sound);
    loader *l = loader_case_open(set, &o);
    const batch *b = NULL;
    entrain_error err;
    assert_int_equal(loader_next(l, &b, &err), ENTRAIN_USAGE);
    assert_null(b);
    loader_close(l);
    shard_close(set);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    shard_set *set = loader_case_set(&sound);
    loader_options bad[14];
    for (int i = 0; i < 14; i++) bad[i] = LOADER_CASE;
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
        cmocka_unit_test(memory_of_the_callers),
        cmocka_unit_test(no_batch_past_the_last),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, write_sound, remove_sound);
}
