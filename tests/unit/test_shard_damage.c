/*
 * Damaged shards: whatever happens to a file, opening and reading it either fails as bad data or gives what was written, never anything
 * else and never a crash. Worth most under the sanitizers.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "check.h"
#include "data/image.h"
#include "data/shard.h"
#include "shard_case.h"

enum { SAMPLES = 6, ROUNDS = 600, HEAD = 24000 };

static entrain_error err;
static char folder[CASE_FOLDER], path[CASE_PATH];
static uint8_t *sound;
static size_t sound_size;

static int set_up(void **state) {
    (void)state;
    case_folder_make(folder);
    case_write(folder, SAMPLES, 1);
    (void)snprintf(path, sizeof path, "%s/train-00000-of-00001.h5", folder);
    return file_read(path, &sound, &sound_size, &err) != ENTRAIN_OK;
}

static int tear_down(void **state) {
    (void)state;
    free(sound);
    case_folder_remove(folder);
    return 0;
}

static void put(const uint8_t *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* Open and read all there is; true where nothing was found wrong. */
static bool reads_sound(void) {
    shard_set *s = NULL;
    shard_info want;
    case_info(&want, SAMPLES);
    const entrain_status opened = shard_open(folder, &s, &err);
    if (opened != ENTRAIN_OK) {
        assert_int_equal(opened, ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "train-00000-of-00001.h5"));
        return false;
    }
    assert_memory_equal(shard_get_info(s), &want, sizeof want);
    assert_int_equal(shard_count(s), SAMPLES);
    bool all = true;
    shard_sample got = {0};
    for (int64_t i = 0; i < SAMPLES; i++) {
        const entrain_status status = shard_read(s, i, &got, &err);
        all = all && status == ENTRAIN_OK;
        if (status == ENTRAIN_OK)
            assert_case_sample(&got, i);
        else
            assert_int_equal(status, ENTRAIN_DATA);
    }
    shard_sample_free(&got);
    shard_close(s);
    return all;
}

/* A byte of a sample's picture changed: found when that sample is read, with its id; the others are still good. */
static void a_flipped_byte_is_found(void **state) {
    (void)state;
    shard_sample want;
    case_sample(4, &want);
    uint8_t *at = memmem(sound, sound_size, want.image, want.image_size);
    assert_non_null(at);
    at[want.image_size / 2] ^= 0x10;
    put(sound, sound_size);
    at[want.image_size / 2] ^= 0x10;
    shard_set *s = NULL;
    shard_sample got = {0};
    assert_ok(shard_open(folder, &s, &err));
    assert_int_equal(shard_read(s, 4, &got, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "sample_4"));
    assert_non_null(strstr(err.text, "train-00000-of-00001.h5"));
    assert_ok(shard_read(s, 5, &got, &err));
    assert_case_sample(&got, 5);
    shard_sample_free(&got);
    shard_sample_free(&want);
    shard_close(s);
}

/* A label's byte likewise: both are under the checksum. */
static void a_flipped_label_is_found(void **state) {
    (void)state;
    shard_sample want;
    case_sample(3, &want);
    uint8_t *at = memmem(sound, sound_size, want.label, want.label_size);
    assert_non_null(at);
    at[0] ^= 1;
    put(sound, sound_size);
    at[0] ^= 1;
    assert_false(reads_sound());
    shard_sample_free(&want);
}

static void sizes_and_ids_are_protected(void **state) {
    (void)state;
    uint8_t *at = memmem(sound, sound_size, "sample_3", 8);
    assert_non_null(at);
    at[7] = '5';
    put(sound, sound_size);
    at[7] = '3';
    assert_false(reads_sound());
}

/* Write a shard whose split is described by info and whose only sample has this id, and open it. */
static entrain_status open_written(const shard_info *info, const char *id) {
    shard_writer *w = NULL;
    shard_set *s = NULL;
    shard_sample sample;
    case_sample(1, &sample);
    (void)snprintf(sample.id, sizeof sample.id, "%s", id);
    assert_ok(shard_create(folder, info, 0, 1, 1, &w, &err));
    assert_ok(shard_append(w, &sample, &err));
    assert_ok(shard_finish(w, &err));
    shard_sample_free(&sample);
    const entrain_status status = shard_open(folder, &s, &err);
    shard_close(s);
    return status;
}

/* Ids and names go into messages, into tables and into names of files. */
static void ids_and_names_are_plain(void **state) {
    (void)state;
    static const char *const wrong[] = {"",      "two\nlines", "\033[31mred", "del\177", "/etc/passwd", "..",
                                        "../up", "a/../../b",  "a/..",        "a//b",    "a/"};
    static const char *const good[] = {"a", "aachen/aachen_000001", "..a", "a..b/c..", "M\303\274nchen"};
    static shard_info info;
    case_info(&info, 1);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_ok(open_written(&info, good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(open_written(&info, wrong[i]), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, "train-00000-of-00001.h5 sample 0: its id "));
    }
    (void)snprintf(info.names[1], sizeof info.names[1], "bell\a");
    assert_int_equal(open_written(&info, "a"), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "classes"));
    info.names[1][0] = '\0';
    assert_int_equal(open_written(&info, "a"), ENTRAIN_DATA);
    case_info(&info, 1);
    (void)snprintf(info.dataset, sizeof info.dataset, "\033[2J");
    assert_int_equal(open_written(&info, "a"), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "dataset"));
}

/* Nobody writes into the pipe: opening it must not wait for that. */
static void a_pipe_is_no_shard(void **state) {
    (void)state;
    shard_set *s = NULL;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)alarm(30);
    assert_int_equal(shard_open(folder, &s, &err), ENTRAIN_DATA);
    (void)alarm(0);
    assert_non_null(strstr(err.text, "train-00000-of-00001.h5"));
    assert_int_equal(unlink(path), 0);
}

static void random_damage(void **state) {
    (void)state;
    put(sound, sound_size);
    assert_true(reads_sound());
    uint8_t *copy = malloc(sound_size);
    assert_non_null(copy);
    random_stream r = random_open(11, RANDOM_TEST, 0);
    int found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(copy, sound, sound_size);
        /* Mostly in the head, where HDF5's own structures lie; the rest of so small a file is mostly unused. */
        const uint32_t range = round % 4 == 0 || sound_size < HEAD ? (uint32_t)sound_size : HEAD;
        for (int k = (int)random_below(&r, 3); k >= 0; k--) copy[random_below(&r, range)] ^= (uint8_t)(1 + random_below(&r, 255));
        put(copy, sound_size);
        found += !reads_sound();
    }
    free(copy);
    assert_true(found > ROUNDS / 10);
}

static void truncation(void **state) {
    (void)state;
    for (size_t length = 0; length < sound_size; length += 1 + length / 4) {
        put(sound, length);
        assert_false(reads_sound());
    }
    put(sound, sound_size - 1);
    assert_false(reads_sound());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_is_found),
        cmocka_unit_test(a_flipped_label_is_found),
        cmocka_unit_test(sizes_and_ids_are_protected),
        cmocka_unit_test(ids_and_names_are_plain),
        cmocka_unit_test(a_pipe_is_no_shard),
        cmocka_unit_test(random_damage),
        cmocka_unit_test(truncation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
