#include "train/loaded.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/checkpoint.h"
#include "train/dataset.h"

static entrain_status read_dataset(loaded *l, entrain_error *err) {
    char *json = NULL;
    entrain_status status = checkpoint_read_dataset(l->path, &json, err);
    if (status == ENTRAIN_OK) status = dataset_from_json(json, l->path, &l->info, err);
    free(json);
    return status;
}

entrain_status loaded_open(loaded *l, const char *checkpoint, const config *c, dtype type, backend *be, entrain_error *err) {
    memset(l, 0, sizeof *l);
    checkpoint_meta meta = {0};
    entrain_status status = checkpoint_find(checkpoint, true, l->path, sizeof l->path, err);
    if (status == ENTRAIN_OK) status = read_dataset(l, err);
    if (status == ENTRAIN_OK) status = model_build(c, l->info.classes, &l->params, &l->graph, err);
    if (status == ENTRAIN_OK) status = params_allocate(&l->params, be, false, err);
    if (status == ENTRAIN_OK) status = checkpoint_read(l->path, &l->params, false, false, &meta, err);
    if (status == ENTRAIN_OK) {
        l->step = meta.step;
        free((void *)(size_t)meta.config_json);
        free((void *)(size_t)meta.dataset_json);
        status = evaluator_open(&l->graph, be, c, type, l->info.classes, &l->evaluator, err);
    }
    return status;
}

void loaded_close(loaded *l) {
    evaluator_close(l->evaluator);
    graph_free(&l->graph);
    params_free(&l->params);
}

entrain_status loaded_check_classes(const loaded *l, const shard_info *info, const char *folder, entrain_error *err) {
    if (info->classes == l->info.classes) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "data.val (%s): has %d classes, but the network of %s was trained for %d", folder, info->classes,
                     l->path, l->info.classes);
}

int loaded_other_name(const loaded *l, const shard_info *info) {
    for (int k = 0; k < l->info.classes; k++)
        if (strcmp(l->info.names[k], info->names[k]) != 0) return k;
    return -1;
}

void loaded_warn_names(const loaded *l, const shard_info *info, const char *folder) {
    const int k = loaded_other_name(l, info);
    if (k < 0) return;
    log_warn("data.val (%s): class %d is %s, but %s in the network of %s. Is it the data set that it was trained for?", folder, k,
             info->names[k], l->info.names[k], l->path);
}
