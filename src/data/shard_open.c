/*
 * Opening shards: a folder is opened and checked as a whole; of each shard only offsets, sizes, checksums and ids stay in memory. Files are
 * opened without locks, as many ranks read the same ones.
 */
#include <dirent.h>
#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "data/shard_internal.h"

static void close_file(shard_file *f) {
    if (f->images >= 0) (void)H5Dclose(f->images);
    if (f->labels >= 0) (void)H5Dclose(f->labels);
    if (f->file >= 0) (void)H5Fclose(f->file);
    free(f->name);
    shard_tables_free(&f->t);
}

void shard_close(shard_set *s) {
    if (s == NULL) return;
    h5_lock();
    for (int i = 0; i < s->file_count; i++) close_file(&s->files[i]);
    h5_unlock();
    free(s->files);
    free(s->folder);
    free(s);
}

/* ---- opening ---- */

static bool same_split(const shard_info *a, const shard_info *b) {
    return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->split, b->split) == 0 && strcmp(a->task, b->task) == 0 &&
           a->classes == b->classes && memcmp(a->names, b->names, sizeof a->names) == 0 &&
           memcmp(a->colors, b->colors, sizeof a->colors) == 0 && memcmp(a->export_ids, b->export_ids, sizeof a->export_ids) == 0 &&
           a->samples_total == b->samples_total;
}

/* The shard that the one at `index` is compared with: the first that was good. */
static const char *first_good(const shard_set *s, int index) {
    for (int i = 0; i < index; i++)
        if (s->files[i].count > 0) return s->files[i].name;
    return s->files[0].name;
}

/* "NAME-00003-of-00016.h5" begins with the split's name and nothing else. */
static bool fits_name(const char *split, const char *name) {
    const size_t length = strlen(split);
    return strncmp(name, split, length) == 0 && strlen(name) == length + strlen("-00000-of-00000.h5");
}

/* Read all that the shard says, and compare it with the set's first shard; that one itself fills s->info. */
static entrain_status read_file(shard_set *s, int index, bool first, entrain_error *err) {
    shard_file *f = &s->files[index];
    static shard_info info; /* large; under the lock */
    const char *bad = NULL;
    int shard = 0, shards = 0;
    if (!shard_get_attributes(f->file, &info, &shard, &shards, &bad)) {
        char what[128];
        (void)snprintf(what, sizeof what, "the attribute %s is missing or not as expected", bad);
        return shard_damaged(s->folder, f, what, err);
    }
    entrain_status status = shard_read_tables(s->folder, f, &info, err);
    if (status == ENTRAIN_OK) status = shard_check_tables(s->folder, f, &info, shard, shards, err);
    if (status != ENTRAIN_OK) return status;
    if (first) s->info = info;
    if (!same_split(&s->info, &info)) {
        char what[512];
        (void)snprintf(what, sizeof what, "it describes another data set, split or class list than %.300s", first_good(s, index));
        return shard_damaged(s->folder, f, what, err);
    }
    if (!fits_name(info.split, f->name)) return shard_damaged(s->folder, f, "its attribute split does not fit its name", err);
    if (shard != index || shards != s->file_count)
        return shard_damaged(s->folder, f, "its attributes shard and shards do not fit its name", err);
    return ENTRAIN_OK;
}

static entrain_status open_file(shard_set *s, int index, bool first, entrain_error *err) {
    shard_file *f = &s->files[index];
    char *path = NULL;
    if (asprintf(&path, "%s/%s", s->folder, f->name) < 0) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", s->folder);
    const entrain_status status = hdf5_open(path, &f->file, err);
    free(path);
    if (status == ENTRAIN_OK) return read_file(s, index, first, err);
    f->file = -1;
    return status;
}

/* All shards stay open, twice where a split is trained on and evaluated on: many systems allow 1024 files unless asked for more. */
static void allow_files(int shards) {
    enum { OTHERS = 256 };
    struct rlimit limit;
    const rlim_t wanted = 2 * (rlim_t)shards + OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* where that is not enough, opening says so */
}

/* A shard that cannot be used counts no samples. Lock held. */
static entrain_status open_files(shard_set *s, shard_fault fault, void *context, entrain_error *err) {
    int good = 0, bad = 0;
    allow_files(s->file_count);
    for (int i = 0; i < s->file_count; i++) {
        const entrain_status status = open_file(s, i, good == 0, err);
        s->files[i].first = s->count;
        if (status == ENTRAIN_OK) {
            good++;
            s->count += s->files[i].count;
            continue;
        }
        if (status != ENTRAIN_DATA || fault == NULL) return status;
        bad++;
        s->files[i].count = 0;
        fault(context, err);
    }
    if (bad > 0 || s->count == s->info.samples_total) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: the shards hold %lld samples, but %s says that there are %lld in all. Pack the data set again.", s->folder,
                     (long long)s->count, s->files[0].name, (long long)s->info.samples_total);
}

