/* The root attributes of a shard: what describes its split. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hdf5_file.h"
#include "data/shard_internal.h"

/* An array attribute of bytes, or of fixed-length texts where width > 0. */
static bool put_array(hid_t file, const char *name, int rank, const hsize_t dims[], size_t width, const void *values) {
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t type = width == 0 ? H5Tcopy(H5T_NATIVE_UINT8) : H5Tcopy(H5T_C_S1);
    if (type >= 0 && width > 0 &&
        (H5Tset_size(type, width) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        (void)H5Tclose(type);
        type = -1;
    }
    const hid_t attribute = space < 0 || type < 0 ? -1 : H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool done = attribute >= 0 && H5Awrite(attribute, type, values) >= 0;
    if (attribute >= 0) (void)H5Aclose(attribute);
    if (type >= 0) (void)H5Tclose(type);
    if (space >= 0) (void)H5Sclose(space);
    return done;
}

bool shard_is_classification(const shard_info *info) {
    return strcmp(info->task, SHARD_CLASSIFICATION) == 0;
}

/* The names of classification's classes: a dataset, as an attribute of thousands of names would not fit into an object's header. */
static bool put_names(hid_t file, const shard_info *info) {
    const hid_t text = H5Tcopy(H5T_C_S1);
    const bool done = text >= 0 && H5Tset_size(text, SHARD_NAME) >= 0 && H5Tset_strpad(text, H5T_STR_NULLPAD) >= 0 &&
                      H5Tset_cset(text, H5T_CSET_UTF8) >= 0 && shard_table_write(file, "classes", text, info->classes, info->names);
    if (text >= 0) (void)H5Tclose(text);
    return done;
}

static bool put_label_maps(hid_t file, const shard_info *info) {
    const hsize_t classes = (hsize_t)info->classes, colors[2] = {classes, 3}, ids = 256;
    return put_array(file, "classes", 1, &classes, SHARD_NAME, info->names) && put_array(file, "colors", 2, colors, 0, info->colors) &&
           put_array(file, "export_ids", 1, &ids, 0, info->export_ids) && hdf5_put_int64(file, "ignore", SHARD_IGNORE);
}

bool shard_put_info(hid_t file, const shard_info *info, int shard, int shards) {
    return hdf5_put_int64(file, "format_version", SHARD_FORMAT) && hdf5_put_text(file, "dataset", info->dataset) &&
           hdf5_put_text(file, "split", info->split) && hdf5_put_text(file, "task", info->task) &&
           (shard_is_classification(info) ? put_names(file, info) : put_label_maps(file, info)) &&
           hdf5_put_int64(file, "samples_total", info->samples_total) && hdf5_put_int64(file, "shard", shard) &&
           hdf5_put_int64(file, "shards", shards);
}

/* A byte, not a number that would have to be cut. */
static bool is_byte(hid_t type) {
    return H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
}

/* An array attribute of exactly this shape; texts end up in rows of `width` bytes, filled up with zeros unless they are longer. */
static bool get_array(hid_t file, const char *name, int rank, const hsize_t dims[], size_t width, void *values) {
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0) return false;
    const hid_t space = H5Aget_space(attribute), stored = H5Aget_type(attribute);
    hsize_t found[2] = {0, 0};
    bool good =
        space >= 0 && stored >= 0 && H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, found, NULL) == rank;
    for (int i = 0; good && i < rank; i++) good = found[i] == dims[i];
    hid_t type = H5Tcopy(width == 0 ? H5T_NATIVE_UINT8 : H5T_C_S1);
    if (width > 0)
        good = good && H5Tis_variable_str(stored) == 0 && H5Tset_size(type, width) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
    if (width > 0) good = good && H5Tset_cset(type, H5Tget_cset(stored)) >= 0;
    good = good && (width == 0 ? is_byte(stored) : H5Tget_class(stored) == H5T_STRING) && H5Aread(attribute, type, values) >= 0;
    if (type >= 0) (void)H5Tclose(type);
    if (stored >= 0) (void)H5Tclose(stored);
    if (space >= 0) (void)H5Sclose(space);
    (void)H5Aclose(attribute);
    return good;
}

