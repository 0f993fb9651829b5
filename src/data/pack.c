/*
 * The packers' table and what drives them: deal the shards out to the ranks, write every shard under a temporary name, and give all of them
 * their final names only when every rank has found every sample good. A fault anywhere leaves the folder as it was.
 */
#include "data/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "data/pack_internal.h"
#include "data/shard_internal.h"

static const packer *const packers[] = {&packer_camvid, &packer_synthetic};
enum { PACKERS = sizeof packers / sizeof packers[0], SAMPLES_PER_SHARD = 1000 };

const char *pack_name(int row) {
    return row >= 0 && row < PACKERS ? packers[row]->name : NULL;
}

const char *pack_help(int row) {
    return row >= 0 && row < PACKERS ? packers[row]->help : NULL;
}

/* One run of pack on one rank. */
typedef struct pack_job {
    const pack_options *o;
    comm *c;
    const packer *packer;
    void *state; /* the packer's */
    shard_info info;
    int shards;
    shard_writer **writers; /* (shards) of this rank's shards, sealed; NULL elsewhere */
    shard_sample sample;
    pack_faults faults;
    pack_progress progress;
    int64_t bytes; /* stored by this rank */
} pack_job;

static entrain_status find_packer(const char *name, const packer **out, entrain_error *err) {
    char list[256] = "";
    for (int i = 0; i < PACKERS; i++) {
        if (strcmp(name, packers[i]->name) == 0) {
            *out = packers[i];
            return ENTRAIN_OK;
        }
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", packers[i]->name);
    }
    return error_set(err, ENTRAIN_USAGE, "pack: '%s' is no data set known here. Known are: %s.", name, list);
}

static bool is_plain_name(const char *text) {
    return text[0] != '\0' && text[0] != '.' && strchr(text, '/') == NULL && strlen(text) < SHARD_NAME;
}

static entrain_status check_options(const pack_options *o, entrain_error *err) {
    if (o->dataset == NULL) return error_set(err, ENTRAIN_USAGE, "pack: no data set named.");
    if (o->split == NULL || !is_plain_name(o->split))
        return error_set(err, ENTRAIN_USAGE, "pack: --split must be a plain name such as train or val; got '%s'.",
                         o->split != NULL ? o->split : "");
    if (o->out == NULL || o->out[0] == '\0') return error_set(err, ENTRAIN_USAGE, "pack: --out is needed, the folder of the shards.");
    if (o->shards < 0 || o->shards > SHARD_MAX_SHARDS)
        return error_set(err, ENTRAIN_USAGE, "pack: --shards %d; expected 1 to %d.", o->shards, SHARD_MAX_SHARDS);
    return ENTRAIN_OK;
}

static entrain_status choose_shards(pack_job *j, entrain_error *err) {
    const int64_t samples = j->info.samples_total;
    if (j->o->shards > samples)
        return error_set(err, ENTRAIN_USAGE, "pack: --shards %d, but the split '%s' has only %lld samples.", j->o->shards, j->o->split,
                         (long long)samples);
    int64_t shards = (samples + SAMPLES_PER_SHARD - 1) / SAMPLES_PER_SHARD;
    if (shards < j->packer->least_shards) shards = j->packer->least_shards;
    if (shards > samples) shards = samples;
    if (shards > SHARD_MAX_SHARDS) shards = SHARD_MAX_SHARDS;
    j->shards = j->o->shards > 0 ? j->o->shards : (int)shards;
    j->writers = calloc((size_t)j->shards, sizeof *j->writers);
    return j->writers != NULL ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
}

static entrain_status prepare(pack_job *j, entrain_error *err) {
    const pack_options *o = j->o;
    entrain_status status = check_options(o, err);
    if (status == ENTRAIN_OK) status = find_packer(o->dataset, &j->packer, err);
    if (status == ENTRAIN_OK) status = j->packer->open(o, &j->info, &j->state, err);
    if (status != ENTRAIN_OK) return status;
    (void)snprintf(j->info.dataset, sizeof j->info.dataset, "%s", j->packer->name);
    (void)snprintf(j->info.split, sizeof j->info.split, "%s", o->split);
    (void)snprintf(j->info.task, sizeof j->info.task, "segmentation");
    status = choose_shards(j, err);
    return status == ENTRAIN_OK ? pack_check_folder(o->out, o->split, j->shards, err) : status;
}

