/*
 * Reading checkpoints: first the headers of all tensors, so that everything that does not fit is reported in one go; then the values, one
 * tensor at a time through one staging buffer, checked against the checksum where the file has one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "base/memory.h"
#include "train/checkpoint_internal.h"

/* A checkpoint open for reading. */
typedef struct reader {
    const char *path;
    hid_t file;
    stored_list model, momentum;
    checkpoint_meta meta; /* its texts are the two below */
    char *config, *dataset, *entrain_version;
    int64_t format;
    bool has_checksum;
    uint32_t checksum;
} reader;

static void reader_close(reader *r) {
    stored_list_close(&r->model);
    stored_list_close(&r->momentum);
    free(r->config);
    free(r->dataset);
    free(r->entrain_version);
    if (r->file >= 0) (void)H5Fclose(r->file);
    h5_unlock();
}

/* Root attributes; files by other programs have none of them. */
static entrain_status read_meta(reader *r, entrain_error *err) {
    uint64_t sum = 0;
    r->meta.best_miou = -1.0;
    (void)hdf5_get_int64(r->file, "format_version", &r->format);
    (void)hdf5_get_int64(r->file, "step", &r->meta.step);
    (void)hdf5_get_uint64(r->file, "seed", &r->meta.seed);
    (void)hdf5_get_double(r->file, "best_miou", &r->meta.best_miou);
    r->meta.config_json = r->config = hdf5_get_text(r->file, "config");
    r->meta.dataset_json = r->dataset = hdf5_get_text(r->file, "dataset");
    r->entrain_version = hdf5_get_text(r->file, "entrain_version");
    r->has_checksum = hdf5_get_uint64(r->file, "checksum", &sum);
    r->checksum = (uint32_t)sum;
    if (hdf5_failed()) return checkpoint_damaged(r->path, "the attributes", err);
    if (r->format > CHECKPOINT_FORMAT)
        return error_set(err, ENTRAIN_DATA,
                         "%s: the checkpoint has format version %lld, this program knows up to %d. Use the entrain that wrote it (%s).",
                         r->path, (long long)r->format, (int)CHECKPOINT_FORMAT,
                         r->entrain_version != NULL ? r->entrain_version : "unknown");
    return ENTRAIN_OK;
}

/* Holds the lock of HDF5 until reader_close; after a failure all is closed. */
static entrain_status reader_open(const char *path, reader *r, entrain_error *err) {
    h5_lock();
    *r = (reader){.path = path, .file = -1, .model = {.group = -1}, .momentum = {.group = -1}};
    entrain_status status = hdf5_open(path, &r->file, err);
    if (status == ENTRAIN_OK) status = read_meta(r, err);
    if (status == ENTRAIN_OK) status = stored_list_open(path, r->file, checkpoint_model, &r->model, err);
    if (status == ENTRAIN_OK) status = stored_list_open(path, r->file, checkpoint_momentum, &r->momentum, err);
    if (status == ENTRAIN_OK && r->model.count == 0)
        status = error_set(err, ENTRAIN_DATA, "%s: not a checkpoint: the file has no tensors under /model.", path);
    if (status != ENTRAIN_OK) reader_close(r);
    return status;
}

/* ---- values ---- */

/* Where a stored tensor goes: its offset in the device's memory, or NULL to skip it. */
typedef float *target_of(const params *p, const stored_list *list, const stored_tensor *t, const void *context);

static bool read_floats(hid_t group, const stored_tensor *t, float *buffer) {
    const hid_t set = H5Dopen2(group, t->name, H5P_DEFAULT);
    if (set < 0) return false;
    const bool done = H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) >= 0;
    (void)H5Dclose(set);
    return done;
}

static entrain_status load_list(const reader *r, const stored_list *list, const params *p, target_of *target, const void *context,
                                float *buffer, uint32_t *sum, entrain_error *err) {
    for (int i = 0; i < list->count; i++) {
        const stored_tensor *t = &list->tensors[i];
        float *to = target(p, list, t, context);
        if (to == NULL && !r->has_checksum) continue;
        char part[256];
        (void)snprintf(part, sizeof part, "%s/%.200s", list->folder, t->name);
        if (!t->numeric || t->count == 0)
            return error_set(err, ENTRAIN_DATA,
                             "%s: %s holds no numbers, so it cannot have the checksum that the file claims. Use another copy.", r->path,
                             part);
        if (!read_floats(list->group, t, buffer)) return checkpoint_damaged(r->path, part, err);
        if (r->has_checksum) *sum = checkpoint_sum_tensor(*sum, list->folder, t->name, t->methods, t->rank, t->dims, buffer, t->count);
        if (to != NULL) p->be->ops->upload(p->be, to, buffer, t->count * sizeof(float));
    }
    return ENTRAIN_OK;
}

static size_t largest(const stored_list *list, size_t most) {
    for (int i = 0; i < list->count; i++)
        if (list->tensors[i].count > most) most = list->tensors[i].count;
    return most;
}

