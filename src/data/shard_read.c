/* Reading samples of an open set of shards. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "data/shard_internal.h"

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
    *height = f->t.height[i];
    *width = f->t.width[i];
}

void shard_describe(const shard_set *s, int64_t index, char *text, size_t size) {
    int64_t i = 0;
    const shard_file *f = locate(s, index, &i);
    (void)snprintf(text, size, "%s/%s sample %lld (id %s)", s->folder, f->name, (long long)i, f->t.id[i]);
}

const char *shard_id(const shard_set *s, int64_t index) {
    int64_t i = 0;
    const shard_file *f = locate(s, index, &i);
    return f->t.id[i];
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
            if (f->t.image_offset[i + 1] - f->t.image_offset[i] > image) image = f->t.image_offset[i + 1] - f->t.image_offset[i];
            if (f->t.label_offset != NULL && f->t.label_offset[i + 1] - f->t.label_offset[i] > label)
                label = f->t.label_offset[i + 1] - f->t.label_offset[i];
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

/* What the tables say of sample i of a shard. */
static void take_tables(const shard_tables *t, int64_t i, shard_sample *out) {
    out->image_size = (size_t)(t->image_offset[i + 1] - t->image_offset[i]);
    out->label_size = t->label_offset == NULL ? 0 : (size_t)(t->label_offset[i + 1] - t->label_offset[i]);
    out->label_class = t->label_class == NULL ? -1 : t->label_class[i];
    out->height = t->height[i];
    out->width = t->width[i];
    out->source_height = t->source_height == NULL ? t->height[i] : t->source_height[i];
    out->source_width = t->source_width == NULL ? t->width[i] : t->source_width[i];
    out->crc32 = t->crc32[i];
    (void)snprintf(out->id, sizeof out->id, "%s", t->id[i]);
}

entrain_status shard_read(shard_set *s, int64_t index, shard_sample *out, entrain_error *err) {
    int64_t i = 0;
    char name[512];
    const shard_file *f = locate(s, index, &i);
    h5_lock();
    hdf5_be_silent(); /* libhdf5 keeps this for each thread, and the set was opened on another */
    bool done = read_bytes(f->images, f->t.image_offset[i], f->t.image_offset[i + 1], &out->image, &out->image_capacity);
    if (done && f->t.label_offset != NULL)
        done = read_bytes(f->labels, f->t.label_offset[i], f->t.label_offset[i + 1], &out->label, &out->label_capacity);
    h5_unlock();
    shard_describe(s, index, name, sizeof name);
    if (!done)
        return error_set(err, ENTRAIN_DATA, "%s: cannot be read. The shard is damaged or its disk fails; pack the data set again.", name);
    take_tables(&f->t, i, out);
    out->index = index;
    if (shard_checksum(out) == out->crc32) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: its bytes do not match their checksum: the shard has been damaged. Pack the data set again.",
                     name);
}
