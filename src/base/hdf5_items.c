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

bool hdf5_write_floats(hid_t group, const char *name, int rank, const hsize_t dims[], const float *values, const char *text_name,
                       const char *text) {
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t list = timeless(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (space >= 0 && list >= 0 && H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool done = set >= 0 && H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (done && text != NULL) done = hdf5_put_text(set, text_name, text);
    if (set >= 0 && H5Dclose(set) < 0) done = false;
    if (list >= 0) (void)H5Pclose(list);
    if (space >= 0) (void)H5Sclose(space);
    return done;
}

/* ---- attributes ---- */

static bool put(hid_t where, const char *name, hid_t stored, hid_t given, const void *value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    if (space < 0) return false;
    const hid_t attribute = H5Acreate2(where, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    bool done = attribute >= 0 && H5Awrite(attribute, given, value) >= 0;
    if (attribute >= 0 && H5Aclose(attribute) < 0) done = false;
    (void)H5Sclose(space);
    return done;
}

bool hdf5_put_int64(hid_t where, const char *name, int64_t value) {
    return put(where, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

bool hdf5_put_uint64(hid_t where, const char *name, uint64_t value) {
    return put(where, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}

bool hdf5_put_uint32(hid_t where, const char *name, uint32_t value) {
    return put(where, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, &value);
}

bool hdf5_put_double(hid_t where, const char *name, double value) {
    return put(where, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

bool hdf5_put_text(hid_t where, const char *name, const char *text) {
    const size_t length = strlen(text);
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return false;
    const bool done = H5Tset_size(type, length > 0 ? length : 1) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
                      H5Tset_cset(type, H5T_CSET_UTF8) >= 0 && put(where, name, type, type, text);
    (void)H5Tclose(type);
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

static bool get_number(hid_t where, const char *name, hid_t wanted, void *value) {
    hid_t type = -1;
    const hid_t attribute = open_single(where, name, &type);
    if (attribute < 0) return false;
    const H5T_class_t class = H5Tget_class(type);
    const bool done = (class == H5T_INTEGER || class == H5T_FLOAT) && H5Aread(attribute, wanted, value) >= 0;
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return done;
}

bool hdf5_get_int64(hid_t where, const char *name, int64_t *value) {
    return get_number(where, name, H5T_NATIVE_INT64, value);
}

bool hdf5_get_uint64(hid_t where, const char *name, uint64_t *value) {
    return get_number(where, name, H5T_NATIVE_UINT64, value);
}

bool hdf5_get_double(hid_t where, const char *name, double *value) {
    return get_number(where, name, H5T_NATIVE_DOUBLE, value);
}

static char *read_fixed(hid_t attribute, hid_t type) {
    const size_t size = H5Tget_size(type);
    char *text = calloc(1, size + 1);
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
