/*
 * Writing a shard: the byte arrays grow sample by sample, so that memory does not depend on the data set's size; the tables that say where
 * each sample lies are written at the end.
 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "data/image.h"
#include "data/shard_internal.h"

static const hsize_t CHUNK = 1 << 18; /* bytes */

struct shard_writer {
    hdf5_file *file;
    shard_info info;
    int shard, shards;
    hid_t images, labels; /* the bytes; labels negative in classification */
    int64_t capacity;     /* samples announced; t.count: added so far */
    shard_tables t;
};

void shard_sample_free(shard_sample *s) {
    free(s->image);
    free(s->label);
    memset(s, 0, sizeof *s);
}

uint32_t shard_checksum(const shard_sample *s) {
    /* zlib takes a NULL pointer, which an empty buffer may be, for the wish to start anew. */
    uLong sum = crc32_z(0, NULL, 0);
    if (s->image_size > 0) sum = crc32_z(sum, s->image, s->image_size);
    if (s->label_size > 0) sum = crc32_z(sum, s->label, s->label_size);
    return (uint32_t)sum;
}

static void close_sets(shard_writer *w) {
    if (w->images >= 0) (void)H5Dclose(w->images);
    if (w->labels >= 0) (void)H5Dclose(w->labels);
    w->images = w->labels = -1;
}

static void free_writer(shard_writer *w) {
    if (w == NULL) return;
    close_sets(w);
    shard_tables_free(&w->t);
    free(w);
}

/* "train-00003-of-00016.h5" and the ending. */
static char *shard_path(const char *folder, const shard_info *info, int shard, int shards, const char *ending) {
    char *path = NULL;
    return asprintf(&path, "%s/%s-%05d-of-%05d.h5%s", folder, info->split, shard, shards, ending) < 0 ? NULL : path;
}

