/* Sample i holds random bytes of stream i. */
#include "shard_case.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"

static entrain_error err;

void case_folder_make(char folder[CASE_FOLDER]) {
    (void)snprintf(folder, CASE_FOLDER, "%s/entrain-shard-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(folder));
}

void case_folder_remove(const char *folder) {
    char command[CASE_PATH];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

void case_info(shard_info *info, int64_t samples_total) {
    memset(info, 0, sizeof *info);
    (void)snprintf(info->dataset, sizeof info->dataset, "made-up");
    (void)snprintf(info->split, sizeof info->split, "train");
    (void)snprintf(info->task, sizeof info->task, "segmentation");
    info->classes = CASE_CLASSES;
    for (int c = 0; c < CASE_CLASSES; c++) {
        (void)snprintf(info->names[c], sizeof info->names[c], "class %d, é", c);
        for (int k = 0; k < 3; k++) info->colors[c][k] = (uint8_t)(10 * c + k);
        info->export_ids[c] = (uint8_t)(c + 1);
    }
    info->export_ids[255] = 77;
    info->samples_total = samples_total;
}

static uint8_t *random_bytes(random_stream *r, size_t size) {
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    for (size_t k = 0; k < size; k++) bytes[k] = (uint8_t)random_u32(r);
    return bytes;
}

void case_sample(int64_t i, shard_sample *s) {
    random_stream r = random_open(9, RANDOM_TEST, (uint64_t)i);
    memset(s, 0, sizeof *s);
    s->image_size = 1 + random_below(&r, CASE_LONGEST);
    s->label_size = i == 0 ? 0 : random_below(&r, CASE_LONGEST / 4);
    s->image = random_bytes(&r, s->image_size);
    s->label = random_bytes(&r, s->label_size);
    s->height = 1 + (int)random_below(&r, 2000);
    s->width = 1 + (int)random_below(&r, 2000);
    (void)snprintf(s->id, sizeof s->id, "sample_%lld", (long long)i);
}

void case_write(const char *folder, int64_t samples, int shards) {
    shard_info info;
    case_info(&info, samples);
    for (int shard = 0; shard < shards; shard++) {
        const int64_t begin = samples * shard / shards, end = samples * (shard + 1) / shards;
        shard_writer *w = NULL;
        assert_ok(shard_create(folder, &info, shard, shards, end - begin, &w, &err));
        for (int64_t i = begin; i < end; i++) {
            shard_sample s;
            case_sample(i, &s);
            assert_ok(shard_append(w, &s, &err));
            shard_sample_free(&s);
        }
        assert_ok(shard_finish(w, &err));
    }
}

void assert_case_sample(const shard_sample *s, int64_t i) {
    shard_sample want;
    case_sample(i, &want);
    assert_int_equal(s->image_size, want.image_size);
    assert_int_equal(s->label_size, want.label_size);
    assert_memory_equal(s->image, want.image, want.image_size);
    if (want.label_size > 0) assert_memory_equal(s->label, want.label, want.label_size);
    assert_int_equal(s->height, want.height);
    assert_int_equal(s->width, want.width);
    assert_string_equal(s->id, want.id);
    assert_int_equal(s->index, i);
    shard_sample_free(&want);
}
