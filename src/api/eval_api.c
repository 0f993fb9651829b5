/* Evaluation of a checkpoint on the validation set. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "train/loaded.h"
#include "train/precision.h"
#include "train/run.h"

static entrain_status open_all(entrain_job *job, const config *c, const char *checkpoint, loaded *l, shard_set **val, entrain_error *err) {
    const dtype type = precision_choose(c, job->be, job->c);
    entrain_status status = c->data.val[0] != '\0'
                                ? shard_open(c->data.val, val, err)
                                : error_set(err, ENTRAIN_CONFIG, "data.val: not set; expected a folder of shards to evaluate on");
    if (status == ENTRAIN_OK) status = loaded_open(l, checkpoint, c, type, job->be, err);
    if (status == ENTRAIN_OK && l->info.classes != shard_get_info(*val)->classes)
        status = error_set(err, ENTRAIN_DATA, "data.val (%s): has %d classes, but the network of %s was trained for %d", c->data.val,
                           shard_get_info(*val)->classes, l->path, l->info.classes);
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

entrain_status entrain_evaluate(entrain_job *job, const entrain_config *settings, const entrain_eval_options *options, entrain_error *err) {
    const config *c = &settings->c;
    loaded l = {0};
    shard_set *val = NULL;
    run_evaluation v = {0};
    const double since = log_seconds();
    entrain_status status = open_all(job, c, options->checkpoint, &l, &val, err);
    if (status == ENTRAIN_OK) {
        job->agreed = false;
        log_info("evaluating %s (%lld iterations) on %lld images of %s, %d ranks", l.path, (long long)l.step, (long long)shard_count(val),
                 c->data.val, job->c->size);
        status = run_evaluate(job, l.evaluator, val, &v, err);
    }
    if (status == ENTRAIN_OK) {
        log_info("%.1f s", log_seconds() - since);
        const metrics_setting setting = run_setting(c, l.step, shard_count(val));
        if (job->c->rank == 0 && options->json != NULL) status = write_json(options->json, &v.figures, &setting, shard_get_info(val), err);
        status = job_agree(job, status, err);
    }
    run_evaluation_free(&v);
    if (val != NULL) shard_close(val);
    loaded_close(&l);
    return status;
}