/* Pack one shard up to the rename. A faulty sample is noted and its shard not written any further; the samples after it are still checked.
 */
static entrain_status pack_shard(pack_job *j, int shard, entrain_error *err) {
    int64_t begin, end;
    comm_share(j->info.samples_total, shard, j->shards, &begin, &end);
    entrain_status status = ENTRAIN_OK;
    if (j->faults.count == 0) status = shard_create(j->o->out, &j->info, shard, j->shards, end - begin, &j->writers[shard], err);
    for (int64_t i = begin; i < end && status == ENTRAIN_OK; i++) {
        entrain_error fault = {.status = ENTRAIN_OK};
        const entrain_status found = j->packer->sample(j->state, i, &j->sample, &fault);
        if (found == ENTRAIN_DATA)
            pack_faults_add(&j->faults, &fault);
        else if (found != ENTRAIN_OK)
            return error_set(err, found, "%s", fault.text);
        else if (j->faults.count == 0)
            status = shard_append(j->writers[shard], &j->sample, err);
        j->bytes += (int64_t)(j->sample.image_size + j->sample.label_size);
        pack_progress_step(&j->progress);
    }
    return status == ENTRAIN_OK && j->faults.count == 0 ? shard_seal(j->writers[shard], err) : status;
}

/* This rank's shards: every size-th. */
static entrain_status pack_shards(pack_job *j, entrain_error *err) {
    int64_t samples = 0, begin, end;
    for (int shard = j->c->rank; shard < j->shards; shard += j->c->size) {
        comm_share(j->info.samples_total, shard, j->shards, &begin, &end);
        samples += end - begin;
    }
    pack_progress_begin(&j->progress, "packing", samples);
    for (int shard = j->c->rank; shard < j->shards; shard += j->c->size) {
        const entrain_status status = pack_shard(j, shard, err);
        if (status != ENTRAIN_OK) return status;
    }
    char title[256];
    (void)snprintf(title, sizeof title, "pack %s %s: nothing was written", j->packer->name, j->o->split);
    return pack_faults_report(&j->faults, title, err);
}

/* Give this rank's shards their final names. */
static entrain_status publish(pack_job *j, entrain_error *err) {
    for (int shard = j->c->rank; shard < j->shards; shard += j->c->size) {
        shard_writer *w = j->writers[shard];
        j->writers[shard] = NULL;
        const entrain_status status = shard_finish(w, err);
        if (status != ENTRAIN_OK) return status;
    }
    return ENTRAIN_OK;
}

static void clean_up(pack_job *j) {
    for (int shard = 0; j->writers != NULL && shard < j->shards; shard++) shard_abandon(j->writers[shard]);
    free(j->writers);
    shard_sample_free(&j->sample);
    if (j->packer != NULL) j->packer->close(j->state);
    free(j);
}

entrain_status pack_run(const pack_options *o, comm *c, entrain_error *err) {
    const double begun = log_seconds();
    entrain_error unwanted = {.status = ENTRAIN_OK};
    if (err == NULL) err = &unwanted;
    pack_job *j = calloc(1, sizeof *j);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
    j->o = o;
    j->c = c;
    const bool new_folder = o->out != NULL && access(o->out, F_OK) != 0;
    entrain_status status = pack_agree(c, prepare(j, err), err); /* no rank makes the folder before all have looked */
    if (status == ENTRAIN_OK) status = pack_agree(c, pack_shards(j, err), err);
    if (status == ENTRAIN_OK) status = pack_agree(c, publish(j, err), err);
    int64_t bytes = j->bytes;
    if (status == ENTRAIN_OK && comm_allreduce(c, &bytes, 1, COMM_I64, NULL) != ENTRAIN_OK) {
        *err = c->error;
        status = c->error.status;
    }
    if (status == ENTRAIN_OK)
        log_info("packed %s %s: %lld samples in %d shards, %.1f MiB, %.1f s -> %s", j->packer->name, o->split,
                 (long long)j->info.samples_total, j->shards, (double)bytes / 1048576.0, log_seconds() - begun, o->out);
    clean_up(j);
    if (status != ENTRAIN_OK) {
        (void)comm_barrier(c); /* whoever ends the job now ends no rank that is still tidying up */
        if (new_folder) (void)rmdir(o->out);
    }
    return status;
}
