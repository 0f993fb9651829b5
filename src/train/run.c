#include "train/run.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "train/checkpoint.h"

/* run/name; false when too long. */
static bool join(const trainer *t, const char *name, char path[RUN_PATH]) {
    return snprintf(path, RUN_PATH, "%s/%s", t->run, name) < RUN_PATH;
}

static bool exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

/* Compare the checkpoint's configuration with this run's, key by key, and say what differs. */
static void warn_of_changes(const cJSON *old, const cJSON *new, const char *prefix) {
    for (const cJSON *item = new == NULL ? NULL : new->child; item != NULL; item = item->next) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", item->string);
        const cJSON *before = cJSON_GetObjectItemCaseSensitive(old, item->string);
        if (cJSON_IsObject(item)) {
            warn_of_changes(before, item, path);
        } else if (!cJSON_Compare(before, item, 1)) {
            char *a = cJSON_PrintUnformatted(before), *b = cJSON_PrintUnformatted(item);
            log_warn("%s was %s when the checkpoint was written and is %s now: the run goes on, but not as it would have", path,
                     a == NULL ? "absent" : a, b == NULL ? "?" : b);
            cJSON_free(a);
            cJSON_free(b);
        }
    }
}

static void compare_configs(const trainer *t, const char *old_json) {
    cJSON *old = cJSON_Parse(old_json), *new = cJSON_Parse(t->config_json);
    if (t->job->c->rank == 0 && old != NULL && new != NULL) warn_of_changes(old, new, "");
    cJSON_Delete(old);
    cJSON_Delete(new);
}

static entrain_status load(trainer *t, const char *path, entrain_error *err) {
    checkpoint_meta meta = {0};
    const entrain_status status = checkpoint_read(path, &t->params, true, true, &meta, err);
    if (status != ENTRAIN_OK)
        return error_add(err, status,
                         "It is the run's newest checkpoint; where it is damaged, move it away, and --resume goes on from the one before.");
    compare_configs(t, meta.config_json);
    free((void *)(size_t)meta.config_json);
    free((void *)(size_t)meta.dataset_json);
    t->step = meta.step;
    t->best_miou = meta.best_miou;
    log_info("resuming from %s: %lld iterations are done", path, (long long)meta.step);
    return ENTRAIN_OK;
}

static entrain_status make_folder(const trainer *t, entrain_error *err) {
    char path[RUN_PATH];
    if (!join(t, "checkpoints", path)) return error_set(err, ENTRAIN_USAGE, "--out %s: the path is too long", t->run);
    entrain_status status = file_make_folder(path, err);
    (void)join(t, "log.txt", path);
    return status == ENTRAIN_OK ? log_open(path, err) : status;
}

/* config.json of this run, and metrics.jsonl without what lies beyond t->step. */
static entrain_status begin_files(const trainer *t, entrain_error *err) {
    char path[RUN_PATH];
    (void)join(t, "config.json", path);
    const entrain_status status = file_write(path, t->config_json, strlen(t->config_json), err);
    (void)join(t, "metrics.jsonl", path);
    return status == ENTRAIN_OK ? jsonl_truncate_after(path, t->step, err) : status;
}

entrain_status run_open(trainer *t, const entrain_train_options *options, entrain_error *err) {
    char old_config[RUN_PATH], checkpoints[RUN_PATH], path[RUN_PATH] = "";
    (void)snprintf(t->run, sizeof t->run, "%s", options->out);
    if (strlen(options->out) + 64 >= RUN_PATH || !join(t, "config.json", old_config) || !join(t, "checkpoints", checkpoints))
        return error_set(err, ENTRAIN_USAGE, "--out %s: the path is too long", options->out);
    /* Every rank looks before rank 0 writes. */
    const bool used = exists(old_config) || exists(checkpoints);
    if (comm_any(t->job->c, used && !options->resume))
        return error_set(err, ENTRAIN_USAGE, "%s: holds a run already. Go on with it by --resume, or choose another folder by --out.",
                         options->out);
    entrain_error nothing = {ENTRAIN_OK, ""};
    const bool found = options->resume && checkpoint_find(t->run, false, path, sizeof path, &nothing) == ENTRAIN_OK;
    entrain_status status = job_agree(t->job, t->job->c->rank == 0 ? make_folder(t, err) : ENTRAIN_OK, err);
    if (status != ENTRAIN_OK) return status;
    if (found)
        status = load(t, path, err);
    else if (options->resume)
        log_info("%s: no checkpoint to resume from; starting at iteration 0", t->run);
    status = job_agree(t->job, status, err); /* a run that cannot go on leaves the older one's files as they were */
    return status == ENTRAIN_OK && t->job->c->rank == 0 ? begin_files(t, err) : status;
}

entrain_status run_open_metrics(const trainer *t, jsonl **out, entrain_error *err) {
    char path[RUN_PATH];
    (void)join(t, "metrics.jsonl", path);
    return jsonl_open(path, out, err);
}

static checkpoint_meta meta_of(const trainer *t) {
    return (checkpoint_meta){.step = t->step,
                             .seed = t->c->train.seed,
                             .config_json = t->config_json,
                             .dataset_json = t->dataset_json,
                             .best_miou = t->best_miou};
}

entrain_status run_save(const trainer *t, entrain_error *err) {
    char path[RUN_PATH];
    const checkpoint_meta meta = meta_of(t);
    checkpoint_path(t->run, t->step, path, sizeof path);
    entrain_status status = checkpoint_write(path, &t->params, &meta, err);
    if (status == ENTRAIN_OK) status = checkpoint_set_latest(t->run, t->step, err);
    if (status == ENTRAIN_OK) status = checkpoint_prune(t->run, t->c->train.keep, err);
    return status;
}

entrain_status run_save_best(const trainer *t, entrain_error *err) {
    char path[RUN_PATH];
    const checkpoint_meta meta = meta_of(t);
    (void)join(t, "checkpoints/best.h5", path);
    return checkpoint_write(path, &t->params, &meta, err);
}

metrics_setting run_setting(const config *c, int64_t step, int64_t images) {
    metrics_setting s = {.step = step,
                         .scales = c->eval.scales.values,
                         .scale_count = c->eval.scales.count,
                         .flip = c->eval.flip,
                         .images = images,
                         .mode = config_name("eval.mode", (int)c->eval.mode),
                         .short_sides = c->eval.short_sides.values,
                         .short_side_count = c->eval.short_sides.count,
                         .max_side = c->eval.max_side};
    (void)config_windows(c, s.crop, s.stride);
    return s;
}

entrain_status run_evaluate(entrain_job *job, evaluator *e, shard_set *shards, bool progress, run_evaluation *out, entrain_error *err) {
    const shard_info *info = shard_get_info(shards);
    const size_t classes = (size_t)info->classes;
    out->matrix = calloc(classes * classes, sizeof *out->matrix);
    if (out->matrix == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the confusion matrix");
    bool failed = false;
    entrain_status status = evaluator_confusion(e, shards, job->c, progress, out->matrix, &failed, err);
    if (failed) return job_agree(job, status, err); /* all ranks are here */
    if (status != ENTRAIN_OK) return status;
    metrics_compute(out->matrix, info->classes, &out->figures);
    if (job->c->rank == 0) metrics_print_table(&out->figures, info);
    return ENTRAIN_OK;
}

void run_evaluation_free(run_evaluation *v) {
    free(v->matrix);
    v->matrix = NULL;
}
