/*
 * Reading shards: a folder is opened and checked as a whole; of each shard only offsets, sizes, checksums and ids stay in memory. Files are
 * opened without locks, as many ranks read the same ones.
 */
#include <dirent.h>
#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "data/shard_internal.h"

struct shard_set {
    char *folder;
    shard_info info;
    shard_file *files;
    int file_count;
    int64_t count;
};

static void close_file(shard_file *f) {
    if (f->images >= 0) (void)H5Dclose(f->images);
    if (f->labels >= 0) (void)H5Dclose(f->labels);
    if (f->file >= 0) (void)H5Fclose(f->file);
    void *const tables[] = {f->name, f->image_offset, f->label_offset, f->height, f->width, f->crc32, f->id};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) free(tables[i]);
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

static entrain_status open_file(shard_set *s, int index, entrain_error *err) {
    shard_file *f = &s->files[index];
    static shard_info info; /* large; under the lock */
    const char *bad = NULL;
    char *path = NULL;
    int shard = 0, shards = 0;
    if (asprintf(&path, "%s/%s", s->folder, f->name) < 0) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", s->folder);
    const entrain_status status = hdf5_open(path, &f->file, err);
    free(path);
    if (status != ENTRAIN_OK) {
        f->file = -1;
        return status;
    }
    if (!shard_get_attributes(f->file, &info, &shard, &shards, &bad)) {
        char what[128];
        (void)snprintf(what, sizeof what, "the attribute %s is missing or not as expected", bad);
        return shard_damaged(s->folder, f, what, err);
    }
    if (index == 0) s->info = info;
    if (!same_split(&s->info, &info))
        return shard_damaged(s->folder, f, "it describes another data set, split or class list than the first shard", err);
    if (shard != index || shards != s->file_count)
        return shard_damaged(s->folder, f, "its attributes shard and shards do not fit its name", err);
    f->first = s->count;
    const entrain_status read = shard_read_tables(s->folder, f, err);
    s->count += read == ENTRAIN_OK ? f->count : 0;
    return read;
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

static entrain_status list_folder(shard_set *s, entrain_error *err) {
    int shard = 0, shards = 0;
    DIR *folder = opendir(s->folder);
    if (folder == NULL)
        return error_set(err, ENTRAIN_DATA,
                         "%s: no such folder of shards: %s. Make it with: entrain pack DATASET --root SOURCE --split NAME --out %s",
                         s->folder, strerror(errno), s->folder);
    entrain_status status = ENTRAIN_OK;
    for (const struct dirent *e = readdir(folder); e != NULL && status == ENTRAIN_OK; e = readdir(folder))
        if (parse_name(e->d_name, &shard, &shards)) status = add_name(s, e->d_name, err);
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

entrain_status shard_open(const char *folder, shard_set **out, entrain_error *err) {
    *out = NULL;
    shard_set *s = calloc(1, sizeof *s);
    if (s == NULL || (s->folder = strdup(folder)) == NULL) {
        free(s);
        return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", folder);
    }
    h5_lock();
    entrain_status status = list_folder(s, err);
    for (int i = 0; i < s->file_count && status == ENTRAIN_OK; i++) status = open_file(s, i, err);
    h5_unlock();
    if (status == ENTRAIN_OK && s->count != s->info.samples_total)
        status =
            error_set(err, ENTRAIN_DATA, "%s: the shards hold %lld samples, but say that there are %lld in all. Pack the data set again.",
                      folder, (long long)s->count, (long long)s->info.samples_total);
    if (status != ENTRAIN_OK) {
        shard_close(s);
        return status;
    }
    *out = s;
    return ENTRAIN_OK;
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

/* ---- samples ---- */

/* The shard that holds a sample, and its place there. */
static const shard_file *locate(const shard_set *s, int64_t index, int64_t *place) {
    int low = 0, high = s->file_count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (s->files[middle].first <= index)
            low = middle;
        else
            high = middle - 1;
    }
    *place = index - s->files[low].first;
    return &s->files[low];
}

void shard_size(const shard_set *s, int64_t index, int *height, int *width) {
    int64_t i = 0;
    const shard_file *f = locate(s, index, &i);
    *height = f->height[i];
    *width = f->width[i];
}

void shard_describe(const shard_set *s, int64_t index, char *text, size_t size) {
    int64_t i = 0;
    const shard_file *f = locate(s, index, &i);
    (void)snprintf(text, size, "%s/%s sample %lld (id %s)", s->folder, f->name, (long long)i, f->id[i]);
}

static bool grow(uint8_t **data, size_t *capacity, size_t size) {
    if (size <= *capacity) return true;
    free(*data);
    *data = malloc(size);
    *capacity = *data == NULL ? 0 : size;
    return *data != NULL;
}

bool shard_reserve(const shard_set *s, shard_sample *out) {
    uint64_t image = 0, label = 0;
    for (int k = 0; k < s->file_count; k++) {
        const shard_file *f = &s->files[k];
        for (int64_t i = 0; i < f->count; i++) {
            if (f->image_offset[i + 1] - f->image_offset[i] > image) image = f->image_offset[i + 1] - f->image_offset[i];
            if (f->label_offset[i + 1] - f->label_offset[i] > label) label = f->label_offset[i + 1] - f->label_offset[i];
        }
    }
    return grow(&out->image, &out->image_capacity, image) && grow(&out->label, &out->label_capacity, label);
}

/* Bytes [begin, end) of a dataset into a buffer that grows. */
static bool read_bytes(hid_t set, uint64_t begin, uint64_t end, uint8_t **data, size_t *capacity) {
    const hsize_t start = begin, count = end - begin;
    if (!grow(data, capacity, count)) return false;
    if (count == 0) return true;
    const hid_t from = H5Dget_space(set), to = H5Screate_simple(1, &count, NULL);
    const bool done = from >= 0 && to >= 0 && H5Sselect_hyperslab(from, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
                      H5Dread(set, H5T_NATIVE_UINT8, to, from, H5P_DEFAULT, *data) >= 0;
    if (to >= 0) (void)H5Sclose(to);
    if (from >= 0) (void)H5Sclose(from);
    return done;
}

entrain_status shard_read(shard_set *s, int64_t index, shard_sample *out, entrain_error *err) {
    int64_t i = 0;
    char name[512];
    const shard_file *f = locate(s, index, &i);
    h5_lock();
    hdf5_be_silent(); /* libhdf5 keeps this for each thread, and the set was opened on another */
    const bool done = read_bytes(f->images, f->image_offset[i], f->image_offset[i + 1], &out->image, &out->image_capacity) &&
                      read_bytes(f->labels, f->label_offset[i], f->label_offset[i + 1], &out->label, &out->label_capacity);
    h5_unlock();
    shard_describe(s, index, name, sizeof name);
    if (!done)
        return error_set(err, ENTRAIN_DATA, "%s: cannot be read. The shard is damaged or its disk fails; pack the data set again.", name);
    out->image_size = (size_t)(f->image_offset[i + 1] - f->image_offset[i]);
    out->label_size = (size_t)(f->label_offset[i + 1] - f->label_offset[i]);
    out->height = f->height[i];
    out->width = f->width[i];
    out->crc32 = f->crc32[i];
    out->index = index;
    (void)snprintf(out->id, sizeof out->id, "%s", f->id[i]);
    if (shard_checksum(out) == out->crc32) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: its bytes do not match their checksum: the shard has been damaged. Pack the data set again.",
                     name);
}