/* A dataset of bytes that can grow. */
static hid_t growing_bytes(hid_t group) {
    const hsize_t none = 0, forever = H5S_UNLIMITED;
    const hid_t space = H5Screate_simple(1, &none, &forever), list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (space >= 0 && list >= 0 && H5Pset_chunk(list, 1, &CHUNK) >= 0 && H5Pset_obj_track_times(list, 0) >= 0)
        set = H5Dcreate2(group, "bytes", H5T_NATIVE_UINT8, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (list >= 0) (void)H5Pclose(list);
    if (space >= 0) (void)H5Sclose(space);
    return set;
}

static bool make_groups(shard_writer *w) {
    const hid_t images = hdf5_group(w->file->id, "images"), labels = hdf5_group(w->file->id, "labels");
    if (images >= 0) w->images = growing_bytes(images);
    const bool maps = !shard_is_classification(&w->info);
    if (labels >= 0 && maps) w->labels = growing_bytes(labels);
    if (images >= 0) (void)H5Gclose(images);
    if (labels >= 0) (void)H5Gclose(labels);
    return w->images >= 0 && labels >= 0 && (w->labels >= 0 || !maps);
}

/* A writer without a file. NULL: out of memory. */
static shard_writer *new_writer(const shard_info *info, int shard, int shards, int64_t samples) {
    shard_writer *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->images = w->labels = -1;
    w->info = *info;
    w->shard = shard;
    w->shards = shards;
    w->capacity = samples;
    if (shard_tables_alloc(&w->t, samples, shard_is_classification(info))) return w;
    free_writer(w);
    return NULL;
}

entrain_status shard_create_as(const char *folder, const char *ending, const shard_info *info, int shard, int shards, int64_t samples,
                               shard_writer **out, entrain_error *err) {
    *out = NULL;
    entrain_status status = file_make_folder(folder, err);
    if (status != ENTRAIN_OK) return status;
    char *path = shard_path(folder, info, shard, shards, ending);
    shard_writer *w = new_writer(info, shard, shards, samples);
    if (path == NULL || w == NULL) {
        free(path);
        free_writer(w);
        return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for a shard of %lld samples", folder, (long long)samples);
    }
    h5_lock();
    status = hdf5_create(path, &w->file, err);
    if (status == ENTRAIN_OK && (!shard_put_info(w->file->id, info, shard, shards) || !make_groups(w))) {
        close_sets(w);
        status = hdf5_fail(w->file, err);
    }
    if (status != ENTRAIN_OK) free_writer(w);
    h5_unlock();
    free(path);
    if (status == ENTRAIN_OK) *out = w;
    return status;
}

entrain_status shard_create(const char *folder, const shard_info *info, int shard, int shards, int64_t samples, shard_writer **out,
                            entrain_error *err) {
    return shard_create_as(folder, "", info, shard, shards, samples, out, err);
}

/* Append bytes at `from` of a growing dataset. */
static bool append_bytes(hid_t set, uint64_t from, const uint8_t *bytes, size_t size) {
    const hsize_t start = from, count = size, end = from + size;
    if (size == 0) return true;
    if (H5Dset_extent(set, &end) < 0) return false;
    const hid_t file_space = H5Dget_space(set), memory_space = H5Screate_simple(1, &count, NULL);
    const bool done = file_space >= 0 && memory_space >= 0 &&
                      H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
                      H5Dwrite(set, H5T_NATIVE_UINT8, memory_space, file_space, H5P_DEFAULT, bytes) >= 0;
    if (memory_space >= 0) (void)H5Sclose(memory_space);
    if (file_space >= 0) (void)H5Sclose(file_space);
    return done;
}

/* The sample's place in the tables, where its bytes are stored already. */
static void note_sample(shard_writer *w, const shard_sample *s) {
    shard_tables *t = &w->t;
    const int64_t i = t->count++;
    t->image_offset[i + 1] = t->image_offset[i] + s->image_size;
    if (t->label_offset != NULL) t->label_offset[i + 1] = t->label_offset[i] + s->label_size;
    if (t->label_class != NULL) t->label_class[i] = s->label_class;
    t->height[i] = s->height;
    t->width[i] = s->width;
    t->source_height[i] = s->source_height > 0 ? s->source_height : s->height;
    t->source_width[i] = s->source_width > 0 ? s->source_width : s->width;
    t->crc32[i] = shard_checksum(s);
    (void)snprintf(t->id[i], sizeof t->id[i], "%s", s->id);
}

entrain_status shard_append(shard_writer *w, const shard_sample *s, entrain_error *err) {
    const int64_t i = w->t.count;
    if (i == w->capacity)
        return error_set(err, ENTRAIN_DATA, "%s: more than the %lld samples announced", w->file->path, (long long)w->capacity);
    h5_lock();
    const bool done = append_bytes(w->images, w->t.image_offset[i], s->image, s->image_size) &&
                      (w->labels < 0 || append_bytes(w->labels, w->t.label_offset[i], s->label, s->label_size));
    const int write_error = w->file->write_error; /* the file's driver itself goes on after a failure */
    char reason[256] = "";
    if (!done) hdf5_reason(reason, sizeof reason);
    h5_unlock();
    if (write_error != 0)
        return error_set(err, ENTRAIN_DATA, "%s: sample %lld cannot be written: %s. Nothing of this shard is kept; check the space left.",
                         w->file->path, (long long)i, strerror(write_error));
    if (!done) return error_set(err, ENTRAIN_DATA, "%s: sample %lld cannot be written: %s", w->file->path, (long long)i, reason);
    note_sample(w, s);
    return ENTRAIN_OK;
}

/* The tables, and the checksum over them. Lock held. hdf5_commit and hdf5_fail have thrown the file away when they return a failure. */
static entrain_status finish_file(shard_writer *w, entrain_error *err) {
    hdf5_file *file = w->file;
    const bool done = shard_tables_write(file->id, &w->t) &&
                      hdf5_put_uint32(file->id, "tables_crc32", shard_tables_sum(&w->info, w->shard, w->shards, &w->t));
    close_sets(w);
    w->file = NULL;
    return done ? hdf5_commit(file, err) : hdf5_fail(file, err);
}

entrain_status shard_finish(shard_writer *w, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    if (w->t.count != w->capacity)
        status = error_set(err, ENTRAIN_DATA, "%s: only %lld of the %lld samples announced were added", w->file->path,
                           (long long)w->t.count, (long long)w->capacity);
    h5_lock();
    if (status == ENTRAIN_OK) status = finish_file(w, err);
    h5_unlock();
    shard_abandon(w);
    return status;
}

void shard_abandon(shard_writer *w) {
    if (w == NULL) return;
    h5_lock();
    hdf5_file *file = w->file;
    free_writer(w);
    hdf5_abandon(file);
    h5_unlock();
}
