/* The index of a checkpoint: which tensors a file holds, read from the headers alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hdf5_file.h"
#include "train/checkpoint_internal.h"

const char checkpoint_model[] = "/model";
const char checkpoint_momentum[] = "/optimizer/momentum";

/* More elements than any tensor of a network has: what a damaged header may claim. */
static const size_t most_elements = (size_t)1 << 33;

static int by_name(const void *a, const void *b) {
    return strcmp(((const stored_tensor *)a)->name, ((const stored_tensor *)b)->name);
}

/* Fill t from the header of an open dataset. */
static bool describe(hid_t set, stored_tensor *t) {
    const hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    t->rank = space >= 0 ? H5Sget_simple_extent_dims(space, t->dims, NULL) : -1;
    const H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    t->numeric = class == H5T_FLOAT || class == H5T_INTEGER;
    if (type >= 0) (void)H5Tclose(type);
    if (space >= 0) (void)H5Sclose(space);
    if (t->rank < 0) return false;
    t->count = 1;
    for (int i = 0; i < t->rank; i++)
        t->count = t->dims[i] > 0 && t->count <= most_elements / t->dims[i] ? t->count * (size_t)t->dims[i] : 0;
    t->methods = hdf5_get_text(set, "methods");
    return true;
}

static stored_tensor *append(stored_list *list, const char *name) {
    if (list->count == list->capacity) {
        const int capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        stored_tensor *more = realloc(list->tensors, (size_t)capacity * sizeof *more);
        if (more == NULL) return NULL;
        list->tensors = more;
        list->capacity = capacity;
    }
    stored_tensor *t = &list->tensors[list->count];
    memset(t, 0, sizeof *t);
    t->name = strdup(name);
    if (t->name == NULL) return NULL;
    list->count++;
    return t;
}

/* Called for each link; groups and the like below are let pass. */
static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    (void)info;
    const hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) return -1;
    bool done = true;
    if (H5Iget_type(object) == H5I_DATASET) {
        stored_tensor *t = append(context, name);
        done = t != NULL && describe(object, t);
    }
    (void)H5Oclose(object);
    return done ? 0 : -1; /* which libhdf5 counts as a failure of its own */
}

/* Whether the path leads to something: asked step by step, for H5Lexists fails where a part of the way is missing. */
static bool exists(hid_t file, const char *folder) {
    char way[64];
    for (size_t i = 1;; i++) {
        if (folder[i] != '/' && folder[i] != '\0') continue;
        (void)snprintf(way, sizeof way, "%.*s", (int)i, folder);
        if (H5Lexists(file, way, H5P_DEFAULT) <= 0) return false;
        if (folder[i] == '\0') return true;
    }
}

entrain_status checkpoint_damaged(const char *path, const char *part, entrain_error *err) {
    char reason[320];
    hdf5_reason(reason, sizeof reason);
    return error_set(err, ENTRAIN_DATA, "%s: cannot read %s (%s). The file is damaged; use another copy.", path, part, reason);
}

entrain_status stored_list_open(const char *path, hid_t file, const char *folder, stored_list *list, entrain_error *err) {
    list->folder = folder;
    list->group = exists(file, folder) ? H5Gopen2(file, folder, H5P_DEFAULT) : -1;
    if (list->group >= 0) (void)H5Literate(list->group, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, list);
    if (hdf5_failed()) return checkpoint_damaged(path, folder, err);
    if (list->count > 0) qsort(list->tensors, (size_t)list->count, sizeof *list->tensors, by_name);
    return ENTRAIN_OK;
}

void stored_list_close(stored_list *list) {
    for (int i = 0; i < list->count; i++) {
        free(list->tensors[i].name);
        free(list->tensors[i].methods);
    }
    free(list->tensors);
    if (list->folder != NULL && list->group >= 0) (void)H5Gclose(list->group);
    memset(list, 0, sizeof *list);
}

const stored_tensor *stored_list_find(const stored_list *list, const char *name) {
    int low = 0, high = list->count;
    while (low < high) {
        const int middle = (low + high) / 2;
        const int order = strcmp(list->tensors[middle].name, name);
        if (order == 0) return &list->tensors[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *stored_shape(int rank, const hsize_t dims[], char text[64]) {
    size_t used = (size_t)snprintf(text, 64, "(");
    for (int i = 0; i < rank && used < 40; i++)
        used += (size_t)snprintf(text + used, 64 - used, "%s%llu", i > 0 ? "," : "", (unsigned long long)dims[i]);
    (void)snprintf(text + used, 64 - used, ")");
    return text;
}

void stored_dims(const param *p, hsize_t dims[PARAM_MAX_DIMS]) {
    for (int i = 0; i < PARAM_MAX_DIMS; i++) dims[i] = i < p->rank ? (hsize_t)p->dims[i] : 0;
}
