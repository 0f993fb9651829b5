/* Evaluation of a checkpoint on the validation set. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "train/confusion.h"
#include "train/loaded.h"
#include "train/precision.h"
#include "train/run.h"

static entrain_status open_all(entrain_job *job, const config *c, const char *checkpoint, loaded *l, shard_set **val, entrain_error *err) {
    const dtype type = precision_choose(c, job->be, job->c);
    entrain_status status = c->data.val[0] != '\0'
                                ? shard_open(c->data.val, val, err)
                                : error_set(err, ENTRAIN_CONFIG, "data.val: not set; expected a folder of shards to evaluate on");
    if (status == ENTRAIN_OK) status = shard_require_task(*val, SHARD_SEGMENTATION, "data.val", err);
    if (status == ENTRAIN_OK) status = loaded_open(l, checkpoint, c, type, job->be, err);
    if (status == ENTRAIN_OK) status = loaded_check_classes(l, shard_get_info(*val), c->data.val, err);
    if (status == ENTRAIN_OK) loaded_warn_names(l, shard_get_info(*val), c->data.val);
    return job_agree(job, status, err);
}

static entrain_status write_json(const char *path, const metrics *figures, const metrics_setting *setting, const shard_info *info,
                                 entrain_error *err) {
    cJSON *json = metrics_to_json(figures, setting, info);
    char *text = json == NULL ? NULL : cJSON_Print(json);
    cJSON_Delete(json);
    if (text == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for %s", path);
    const entrain_status status = file_write(path, text, strlen(text), err);
    cJSON_free(text);
    return status;
}

/* Whether a file can be written there, asked before the work is done. */
static entrain_status check_target(const char *option, const char *path, entrain_error *err) {
    char folder[4096];
    struct stat at;
    if (path == NULL) return ENTRAIN_OK;
    const char *slash = strrchr(path, '/');
    const int length = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
    if (snprintf(folder, sizeof folder, "%.*s", length > 0 ? length : 1, length > 0 ? path : ".") >= (int)sizeof folder)
        return error_set(err, ENTRAIN_USAGE, "%s %.200s…: the path is too long", option, path);
    if (stat(path, &at) == 0 && S_ISDIR(at.st_mode))
        return error_set(err, ENTRAIN_DATA, "%s %s: this is a folder; expected the name of a file to write", option, path);
    if (access(folder, F_OK) != 0)
        return error_set(err, ENTRAIN_DATA, "%s %s: the folder %s cannot be reached: %s. Make it first, or name another one.", option, path,
                         folder, strerror(errno));
    if (access(folder, W_OK | X_OK) == 0 && stat(folder, &at) == 0 && S_ISDIR(at.st_mode)) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s %s: nothing can be written into %s. Name another folder.", option, path, folder);
}

static entrain_status check_targets(const entrain_eval_options *o, entrain_error *err) {
    entrain_status status = check_target("--json", o->json, err);
    if (status == ENTRAIN_OK) status = check_target("--confusion", o->confusion, err);
    return status == ENTRAIN_OK ? check_target("--picture", o->picture, err) : status;
}

/* What options ask for besides the table: all that can be written, and the first failure. Rank 0's business. */
static entrain_status write_files(const entrain_eval_options *o, const run_evaluation *v, const metrics_setting *setting,
                                  const shard_info *info, entrain_error *err) {
    entrain_status status[3] = {ENTRAIN_OK, ENTRAIN_OK, ENTRAIN_OK};
    entrain_error other = {ENTRAIN_OK, ""};
    if (o->json != NULL) status[0] = write_json(o->json, &v->figures, setting, info, err);
    entrain_error *next = status[0] == ENTRAIN_OK ? err : &other;
    if (o->confusion != NULL) status[1] = confusion_write(o->confusion, v->matrix, &v->figures, setting, info, next);
    if (status[1] != ENTRAIN_OK) next = &other;
    if (o->picture != NULL) status[2] = confusion_picture(o->picture, v->matrix, info, next);
    return status[0] != ENTRAIN_OK ? status[0] : status[1] != ENTRAIN_OK ? status[1] : status[2];
}

static entrain_status evaluate(entrain_job *job, const config *c, loaded *l, shard_set *val, run_evaluation *v, entrain_error *err) {
    const double since = log_seconds();
    job->agreed = false;
    log_info("evaluating %s (%lld iterations) on %lld images of %s, %d ranks", l->path, (long long)l->step, (long long)shard_count(val),
             c->data.val, job->c->size);
    evaluator_describe(l->evaluator, val);
    const entrain_status status = run_evaluate(job, l->evaluator, val, true, v, err);
    const double seconds = log_seconds() - since;
    if (status == ENTRAIN_OK) log_info("%.1f s, %.2f img/s", seconds, (double)shard_count(val) / seconds);
    return status;
}

entrain_status entrain_evaluate(entrain_job *job, const entrain_config *settings, const entrain_eval_options *options, entrain_error *err) {
    const config *c = &settings->c;
    loaded l = {0};
    shard_set *val = NULL;
    run_evaluation v = {0};
    entrain_status status = job_agree(job, job->c->rank == 0 ? check_targets(options, err) : ENTRAIN_OK, err);
    if (status == ENTRAIN_OK) status = open_all(job, c, options->checkpoint, &l, &val, err);
    if (status == ENTRAIN_OK) status = evaluate(job, c, &l, val, &v, err);
    if (status == ENTRAIN_OK) {
        const metrics_setting setting = run_setting(c, l.step, shard_count(val));
        if (job->c->rank == 0) status = write_files(options, &v, &setting, shard_get_info(val), err);
        status = job_agree(job, status, err);
    }
    run_evaluation_free(&v);
    if (val != NULL) shard_close(val);
    loaded_close(&l);
    return status;
}
