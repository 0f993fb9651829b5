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
    hid_t images, labels;             /* the bytes */
    int64_t samples, capacity, first; /* added so far; announced; index of the first in the split */
    uint64_t *image_offset, *label_offset;
    int32_t *height, *width;
    uint32_t *crc32;
    char (*id)[SHARD_ID];
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
    void *const tables[] = {w->image_offset, w->label_offset, w->height, w->width, w->crc32, w->id};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) free(tables[i]);
    free(w);
}

/* "train-00003-of-00016.h5" */
static char *shard_path(const char *folder, const shard_info *info, int shard, int shards) {
    char *path = NULL;
    return asprintf(&path, "%s/%s-%05d-of-%05d.h5", folder, info->split, shard, shards) < 0 ? NULL : path;
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
    if (labels >= 0) w->labels = growing_bytes(labels);
    if (images >= 0) (void)H5Gclose(images);
    if (labels >= 0) (void)H5Gclose(labels);
    return w->images >= 0 && w->labels >= 0;
}

static bool make_tables(shard_writer *w, int64_t samples) {
    const size_t n = (size_t)samples + 1;
    w->capacity = samples;
    w->image_offset = calloc(n, sizeof *w->image_offset);
    w->label_offset = calloc(n, sizeof *w->label_offset);
    w->height = calloc(n, sizeof *w->height);
    w->width = calloc(n, sizeof *w->width);
    w->crc32 = calloc(n, sizeof *w->crc32);
    w->id = calloc(n, sizeof *w->id);
    return w->image_offset && w->label_offset && w->height && w->width && w->crc32 && w->id;
}

entrain_status shard_create(const char *folder, const shard_info *info, int shard, int shards, int64_t samples, shard_writer **out,
                            entrain_error *err) {
    *out = NULL;
    entrain_status status = file_make_folder(folder, err);
    if (status != ENTRAIN_OK) return status;
    char *path = shard_path(folder, info, shard, shards);
    shard_writer *w = calloc(1, sizeof *w);
    if (w != NULL) w->images = w->labels = -1;
    if (path == NULL || w == NULL || !make_tables(w, samples)) {
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

entrain_status shard_append(shard_writer *w, const shard_sample *s, entrain_error *err) {
    if (w->samples == w->capacity)
        return error_set(err, ENTRAIN_DATA, "%s: more than the %lld samples announced", w->file->path, (long long)w->capacity);
    const int64_t i = w->samples;
    h5_lock();
    const bool done = append_bytes(w->images, w->image_offset[i], s->image, s->image_size) &&
                      append_bytes(w->labels, w->label_offset[i], s->label, s->label_size);
    const int write_error = w->file->write_error; /* the file's driver itself goes on after a failure */
    char reason[256] = "";
    if (!done) hdf5_reason(reason, sizeof reason);
    h5_unlock();
    if (write_error != 0)
        return error_set(err, ENTRAIN_DATA, "%s: sample %lld cannot be written: %s. Nothing of this shard is kept; check the space left.",
                         w->file->path, (long long)i, strerror(write_error));
    if (!done) return error_set(err, ENTRAIN_DATA, "%s: sample %lld cannot be written: %s", w->file->path, (long long)i, reason);
    w->image_offset[i + 1] = w->image_offset[i] + s->image_size;
    w->label_offset[i + 1] = w->label_offset[i] + s->label_size;
    w->height[i] = s->height;
    w->width[i] = s->width;
    w->crc32[i] = shard_checksum(s);
    (void)snprintf(w->id[i], sizeof w->id[i], "%s", s->id);
    w->samples++;
    return ENTRAIN_OK;
}

/* A table is one chunk under a checksum of its own, which libhdf5 checks on reading: sizes and ids are not under the samples' crc32. */
static bool write_table(hid_t where, const char *name, hid_t type, int64_t count, const void *values) {
    const hsize_t n = (hsize_t)count;
    const hid_t space = H5Screate_simple(1, &n, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = -1;
    const bool checked = n == 0 || (list >= 0 && H5Pset_chunk(list, 1, &n) >= 0 && H5Pset_fletcher32(list) >= 0);
    if (space >= 0 && checked && H5Pset_obj_track_times(list, 0) >= 0)
        set = H5Dcreate2(where, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    const bool done = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (set >= 0) (void)H5Dclose(set);
    if (list >= 0) (void)H5Pclose(list);
    if (space >= 0) (void)H5Sclose(space);
    return done;
}

static bool write_tables(const shard_writer *w) {
    const hid_t file = w->file->id, text = H5Tcopy(H5T_C_S1);
    const bool done =
        text >= 0 && H5Tset_size(text, SHARD_ID) >= 0 && H5Tset_strpad(text, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(text, H5T_CSET_UTF8) >= 0 && write_table(file, "images/offset", H5T_NATIVE_UINT64, w->samples + 1, w->image_offset) &&
        write_table(file, "labels/offset", H5T_NATIVE_UINT64, w->samples + 1, w->label_offset) &&
        write_table(file, "height", H5T_NATIVE_INT32, w->samples, w->height) &&
        write_table(file, "width", H5T_NATIVE_INT32, w->samples, w->width) &&
        write_table(file, "crc32", H5T_NATIVE_UINT32, w->samples, w->crc32) && write_table(file, "id", text, w->samples, w->id);
    if (text >= 0) (void)H5Tclose(text);
    return done;
}

/* hdf5_seal and hdf5_fail have thrown the file away when they return a failure. */
entrain_status shard_seal(shard_writer *w, entrain_error *err) {
    if (w->samples != w->capacity)
        return error_set(err, ENTRAIN_DATA, "%s: only %lld of the %lld samples announced were added", w->file->path, (long long)w->samples,
                         (long long)w->capacity);
    h5_lock();
    const bool done = write_tables(w);
    close_sets(w);
    const entrain_status status = done ? hdf5_seal(w->file, err) : hdf5_fail(w->file, err);
    if (status != ENTRAIN_OK) w->file = NULL;
    h5_unlock();
    return status;
}

entrain_status shard_finish(shard_writer *w, entrain_error *err) {
    entrain_status status = w->file->id >= 0 ? shard_seal(w, err) : ENTRAIN_OK;
    if (status == ENTRAIN_OK) {
        h5_lock();
        status = hdf5_commit(w->file, err);
        w->file = NULL;
        h5_unlock();
    }
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
