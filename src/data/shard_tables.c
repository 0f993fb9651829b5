/* The tables of a shard: where each sample's bytes lie, its size, checksum and id. */
#include <hdf5.h>
#include <stdlib.h>

#include "base/error.h"
#include "data/shard_internal.h"

entrain_status shard_damaged(const char *folder, const shard_file *f, const char *what, entrain_error *err) {
    return error_set(err, ENTRAIN_DATA, "%s/%s: %s. The shard is damaged or not one of entrain's; pack the data set again.", folder,
                     f->name, what);
}

/* A one-dimensional dataset and its length; negative when it is not there. */
static hid_t open_table(hid_t file, const char *name, int64_t *length) {
    const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return -1;
    const hid_t space = H5Dget_space(set);
    const bool flat = space >= 0 && H5Sget_simple_extent_ndims(space) == 1;
    *length = flat ? (int64_t)H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0) (void)H5Sclose(space);
    if (flat) return set;
    (void)H5Dclose(set);
    return -1;
}

/* Read a whole table of `count` elements (count -1: find out); newly allocated, NULL on failure. */
static void *read_table(hid_t file, const char *name, hid_t type, H5T_class_t kind, size_t size, int64_t *count) {
    int64_t length = 0;
    const hid_t set = open_table(file, name, &length);
    if (set < 0) return NULL;
    const hid_t stored = H5Dget_type(set);
    const bool fits = stored >= 0 && H5Tget_class(stored) == kind && (kind != H5T_STRING || H5Tis_variable_str(stored) == 0) &&
                      length >= 0 && length < INT64_C(1) << 32 && (*count < 0 || *count == length) &&
                      H5Dget_storage_size(set) >= (hsize_t)length * (kind == H5T_STRING ? 1 : H5Tget_size(stored));
    void *values = fits ? calloc((size_t)length + 1, size) : NULL;
    if (values != NULL && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
        free(values);
        values = NULL;
    }
    if (stored >= 0) (void)H5Tclose(stored);
    (void)H5Dclose(set);
    *count = length;
    return values;
}

/* Fixed-length texts, UTF-8 or ASCII (libhdf5 does not convert between the two). */
static bool read_ids(shard_file *f) {
    static const H5T_cset_t sets[] = {H5T_CSET_UTF8, H5T_CSET_ASCII};
    for (size_t k = 0; k < sizeof sets / sizeof sets[0] && f->id == NULL; k++) {
        const hid_t text = H5Tcopy(H5T_C_S1);
        if (text >= 0 && H5Tset_size(text, SHARD_ID) >= 0 && H5Tset_strpad(text, H5T_STR_NULLTERM) >= 0 && H5Tset_cset(text, sets[k]) >= 0)
            f->id = read_table(f->file, "id", text, H5T_STRING, SHARD_ID, &f->count);
        if (text >= 0) (void)H5Tclose(text);
    }
    for (int64_t i = 0; f->id != NULL && i < f->count; i++) f->id[i][SHARD_ID - 1] = '\0';
    return f->id != NULL;
}

/* Ascending from 0 to the length of the bytes. */
static bool good_offsets(const uint64_t *offset, int64_t count, int64_t bytes) {
    if (offset == NULL || offset[0] != 0 || offset[count] != (uint64_t)bytes) return false;
    for (int64_t i = 0; i < count; i++)
        if (offset[i + 1] < offset[i]) return false;
    return true;
}

entrain_status shard_read_tables(const char *folder, shard_file *f, entrain_error *err) {
    int64_t image_bytes = 0, label_bytes = 0;
    f->count = -1;
    f->height = read_table(f->file, "height", H5T_NATIVE_INT32, H5T_INTEGER, sizeof *f->height, &f->count);
    if (f->height == NULL) return shard_damaged(folder, f, "the table /height is missing or unreadable", err);
    f->width = read_table(f->file, "width", H5T_NATIVE_INT32, H5T_INTEGER, sizeof *f->width, &f->count);
    if (f->width == NULL) return shard_damaged(folder, f, "the table /width is missing, unreadable or of another length than /height", err);
    f->crc32 = read_table(f->file, "crc32", H5T_NATIVE_UINT32, H5T_INTEGER, sizeof *f->crc32, &f->count);
    if (f->crc32 == NULL) return shard_damaged(folder, f, "the table /crc32 is missing, unreadable or of another length than /height", err);
    if (!read_ids(f)) return shard_damaged(folder, f, "the table /id is missing, unreadable or of another length than /height", err);
    int64_t offsets = f->count + 1;
    f->image_offset = read_table(f->file, "images/offset", H5T_NATIVE_UINT64, H5T_INTEGER, sizeof *f->image_offset, &offsets);
    f->label_offset = read_table(f->file, "labels/offset", H5T_NATIVE_UINT64, H5T_INTEGER, sizeof *f->label_offset, &offsets);
    f->images = open_table(f->file, "images/bytes", &image_bytes);
    f->labels = open_table(f->file, "labels/bytes", &label_bytes);
    if (f->images < 0 || f->labels < 0) return shard_damaged(folder, f, "/images/bytes or /labels/bytes is missing or unreadable", err);
    if (!good_offsets(f->image_offset, f->count, image_bytes))
        return shard_damaged(folder, f, "/images/offset does not fit /images/bytes", err);
    if (!good_offsets(f->label_offset, f->count, label_bytes))
        return shard_damaged(folder, f, "/labels/offset does not fit /labels/bytes", err);
    for (int64_t i = 0; i < f->count; i++)
        if (f->height[i] < 1 || f->width[i] < 1) return shard_damaged(folder, f, "a sample's height or width is not positive", err);
    return ENTRAIN_OK;
}
