/* Scores to HDF5: see logits.h. Values are turned from (h,w,C) to (C,h,w) a few classes at a time. */
#include "train/logits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "base/memory.h"

enum { PLANES = 16 /* classes at a time: a cache line of the source */ };

struct logits_file {
    hdf5_file *file; /* NULL after a failure */
    int classes;
};

static entrain_status fail(logits_file *f, entrain_error *err) {
    hdf5_file *file = f->file;
    f->file = NULL;
    return hdf5_fail(file, err);
}

entrain_status logits_create(const char *path, const shard_info *info, logits_file **out, entrain_error *err) {
    *out = NULL;
    logits_file *f = calloc(1, sizeof *f);
    if (f == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory.", path);
    f->classes = info->classes;
    h5_lock();
    entrain_status status = hdf5_create(path, &f->file, err);
    if (status == ENTRAIN_OK && !hdf5_put_texts(f->file->id, "classes", info->classes, SHARD_NAME, info->names[0])) status = fail(f, err);
    h5_unlock();
    if (status == ENTRAIN_OK)
        *out = f;
    else
        free(f);
    return status;
}

void logits_abandon(logits_file *f) {
    if (f == NULL) return;
    h5_lock();
    hdf5_abandon(f->file);
    h5_unlock();
    free(f);
}

entrain_status logits_finish(logits_file *f, entrain_error *err) {
    h5_lock();
    const entrain_status status = hdf5_commit(f->file, err);
    h5_unlock();
    free(f);
    return status;
}

/* planes (count,pixels) = classes first..first+count-1 of values (pixels,classes). */
static void transpose(const float *values, size_t pixels, int classes, int first, int count, float *planes) {
    for (size_t i = 0; i < pixels; i++)
        for (int k = 0; k < count; k++) planes[(size_t)k * pixels + i] = values[i * (size_t)classes + (size_t)(first + k)];
}

static bool write_planes(hid_t set, const float *values, int h, int w, int classes, float *planes) {
    const hid_t space = H5Dget_space(set);
    bool done = space >= 0;
    for (int first = 0; first < classes && done; first += PLANES) {
        const int count = classes - first < PLANES ? classes - first : PLANES;
        const hsize_t start[3] = {(hsize_t)first, 0, 0}, size[3] = {(hsize_t)count, (hsize_t)h, (hsize_t)w};
        transpose(values, (size_t)h * (size_t)w, classes, first, count, planes);
        const hid_t memory = H5Screate_simple(3, size, NULL);
        done = memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
               H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, planes) >= 0;
        if (memory >= 0) (void)H5Sclose(memory);
    }
    if (space >= 0) (void)H5Sclose(space);
    return done;
}

static bool write_scores(hid_t group, const char *name, const float *values, int h, int w, int classes, float *planes) {
    const hsize_t dims[3] = {(hsize_t)classes, (hsize_t)h, (hsize_t)w};
    const hid_t set = hdf5_dataset(group, name, 3, dims);
    if (set < 0) return false;
    const bool done = write_planes(set, values, h, w, classes, planes);
    return H5Dclose(set) >= 0 && done;
}

entrain_status logits_add(logits_file *f, const char *name, const char *image_path, const float *small, int h, int w, const float *full,
                          int height, int width, entrain_error *err) {
    const size_t a = (size_t)h * (size_t)w, b = (size_t)height * (size_t)width;
    float *planes = memory_alloc((a > b ? a : b) * PLANES * sizeof(float));
    if (planes == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for its logits.", image_path);
    h5_lock();
    const hid_t group = hdf5_group(f->file->id, name);
    bool done = group >= 0 && hdf5_put_text(group, "file", image_path) &&
                (small == NULL || write_scores(group, "logits", small, h, w, f->classes, planes)) &&
                write_scores(group, "logits_full", full, height, width, f->classes, planes);
    if (group >= 0 && H5Gclose(group) < 0) done = false;
    if (f->file->write_error != 0) done = false; /* a full disk: go no further */
    memory_free(planes);
    const entrain_status status = done ? ENTRAIN_OK : fail(f, err);
    h5_unlock();
    return status;
}
