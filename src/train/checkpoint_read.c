/*
 * Reading checkpoints: first the headers of all tensors, so that everything that does not fit is reported in one go; then the values, one
 * tensor at a time through one staging buffer, checked against the checksum where the file has one.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
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
    if (r->format > CHECKPOINT_FORMAT)
        return error_set(err, ENTRAIN_DATA,
                         "%s: the checkpoint has format version %lld, this program knows up to %d. Use the entrain that wrote it (%s).",
                         r->path, (long long)r->format, (int)CHECKPOINT_FORMAT,
                         r->entrain_version != NULL ? r->entrain_version : "unknown");
    return ENTRAIN_OK;
}

static entrain_status reader_open(const char *path, reader *r, entrain_error *err) {
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

/* ---- does the file fit? ---- */

/* Lines of what does not fit; those beyond the error's room are only counted. */
typedef struct complaints {
    entrain_error *err;
    int count, unsaid;
} complaints;

__attribute__((format(printf, 2, 3))) static void complain(complaints *c, const char *format, ...) {
    char line[384];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    c->count++;
    if (strlen(c->err->text) + strlen(line) + 64 < sizeof c->err->text)
        (void)error_add(c->err, ENTRAIN_DATA, "  %s", line);
    else
        c->unsaid++;
}

static bool same_shape(const stored_tensor *t, const param *p) {
    bool same = t->rank == p->rank;
    for (int i = 0; i < p->rank && same; i++) same = t->dims[i] == (hsize_t)p->dims[i];
    return same;
}

/* A file that does not say its methods is taken at its shape. */
static bool same_methods(const stored_tensor *t, const param *p) {
    return p->methods[0] == '\0' || t->methods == NULL || strcmp(t->methods, p->methods) == 0;
}

static void compare_tensor(const stored_list *list, const param *p, complaints *c) {
    char found[64], expected[64];
    hsize_t dims[PARAM_MAX_DIMS];
    stored_dims(p, dims);
    (void)stored_shape(p->rank, dims, expected);
    const stored_tensor *t = stored_list_find(list, p->name);
    if (t == NULL)
        complain(c, "%s/%s is missing, expected %s", list->folder, p->name, expected);
    else if (!t->numeric)
        complain(c, "%s/%s does not hold numbers, expected float32 %s", list->folder, p->name, expected);
    else if (!same_shape(t, p))
        complain(c, "%s/%s is %s, expected %s", list->folder, p->name, stored_shape(t->rank, t->dims, found), expected);
    else if (list->folder == checkpoint_model && !same_methods(t, p))
        complain(c, "%s/%s has norm methods \"%.40s\", expected \"%s\"", list->folder, p->name, t->methods, p->methods);
}

static void compare_list(const stored_list *list, const params *p, bool learned_only, complaints *c) {
    for (int i = 0; i < p->count; i++)
        if (!learned_only || p->list[i].learned) compare_tensor(list, &p->list[i], c);
    for (int i = 0; i < list->count; i++) {
        const int index = params_find(p, list->tensors[i].name);
        if (index < 0 || (learned_only && !p->list[index].learned))
            complain(c, "%s/%.200s is not part of this network", list->folder, list->tensors[i].name);
    }
}

static entrain_status compare(const reader *r, const params *p, bool with_momentum, entrain_error *err) {
    complaints c = {.err = err};
    (void)error_set(err, ENTRAIN_DATA,
                    "%s: the checkpoint does not fit this network (are `model` and `norm` of its own configuration in use?):", r->path);
    compare_list(&r->model, p, false, &c);
    if (with_momentum) compare_list(&r->momentum, p, true, &c);
    if (c.unsaid > 0) (void)error_add(err, ENTRAIN_DATA, "  and %d more", c.unsaid);
    if (c.count > 0) return ENTRAIN_DATA;
    *err = (entrain_error){.status = ENTRAIN_OK};
    return ENTRAIN_OK;
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
        if (!t->numeric || !read_floats(list->group, t, buffer)) {
            char reason[320] = "it does not hold numbers";
            if (t->numeric) hdf5_reason(reason, sizeof reason);
            return error_set(err, ENTRAIN_DATA, "%s: cannot read %s/%s (%s). The file is damaged; use another copy.", r->path, list->folder,
                             t->name, reason);
        }
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
            "written; use another copy (or, if you changed it yourself, delete its attribute `checksum`).",
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
    if (need_checksum && !r->has_checksum) lacks = "attribute `checksum`";
    if (need_checksum && r->config == NULL) lacks = "attribute `config`";
    if (with_momentum && r->momentum.group < 0) lacks = "group /optimizer/momentum";
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
    if (status == ENTRAIN_OK) status = compare(&r, p, with_momentum, err);
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
    const entrain_status status = hdf5_open(path, &file, err);
    if (status != ENTRAIN_OK) return status;
    *text = hdf5_get_text(file, name);
    (void)H5Fclose(file);
    return ENTRAIN_OK;
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
        if (stored != NULL && !same_methods(stored, weight)) return true;
    }
    return false;
}

static float *fitting_target(const params *p, const stored_list *list, const stored_tensor *t, const void *context) {
    (void)context;
    const int index = list->folder == checkpoint_model ? params_find(p, t->name) : -1;
    if (index < 0 || !t->numeric || !same_shape(t, &p->list[index]) || other_methods(list, p, &p->list[index])) return NULL;
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
