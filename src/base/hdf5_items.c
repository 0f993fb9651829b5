/* Groups, float32 datasets and attributes of HDF5 files: see hdf5_file.h. */
#include <stdlib.h>
#include <string.h>

#include "base/hdf5_file.h"

/* A creation list that stores no times, so that equal contents make equal files. */
static hid_t timeless(hid_t kind) {
    const hid_t list = H5Pcreate(kind);
    if (list >= 0) (void)H5Pset_obj_track_times(list, 0);
    return list;
}

hid_t hdf5_group(hid_t where, const char *name) {
    const hid_t list = timeless(H5P_GROUP_CREATE);
    if (list < 0) return -1;
    const hid_t group = H5Gcreate2(where, name, H5P_DEFAULT, list, H5P_DEFAULT);
    (void)H5Pclose(list);
    return group;
}

hid_t hdf5_dataset(hid_t where, const char *name, int rank, const hsize_t dims[]) {
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t list = timeless(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (space >= 0 && list >= 0 && H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(where, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (list >= 0) (void)H5Pclose(list);
    if (space >= 0) (void)H5Sclose(space);
    return set;
}

hid_t hdf5_dataset_floats(hid_t where, const char *name, int rank, const hsize_t dims[], const float *values) {
    const hid_t set = hdf5_dataset(where, name, rank, dims);
    if (set < 0 || H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0) return set;
    (void)H5Dclose(set);
    return -1;
}

/* ---- attributes ---- */

static bool put(hid_t where, const char *name, hid_t stored, hid_t given, hid_t space, const void *values) {
    const hid_t attribute = H5Acreate2(where, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool done = attribute >= 0 && H5Awrite(attribute, given, values) >= 0;
    return (attribute < 0 || H5Aclose(attribute) >= 0) && done;
}

static bool put_number(hid_t where, const char *name, hid_t stored, hid_t given, const void *value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    if (space < 0) return false;
    const bool done = put(where, name, stored, given, space, value);
    (void)H5Sclose(space);
    return done;
}

bool hdf5_put_int64(hid_t where, const char *name, int64_t value) {
    return put_number(where, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

bool hdf5_put_uint64(hid_t where, const char *name, uint64_t value) {
    return put_number(where, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}

bool hdf5_put_uint32(hid_t where, const char *name, uint32_t value) {
    return put_number(where, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, &value);
}

bool hdf5_put_double(hid_t where, const char *name, double value) {
    return put_number(where, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

/* A type for UTF-8 texts of this many bytes, filled up with zeros. */
static hid_t text_type(size_t size) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 ||
        (H5Tset_size(type, size > 0 ? size : 1) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0))
        return type;
    (void)H5Tclose(type);
    return -1;
}

bool hdf5_put_text(hid_t where, const char *name, const char *text) {
    const hid_t type = text_type(strlen(text)), space = H5Screate(H5S_SCALAR);
    const bool done = type >= 0 && space >= 0 && put(where, name, type, type, space, text);
    if (space >= 0) (void)H5Sclose(space);
    if (type >= 0) (void)H5Tclose(type);
    return done;
}

bool hdf5_put_texts(hid_t where, const char *name, int count, size_t size, const char *texts) {
    const hsize_t length = (hsize_t)count;
    const hid_t type = text_type(size), space = H5Screate_simple(1, &length, NULL);
    const bool done = type >= 0 && space >= 0 && put(where, name, type, type, space, texts);
    if (space >= 0) (void)H5Sclose(space);
    if (type >= 0) (void)H5Tclose(type);
    return done;
}

/* Open an attribute that holds one value of this class; negative when there is none. */
static hid_t open_single(hid_t where, const char *name, hid_t *type) {
    if (H5Aexists(where, name) <= 0) return -1;
    const hid_t attribute = H5Aopen(where, name, H5P_DEFAULT);
    if (attribute < 0) return -1;
    const hid_t space = H5Aget_space(attribute);
    const bool single = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0) (void)H5Sclose(space);
    *type = single ? H5Aget_type(attribute) : -1;
    if (*type >= 0) return attribute;
    (void)H5Aclose(attribute);
    return -1;
}

/* Whole numbers are not taken from a float, which may be none; a float is from a whole number. */
static bool get_number(hid_t where, const char *name, H5T_class_t kind, hid_t wanted, void *value) {
    hid_t type = -1;
    const hid_t attribute = open_single(where, name, &type);
    if (attribute < 0) return false;
    const H5T_class_t class = H5Tget_class(type);
    const bool done = (class == H5T_INTEGER || class == kind) && H5Aread(attribute, wanted, value) >= 0;
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return done;
}

bool hdf5_get_int64(hid_t where, const char *name, int64_t *value) {
    return get_number(where, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}

bool hdf5_get_uint64(hid_t where, const char *name, uint64_t *value) {
    return get_number(where, name, H5T_INTEGER, H5T_NATIVE_UINT64, value);
}

bool hdf5_get_double(hid_t where, const char *name, double *value) {
    return get_number(where, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value);
}

static char *read_fixed(hid_t attribute, hid_t type) {
    const size_t size = H5Tget_size(type), most = (size_t)1 << 26; /* what claims more is damaged */
    char *text = size <= most ? calloc(1, size + 1) : NULL;
    if (text != NULL && H5Aread(attribute, type, text) >= 0) return text;
    free(text);
    return NULL;
}

static char *read_variable(hid_t attribute, hid_t type) {
    char *stored = NULL, *text = NULL;
    if (H5Aread(attribute, type, &stored) >= 0 && stored != NULL) text = strdup(stored);
    if (stored != NULL) (void)H5free_memory(stored);
    return text;
}

char *hdf5_get_text(hid_t where, const char *name) {
    hid_t type = -1;
    const hid_t attribute = open_single(where, name, &type);
    if (attribute < 0) return NULL;
    char *text = NULL;
    if (H5Tget_class(type) == H5T_STRING)
        text = H5Tis_variable_str(type) > 0 ? read_variable(attribute, type) : read_fixed(attribute, type);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return text;
}
