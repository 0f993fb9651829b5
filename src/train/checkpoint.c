/* Writing checkpoints. Tensors are written one by one through one staging buffer, in the order in which the checksum takes them. */
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "base/memory.h"
#include "train/checkpoint_internal.h"

static uint32_t sum_bytes(uint32_t sum, const void *bytes, size_t size) {
    return (uint32_t)crc32_z(sum, bytes, size);
}

static uint32_t sum_text(uint32_t sum, const char *text) {
    return text != NULL ? sum_bytes(sum, text, strlen(text) + 1) : sum_bytes(sum, "", 1);
}

uint32_t checkpoint_sum_meta(int64_t format, const checkpoint_meta *meta, const char *entrain_version) {
    uint32_t sum = sum_bytes(0, &format, sizeof format);
    sum = sum_bytes(sum, &meta->step, sizeof meta->step);
    sum = sum_bytes(sum, &meta->seed, sizeof meta->seed);
    sum = sum_bytes(sum, &meta->best_miou, sizeof meta->best_miou);
    sum = sum_text(sum, entrain_version);
    sum = sum_text(sum, meta->config_json);
    return sum_text(sum, meta->dataset_json);
}

uint32_t checkpoint_sum_tensor(uint32_t sum, const char *folder, const char *name, const char *methods, int rank, const hsize_t dims[],
                               const float *values, size_t count) {
    sum = sum_bytes(sum, folder, strlen(folder));
    sum = sum_bytes(sum, "/", 1);
    sum = sum_text(sum, name);
    sum = sum_text(sum, methods);
    const uint64_t dimensions = (uint64_t)rank;
    sum = sum_bytes(sum, &dimensions, sizeof dimensions);
    for (int i = 0; i < rank; i++) {
        const uint64_t length = dims[i];
        sum = sum_bytes(sum, &length, sizeof length);
    }
    return sum_bytes(sum, values, count * sizeof(float));
}

static int by_name(const void *a, const void *b) {
    const param *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The store's tensors, names ascending; the caller frees the list. */
static const param **sorted(const params *p) {
    const param **list = malloc((size_t)(p->count > 0 ? p->count : 1) * sizeof *list);
    if (list == NULL) return NULL;
    for (int i = 0; i < p->count; i++) list[i] = &p->list[i];
    qsort(list, (size_t)p->count, sizeof *list, by_name);
    return list;
}

static float *staging(const params *p) {
    size_t most = 1;
    for (int i = 0; i < p->count; i++)
        if (p->list[i].count > most) most = p->list[i].count;
    return memory_alloc(most * sizeof(float));
}

/* One tensor from the device to the file. */
static bool write_tensor(const params *p, const param *t, const float *device, hid_t group, const char *folder, float *buffer,
                         uint32_t *sum) {
    const char *methods = folder == checkpoint_model && t->methods[0] != '\0' ? t->methods : NULL;
    hsize_t dims[PARAM_MAX_DIMS];
    stored_dims(t, dims);
    p->be->ops->download(p->be, buffer, device, t->count * sizeof(float));
    *sum = checkpoint_sum_tensor(*sum, folder, t->name, methods, t->rank, dims, buffer, t->count);
    const hid_t set = hdf5_dataset_floats(group, t->name, t->rank, dims, buffer);
    if (set < 0) return false;
    const bool done = methods == NULL || hdf5_put_text(set, "methods", methods);
    return H5Dclose(set) >= 0 && done;
}

static bool write_model(const params *p, const param *const *list, hid_t file, float *buffer, uint32_t *sum) {
    const hid_t group = hdf5_group(file, checkpoint_model);
    bool done = group >= 0;
    for (int i = 0; i < p->count && done; i++)
        done = write_tensor(p, list[i], params_value(p, (int)(list[i] - p->list)), group, checkpoint_model, buffer, sum);
    return (group < 0 || H5Gclose(group) >= 0) && done;
}

static bool write_momentum(const params *p, const param *const *list, hid_t file, float *buffer, uint32_t *sum) {
    const hid_t above = hdf5_group(file, "/optimizer");
    const hid_t group = above >= 0 ? hdf5_group(file, checkpoint_momentum) : -1;
    bool done = group >= 0;
    for (int i = 0; i < p->count && done; i++)
        if (list[i]->learned)
            done = write_tensor(p, list[i], params_momentum(p, (int)(list[i] - p->list)), group, checkpoint_momentum, buffer, sum);
    if (group >= 0 && H5Gclose(group) < 0) done = false;
    return (above < 0 || H5Gclose(above) >= 0) && done;
}

static bool write_meta(const checkpoint_meta *meta, hid_t file, uint32_t sum) {
    return hdf5_put_int64(file, "format_version", CHECKPOINT_FORMAT) && hdf5_put_text(file, "entrain_version", ENTRAIN_VERSION) &&
           hdf5_put_int64(file, "step", meta->step) && hdf5_put_uint64(file, "seed", meta->seed) &&
           hdf5_put_double(file, "best_miou", meta->best_miou) && hdf5_put_text(file, "config", meta->config_json) &&
           (meta->dataset_json == NULL || hdf5_put_text(file, "dataset", meta->dataset_json)) && hdf5_put_uint32(file, "checksum", sum);
}

static entrain_status write_file(const char *path, const params *p, const param *const *list, const checkpoint_meta *meta, float *buffer,
                                 entrain_error *err) {
    hdf5_file *f = NULL;
    const entrain_status status = hdf5_create(path, &f, err);
    if (status != ENTRAIN_OK) return status;
    uint32_t sum = checkpoint_sum_meta(CHECKPOINT_FORMAT, meta, ENTRAIN_VERSION);
    const bool done = write_model(p, list, f->id, buffer, &sum) && (p->momentum == NULL || write_momentum(p, list, f->id, buffer, &sum)) &&
                      write_meta(meta, f->id, sum);
    return done ? hdf5_commit(f, err) : hdf5_fail(f, err);
}

entrain_status checkpoint_write(const char *path, const params *p, const checkpoint_meta *meta, entrain_error *err) {
    const param **list = sorted(p);
    float *buffer = staging(p);
    entrain_status status = ENTRAIN_DEVICE;
    if (list == NULL || buffer == NULL) {
        (void)error_set(err, status, "%s: out of memory for writing the checkpoint.", path);
    } else {
        h5_lock();
        status = write_file(path, p, list, meta, buffer, err);
        h5_unlock();
    }
    free(list);
    memory_free(buffer);
    return status;
}