/* The number of classes is the length of the attribute `classes`. */
static bool count_classes(hid_t file, int *classes) {
    const hid_t attribute = H5Aopen(file, "classes", H5P_DEFAULT);
    if (attribute < 0) return false;
    const hid_t space = H5Aget_space(attribute);
    const hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (space >= 0) (void)H5Sclose(space);
    (void)H5Aclose(attribute);
    *classes = (int)count;
    return count >= 1 && count <= SHARD_MAX_CLASSES;
}

static bool get_text(hid_t file, const char *name, char out[SHARD_NAME]) {
    char *text = hdf5_get_text(file, name);
    const bool good = text != NULL && snprintf(out, SHARD_NAME, "%s", text) < SHARD_NAME && shard_plain_text(out, SHARD_NAME);
    free(text);
    return good;
}

static bool get_small(hid_t file, const char *name, int64_t low, int64_t high, int *out) {
    int64_t value = 0;
    if (!hdf5_get_int64(file, name, &value) || value < low || value > high) return false;
    *out = (int)value;
    return true;
}

static bool get_names(hid_t file, shard_info *info) {
    int64_t count = -1;
    const hid_t text = H5Tcopy(H5T_C_S1);
    void *names = NULL;
    if (text >= 0 && H5Tset_size(text, SHARD_NAME) >= 0 && H5Tset_strpad(text, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(text, H5T_CSET_UTF8) >= 0)
        names = shard_table_read(file, "classes", text, H5T_STRING, SHARD_NAME, &count);
    if (text >= 0) (void)H5Tclose(text);
    const bool good = names != NULL && count >= 1 && count <= SHARD_MAX_NAMES;
    if (good) memcpy(info->names, names, (size_t)count * SHARD_NAME);
    info->classes = good ? (int)count : 0;
    free(names);
    return good;
}

static bool get_label_maps(hid_t file, shard_info *info, const char **bad) {
    int ignore = 0;
    *bad = "classes";
    if (!count_classes(file, &info->classes)) return false;
    const hsize_t classes = (hsize_t)info->classes, colors[2] = {classes, 3}, ids = 256;
    if (!get_array(file, "classes", 1, &classes, SHARD_NAME, info->names)) return false;
    *bad = "colors";
    if (!get_array(file, "colors", 2, colors, 0, info->colors)) return false;
    *bad = "export_ids";
    if (!get_array(file, "export_ids", 1, &ids, 0, info->export_ids)) return false;
    *bad = "ignore";
    return get_small(file, "ignore", SHARD_IGNORE, SHARD_IGNORE, &ignore);
}

static bool plain_names(const shard_info *info) {
    for (int i = 0; i < info->classes; i++)
        if (!shard_plain_text(info->names[i], SHARD_NAME)) return false;
    return true;
}

bool shard_get_attributes(hid_t file, shard_info *info, int *shard, int *shards, const char **bad) {
    int format = 0;
    memset(info, 0, sizeof *info);
    *bad = "format_version";
    if (!get_small(file, "format_version", SHARD_FORMAT, SHARD_FORMAT, &format)) return false;
    *bad = "dataset";
    if (!get_text(file, "dataset", info->dataset)) return false;
    *bad = "split";
    if (!get_text(file, "split", info->split)) return false;
    *bad = "task";
    if (!get_text(file, "task", info->task)) return false;
    if (!shard_is_classification(info) && strcmp(info->task, SHARD_SEGMENTATION) != 0) return false;
    *bad = "classes";
    if (shard_is_classification(info) ? !get_names(file, info) : !get_label_maps(file, info, bad)) return false;
    *bad = "classes";
    if (!plain_names(info)) return false;
    *bad = "samples_total";
    if (!hdf5_get_int64(file, "samples_total", &info->samples_total) || info->samples_total < 0) return false;
    *bad = "shards";
    if (!get_small(file, "shards", 1, SHARD_MAX_SHARDS, shards)) return false;
    *bad = "shard";
    return get_small(file, "shard", 0, *shards - 1, shard);
}
