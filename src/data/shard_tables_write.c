/* Tables of a shard in memory, their checksum, and how they are written. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/shard_internal.h"

bool shard_tables_alloc(shard_tables *t, int64_t samples, bool classification) {
    const size_t n = (size_t)samples + 1;
    *t = (shard_tables){.image_offset = calloc(n, sizeof *t->image_offset),
                        .label_offset = classification ? NULL : calloc(n, sizeof *t->label_offset),
                        .label_class = classification ? calloc(n, sizeof *t->label_class) : NULL,
                        .height = calloc(n, sizeof *t->height),
                        .width = calloc(n, sizeof *t->width),
                        .source_height = calloc(n, sizeof *t->source_height),
                        .source_width = calloc(n, sizeof *t->source_width),
                        .crc32 = calloc(n, sizeof *t->crc32),
                        .id = calloc(n, sizeof *t->id)};
    return t->image_offset && (t->label_offset || t->label_class) && t->height && t->width && t->source_height && t->source_width &&
           t->crc32 && t->id;
}

void shard_tables_free(shard_tables *t) {
    void *const tables[] = {t->image_offset,  t->label_offset, t->label_class, t->height, t->width,
                            t->source_height, t->source_width, t->crc32,       t->id};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) free(tables[i]);
    memset(t, 0, sizeof *t);
}

/* Whether any sample was resized: only then its source's size is worth a table. */
static bool any_resized(const shard_tables *t) {
    const size_t bytes = (size_t)t->count * sizeof *t->height;
    return t->source_height != NULL && bytes > 0 &&
           (memcmp(t->height, t->source_height, bytes) != 0 || memcmp(t->width, t->source_width, bytes) != 0);
}

/* ---- checksum ---- */

static void add(uLong *sum, const void *values, size_t bytes) {
    if (values != NULL && bytes > 0) *sum = crc32_z(*sum, values, bytes);
}

static void add_number(uLong *sum, int64_t value) {
    add(sum, &value, sizeof value);
}

/* With the zero that ends it: what follows it in its place does not matter. */
static void add_text(uLong *sum, const char *text) {
    add(sum, text, strlen(text) + 1);
}

uint32_t shard_tables_sum(const shard_info *info, int shard, int shards, const shard_tables *t) {
    uLong sum = crc32_z(0, NULL, 0);
    const size_t n = (size_t)t->count;
    add_text(&sum, info->dataset);
    add_text(&sum, info->split);
    add_text(&sum, info->task);
    add_number(&sum, info->samples_total);
    add_number(&sum, shard);
    add_number(&sum, shards);
    add_number(&sum, info->classes);
    for (int c = 0; c < info->classes; c++) add_text(&sum, info->names[c]);
    if (!shard_is_classification(info)) {
        add(&sum, info->colors, (size_t)info->classes * sizeof info->colors[0]);
        add(&sum, info->export_ids, sizeof info->export_ids);
    }
    add_number(&sum, t->count);
    add(&sum, t->image_offset, (n + 1) * sizeof *t->image_offset);
    add(&sum, t->label_offset, (n + 1) * sizeof *t->label_offset);
    add(&sum, t->label_class, n * sizeof *t->label_class);
    add(&sum, t->height, n * sizeof *t->height);
    add(&sum, t->width, n * sizeof *t->width);
    if (any_resized(t)) {
        add(&sum, t->source_height, n * sizeof *t->source_height);
        add(&sum, t->source_width, n * sizeof *t->source_width);
    }
    add(&sum, t->crc32, n * sizeof *t->crc32);
    for (size_t i = 0; i < n; i++) add_text(&sum, t->id[i]);
    return (uint32_t)sum;
}

/* ---- writing ---- */

bool shard_table_write(hid_t where, const char *name, hid_t type, int64_t count, const void *values) {
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

static bool write_ids(hid_t file, const shard_tables *t) {
    const hid_t text = H5Tcopy(H5T_C_S1);
    const bool done = text >= 0 && H5Tset_size(text, SHARD_ID) >= 0 && H5Tset_strpad(text, H5T_STR_NULLPAD) >= 0 &&
                      H5Tset_cset(text, H5T_CSET_UTF8) >= 0 && shard_table_write(file, "id", text, t->count, t->id);
    if (text >= 0) (void)H5Tclose(text);
    return done;
}

bool shard_tables_write(hid_t file, const shard_tables *t) {
    const int64_t n = t->count;
    bool done = shard_table_write(file, "images/offset", H5T_NATIVE_UINT64, n + 1, t->image_offset);
    if (t->label_offset != NULL) done = done && shard_table_write(file, "labels/offset", H5T_NATIVE_UINT64, n + 1, t->label_offset);
    if (t->label_class != NULL) done = done && shard_table_write(file, "labels/class", H5T_NATIVE_INT32, n, t->label_class);
    done = done && shard_table_write(file, "height", H5T_NATIVE_INT32, n, t->height) &&
           shard_table_write(file, "width", H5T_NATIVE_INT32, n, t->width);
    if (any_resized(t))
        done = done && shard_table_write(file, "source_height", H5T_NATIVE_INT32, n, t->source_height) &&
               shard_table_write(file, "source_width", H5T_NATIVE_INT32, n, t->source_width);
    return done && shard_table_write(file, "crc32", H5T_NATIVE_UINT32, n, t->crc32) && write_ids(file, t);
}
