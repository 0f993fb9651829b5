/* Reading the tables of a shard: where each sample's bytes lie, its size, checksum and id. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hdf5_file.h"
#include "data/image_internal.h"
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

void *shard_table_read(hid_t file, const char *name, hid_t type, H5T_class_t kind, size_t size, int64_t *count) {
    int64_t length = 0;
    const hid_t set = open_table(file, name, &length);
    if (set < 0) return NULL;
    const hid_t stored = H5Dget_type(set);
    const bool fits = stored >= 0 && H5Tget_class(stored) == kind && (kind != H5T_STRING || H5Tis_variable_str(stored) == 0) &&
                      length >= 0 && length < INT64_C(1) << 32 && (*count < 0 || *count == length) &&
                      shard_holds(file, set, (uint64_t)length * H5Tget_size(stored));
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
static bool read_ids(hid_t file, shard_tables *t) {
    static const H5T_cset_t sets[] = {H5T_CSET_UTF8, H5T_CSET_ASCII};
    for (size_t k = 0; k < sizeof sets / sizeof sets[0] && t->id == NULL; k++) {
        const hid_t text = H5Tcopy(H5T_C_S1);
        if (text >= 0 && H5Tset_size(text, SHARD_ID) >= 0 && H5Tset_strpad(text, H5T_STR_NULLPAD) >= 0 && H5Tset_cset(text, sets[k]) >= 0)
            t->id = shard_table_read(file, "id", text, H5T_STRING, SHARD_ID, &t->count);
        if (text >= 0) (void)H5Tclose(text);
    }
    return t->id != NULL;
}

static int32_t *read_int32(hid_t file, const char *name, int64_t *count) {
    return shard_table_read(file, name, H5T_NATIVE_INT32, H5T_INTEGER, sizeof(int32_t), count);
}

/* Both tables of the source's sizes, or neither. false: only one is there, or it is unreadable. */
static bool read_source_sizes(hid_t file, shard_tables *t) {
    const bool height = H5Lexists(file, "source_height", H5P_DEFAULT) > 0, width = H5Lexists(file, "source_width", H5P_DEFAULT) > 0;
    if (!height && !width) return true;
    if (height) t->source_height = read_int32(file, "source_height", &t->count);
    if (width) t->source_width = read_int32(file, "source_width", &t->count);
    return t->source_height != NULL && t->source_width != NULL;
}

/* The name of the first table that is not as it should be, or NULL. */
static const char *read_all(hid_t file, shard_tables *t, bool classification) {
    t->count = -1;
    if ((t->height = read_int32(file, "height", &t->count)) == NULL) return "/height";
    if ((t->width = read_int32(file, "width", &t->count)) == NULL) return "/width";
    if (!read_source_sizes(file, t)) return "/source_height or /source_width";
    if ((t->crc32 = shard_table_read(file, "crc32", H5T_NATIVE_UINT32, H5T_INTEGER, sizeof *t->crc32, &t->count)) == NULL) return "/crc32";
    if (!read_ids(file, t)) return "/id";
    if (classification && (t->label_class = read_int32(file, "labels/class", &t->count)) == NULL) return "/labels/class";
    int64_t offsets = t->count + 1;
    t->image_offset = shard_table_read(file, "images/offset", H5T_NATIVE_UINT64, H5T_INTEGER, sizeof *t->image_offset, &offsets);
    if (t->image_offset == NULL) return "/images/offset";
    if (classification) return NULL;
    t->label_offset = shard_table_read(file, "labels/offset", H5T_NATIVE_UINT64, H5T_INTEGER, sizeof *t->label_offset, &offsets);
    return t->label_offset == NULL ? "/labels/offset" : NULL;
}

/* Ascending from 0 to the length of the bytes. */
static bool good_offsets(const uint64_t *offset, int64_t count, int64_t bytes) {
    if (offset[0] != 0 || offset[count] != (uint64_t)bytes) return false;
    for (int64_t i = 0; i < count; i++)
        if (offset[i + 1] < offset[i]) return false;
    return true;
}