/* Read all values once, checking and placing them. */
static entrain_status load(const reader *r, const params *p, target_of *target, const void *context, entrain_error *err) {
    float *buffer = memory_alloc(largest(&r->momentum, largest(&r->model, 1)) * sizeof(float));
    if (buffer == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for reading the checkpoint.", r->path);
    uint32_t sum = 0;
    if (r->has_checksum) sum = checkpoint_sum_meta(r->format, &r->meta, r->entrain_version);
    entrain_status status = load_list(r, &r->model, p, target, context, buffer, &sum, err);
    if (status == ENTRAIN_OK) status = load_list(r, &r->momentum, p, target, context, buffer, &sum, err);
    if (status == ENTRAIN_OK && r->has_checksum && sum != r->checksum)
        status = error_set(
            err, ENTRAIN_DATA,
            "%s: the checksum is wrong: the contents give %08x, the file says %08x. The file is damaged, or was changed after it was "
            "written; use another copy. If you changed it yourself, delete its attribute `checksum`: eval, predict and model.init then "
            "take it.",
            r->path, (unsigned)sum, (unsigned)r->checksum);
    memory_free(buffer);
    return status;
}

/* ---- checkpoint_read ---- */

static float *exact_target(const params *p, const stored_list *list, const stored_tensor *t, const void *with_momentum) {
    const int index = params_find(p, t->name);
    if (list->folder == checkpoint_model) return params_value(p, index);
    return *(const bool *)with_momentum ? params_momentum(p, index) : NULL;
}

static entrain_status check_complete(const reader *r, bool need_checksum, bool with_momentum, entrain_error *err) {
    const char *lacks = NULL;
    if (with_momentum && r->momentum.group < 0) lacks = "group /optimizer/momentum";
    if (need_checksum && r->config == NULL) lacks = "attribute `config`";
    if (need_checksum && !r->has_checksum) lacks = "attribute `checksum`";
    if (lacks == NULL) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: the checkpoint has no %s, so training cannot go on from it. A file of weights alone is taken by `model.init`.",
                     r->path, lacks);
}

entrain_status checkpoint_read(const char *path, params *p, bool need_checksum, bool with_momentum, checkpoint_meta *meta,
                               entrain_error *err) {
    entrain_error own;
    if (err == NULL) err = &own;
    reader r;
    entrain_status status = reader_open(path, &r, err);
    if (status != ENTRAIN_OK) return status;
    status = check_complete(&r, need_checksum, with_momentum, err);
    if (status == ENTRAIN_OK) status = stored_compare(path, &r.model, with_momentum ? &r.momentum : NULL, p, err);
    if (status == ENTRAIN_OK) status = load(&r, p, exact_target, &with_momentum, err);
    if (status == ENTRAIN_OK && meta != NULL) {
        *meta = r.meta;
        r.config = r.dataset = NULL; /* now the caller's */
    }
    reader_close(&r);
    return status;
}

static entrain_status read_text(const char *path, const char *name, char **text, entrain_error *err) {
    hid_t file = -1;
    *text = NULL;
    h5_lock();
    entrain_status status = hdf5_open(path, &file, err);
    if (status == ENTRAIN_OK) {
        *text = hdf5_get_text(file, name);
        if (*text == NULL && hdf5_failed()) status = checkpoint_damaged(path, "the attributes", err);
        (void)H5Fclose(file);
    }
    h5_unlock();
    return status;
}

entrain_status checkpoint_read_config(const char *path, char **json, entrain_error *err) {
    const entrain_status status = read_text(path, "config", json, err);
    if (status != ENTRAIN_OK || *json != NULL) return status;
    return error_set(err, ENTRAIN_DATA, "%s: the file has no attribute `config`; was it written by entrain?", path);
}

entrain_status checkpoint_read_dataset(const char *path, char **json, entrain_error *err) {
    return read_text(path, "dataset", json, err);
}

/* ---- checkpoint_read_init ---- */

/*
 * Whether the layer that this tensor belongs to has other methods in the file: then its per-method sets mean something else, even where
 * their shapes agree. Running statistics are bn's alone.
 */
static bool other_methods(const stored_list *list, const params *p, const param *t) {
    for (int i = 0; i < p->count && t->learned; i++) {
        const param *weight = &p->list[i];
        const size_t prefix = strlen(weight->name) - strlen("weight");
        if (weight->methods[0] == '\0' || strncmp(weight->name, t->name, prefix) != 0) continue;
        const stored_tensor *stored = stored_list_find(list, weight->name);
        if (stored != NULL && !stored_same_methods(stored, weight)) return true;
    }
    return false;
}

static float *fitting_target(const params *p, const stored_list *list, const stored_tensor *t, const void *context) {
    (void)context;
    const int index = list->folder == checkpoint_model ? params_find(p, t->name) : -1;
    if (index < 0 || !t->numeric || !stored_same_shape(t, &p->list[index]) || other_methods(list, p, &p->list[index])) return NULL;
    return params_value(p, index);
}

entrain_status checkpoint_read_init(const char *path, params *p, int *taken, int *left, entrain_error *err) {
    *taken = *left = 0;
    reader r;
    entrain_status status = reader_open(path, &r, err);
    if (status != ENTRAIN_OK) return status;
    for (int i = 0; i < r.model.count; i++)
        if (fitting_target(p, &r.model, &r.model.tensors[i], NULL) != NULL) (*taken)++;
    *left = p->count - *taken;
    if (*taken == 0)
        status =
            error_set(err, ENTRAIN_DATA,
                      "%s: no tensor under /model fits this network by name and shape. The file has %.200s, for example, the network %s.",
                      path, r.model.tensors[0].name, p->count > 0 ? p->list[0].name : "nothing");
    else
        status = load(&r, p, fitting_target, NULL, err);
    reader_close(&r);
    return status;
}