/* "NAME-00003-of-00016.h5": the numbers, or false. */
static bool parse_name(const char *name, int *shard, int *shards) {
    const size_t length = strlen(name), tail = strlen("-00000-of-00000.h5");
    char end[8] = "";
    if (length <= tail || strcmp(name + length - 3, ".h5") != 0) return false;
    return sscanf(name + length - tail, "-%5d-of-%5d%7s", shard, shards, end) == 3 && strcmp(end, ".h5") == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const shard_file *)a)->name, ((const shard_file *)b)->name);
}

static entrain_status add_name(shard_set *s, const char *name, entrain_error *err) {
    shard_file *files = realloc(s->files, (size_t)(s->file_count + 1) * sizeof *files);
    if (files == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", s->folder);
    s->files = files;
    files[s->file_count] = (shard_file){.name = strdup(name), .file = -1, .images = -1, .labels = -1};
    return files[s->file_count++].name != NULL ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "%s: out of memory", s->folder);
}

/* Whether this is the file of a pack that was cut off while it gave shards their names: old and new ones would be mixed. */
static bool is_half_published(const char *folder, const char *name) {
    const size_t length = strlen(name), ending = strlen(SHARD_PACKING);
    char *path = NULL, line[64];
    bool found = false;
    if (length <= ending || strcmp(name + length - ending, SHARD_PACKING) != 0 || asprintf(&path, "%s/%s", folder, name) < 0) return false;
    FILE *f = fopen(path, "r");
    free(path);
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) found = strcmp(line, "state publishing\n") == 0;
    if (f != NULL) (void)fclose(f);
    return found;
}

static entrain_status list_folder(shard_set *s, entrain_error *err) {
    int shard = 0, shards = 0;
    DIR *folder = opendir(s->folder);
    if (folder == NULL)
        return error_set(err, ENTRAIN_DATA,
                         "%s: no such folder of shards: %s. Make it with: entrain pack DATASET --root SOURCE --split NAME --out %s",
                         s->folder, strerror(errno), s->folder);
    entrain_status status = ENTRAIN_OK;
    errno = 0;
    for (const struct dirent *e = readdir(folder); e != NULL && status == ENTRAIN_OK; e = readdir(folder)) {
        if (parse_name(e->d_name, &shard, &shards)) status = add_name(s, e->d_name, err);
        if (is_half_published(s->folder, e->d_name))
            status = error_set(err, ENTRAIN_DATA,
                               "%s: `entrain pack` was cut off before all shards had their names. Start the same pack again: it ends that.",
                               s->folder);
        errno = 0;
    }
    if (status == ENTRAIN_OK && errno != 0) status = error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s.", s->folder, strerror(errno));
    (void)closedir(folder);
    if (status != ENTRAIN_OK) return status;
    if (s->file_count == 0)
        return error_set(
            err, ENTRAIN_DATA,
            "%s: holds no shards (NAME-00000-of-00001.h5). Make them with: entrain pack DATASET --root SOURCE --split NAME --out %s",
            s->folder, s->folder);
    qsort(s->files, (size_t)s->file_count, sizeof *s->files, by_name);
    int expected = 0;
    (void)parse_name(s->files[0].name, &shard, &expected);
    for (int i = 0; i < expected; i++) {
        const char *name = i < s->file_count ? s->files[i].name : "";
        if (parse_name(name, &shard, &shards) && shard == i && shards == expected) continue;
        if (name[0] != '\0' && shards != expected)
            return error_set(err, ENTRAIN_DATA,
                             "%s: shards of two sets are mixed: %s and %s. One folder holds one split; pack it again into an empty folder.",
                             s->folder, s->files[0].name, name);
        return error_set(err, ENTRAIN_DATA, "%s: shard %05d of %05d is missing. Pack the data set again.", s->folder, i, expected);
    }
    if (s->file_count > expected)
        return error_set(err, ENTRAIN_DATA,
                         "%s: holds %d shards of a set of %d; shards of two sets are mixed. Pack it again into an empty folder.", s->folder,
                         s->file_count, expected);
    return ENTRAIN_OK;
}

entrain_status shard_open_sound(const char *folder, shard_fault fault, void *context, shard_set **out, entrain_error *err) {
    *out = NULL;
    shard_set *s = calloc(1, sizeof *s);
    if (s == NULL || (s->folder = strdup(folder)) == NULL) {
        free(s);
        return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", folder);
    }
    h5_lock();
    entrain_status status = list_folder(s, err);
    if (status == ENTRAIN_OK) status = open_files(s, fault, context, err);
    h5_unlock();
    if (status != ENTRAIN_OK) {
        shard_close(s);
        return status;
    }
    *out = s;
    return ENTRAIN_OK;
}

entrain_status shard_open(const char *folder, shard_set **out, entrain_error *err) {
    return shard_open_sound(folder, NULL, NULL, out, err);
}

entrain_status shard_require_task(const shard_set *s, const char *task, const char *key, entrain_error *err) {
    if (strcmp(s->info.task, task) == 0) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s (%s): these shards are made for %s, but the configuration's task is %s. Name a folder of shards for it.", key,
                     s->folder, s->info.task, task);
}

const shard_info *shard_get_info(const shard_set *s) {
    return &s->info;
}

int shard_file_count(const shard_set *s) {
    return s->file_count;
}

int64_t shard_count(const shard_set *s) {
    return s->count;
}