static entrain_status bad_sample(const char *folder, const shard_file *f, int64_t i, const char *what, entrain_error *err) {
    char text[SHARD_ID + 256];
    (void)snprintf(text, sizeof text, "sample %lld (id %s): %s", (long long)i, f->t.id[i], what);
    return shard_damaged(folder, f, text, err);
}

static entrain_status check_ids(const char *folder, const shard_file *f, entrain_error *err) {
    for (int64_t i = 0; i < f->count; i++) {
        const char *wrong = shard_wrong_id(f->t.id[i]);
        if (wrong == NULL) continue;
        return error_set(err, ENTRAIN_DATA,
                         "%s/%s sample %lld: its id %s. The shard is damaged or not one of entrain's; pack the data set again.", folder,
                         f->name, (long long)i, wrong);
    }
    return ENTRAIN_OK;
}

static entrain_status check_samples(const char *folder, const shard_file *f, const shard_info *info, entrain_error *err) {
    const shard_tables *t = &f->t;
    for (int64_t i = 0; i < t->count; i++) {
        if (t->height[i] < 1 || t->width[i] < 1 || t->height[i] > IMAGE_MAX_SIDE || t->width[i] > IMAGE_MAX_SIDE)
            return bad_sample(folder, f, i, "its height or width is none that an image may have", err);
        if (t->source_height != NULL && (t->source_height[i] < 1 || t->source_width[i] < 1))
            return bad_sample(folder, f, i, "its source's height or width is not positive", err);
        if (t->label_class != NULL && (t->label_class[i] < 0 || t->label_class[i] >= info->classes))
            return bad_sample(folder, f, i, "its class is out of range", err);
    }
    return ENTRAIN_OK;
}

/* Encoded images or labels; negative where they are anything but bytes. */
static hid_t open_bytes(hid_t file, const char *name, int64_t *length) {
    const hid_t set = open_table(file, name, length), type = set < 0 ? -1 : H5Dget_type(set);
    const bool bytes = type >= 0 && H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1;
    if (type >= 0) (void)H5Tclose(type);
    if (bytes || set < 0) return set;
    (void)H5Dclose(set);
    return -1;
}

entrain_status shard_read_tables(const char *folder, shard_file *f, const shard_info *info, entrain_error *err) {
    int64_t image_bytes = 0, label_bytes = 0;
    const bool classification = shard_is_classification(info);
    const char *bad = read_all(f->file, &f->t, classification);
    if (bad != NULL) {
        char what[128];
        (void)snprintf(what, sizeof what, "the table %s is missing, unreadable or not as long as /height", bad);
        return shard_damaged(folder, f, what, err);
    }
    f->count = f->t.count;
    f->images = open_bytes(f->file, "images/bytes", &image_bytes);
    if (!classification) f->labels = open_bytes(f->file, "labels/bytes", &label_bytes);
    if (f->images < 0 || (f->labels < 0 && !classification))
        return shard_damaged(folder, f, "/images/bytes or /labels/bytes is missing or unreadable", err);
    if (!good_offsets(f->t.image_offset, f->count, image_bytes))
        return shard_damaged(folder, f, "/images/offset does not fit /images/bytes", err);
    if (!classification && !good_offsets(f->t.label_offset, f->count, label_bytes))
        return shard_damaged(folder, f, "/labels/offset does not fit /labels/bytes", err);
    if (!shard_holds(f->file, f->images, (uint64_t)image_bytes) ||
        (!classification && !shard_holds(f->file, f->labels, (uint64_t)label_bytes)))
        return shard_damaged(folder, f, "/images/bytes or /labels/bytes claims more than the file holds", err);
    const entrain_status status = check_ids(folder, f, err);
    return status == ENTRAIN_OK ? check_samples(folder, f, info, err) : status;
}

entrain_status shard_check_tables(const char *folder, const shard_file *f, const shard_info *info, int shard, int shards,
                                  entrain_error *err) {
    int64_t stored = 0;
    if (H5Aexists(f->file, "tables_crc32") == 0) return ENTRAIN_OK;
    if (hdf5_get_int64(f->file, "tables_crc32", &stored) && stored == (int64_t)shard_tables_sum(info, shard, shards, &f->t))
        return ENTRAIN_OK;
    return shard_damaged(folder, f, "its attributes and tables do not match their checksum, the attribute tables_crc32", err);
}
