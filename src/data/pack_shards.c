/* This rank's shards: samples are made by threads and stored in order by the caller's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "data/pack_job.h"
#include "data/pipeline.h"
#include "data/shard_internal.h"

/* A shard of this rank that is not there yet. */
typedef struct missing_shard {
    int shard;
    int64_t begin, end; /* samples of the split */
    int64_t first;      /* how many of this rank's samples come before it */
} missing_shard;

typedef struct packing {
    pack_job *j;
    missing_shard *missing;
    int missing_count, current; /* the shard being written */
    int64_t samples;            /* of this rank */
    shard_writer *writer;       /* of the current shard; NULL between shards, and from the first fault on */
    pack_faults faults;
    pack_progress progress;
} packing;

/* ---- which shards ---- */

static void share_of(const pack_job *j, int shard, int64_t *begin, int64_t *end) {
    comm_share(j->info->samples_total, shard, j->staging.shards, begin, end);
}

/* The shards that are not there yet: this rank's into the list, the samples of all into *all. */
static entrain_status list_missing(packing *p, int64_t *all, entrain_error *err) {
    const pack_job *j = p->j;
    *all = 0;
    p->missing = calloc((size_t)j->staging.shards, sizeof *p->missing);
    if (p->missing == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
    int there = 0;
    for (int shard = 0; shard < j->staging.shards; shard++) {
        int64_t begin, end;
        share_of(j, shard, &begin, &end);
        if (j->staging.resumed && pack_staging_has(&j->staging, shard)) {
            there++;
            continue;
        }
        *all += end - begin;
        if (shard % j->c->size != j->c->rank) continue;
        p->missing[p->missing_count++] = (missing_shard){.shard = shard, .begin = begin, .end = end, .first = p->samples};
        p->samples += end - begin;
    }
    if (j->staging.resumed) log_info("going on: %d of %d shards are there from an earlier start", there, j->staging.shards);
    return ENTRAIN_OK;
}

/* The sample of the split that is this rank's n-th. */
static int64_t sample_of(const packing *p, int64_t n) {
    int low = 0, high = p->missing_count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (p->missing[middle].first <= n)
            low = middle;
        else
            high = middle - 1;
    }
    return p->missing[low].begin + n - p->missing[low].first;
}

/* ---- samples: any thread ---- */

static entrain_status open_worker(void *context, void **worker, entrain_error *err) {
    const packing *p = context;
    pack_worker *made = NULL;
    if (p->j->packer->drawing != NULL) return p->j->packer->drawing->open(p->j->o, worker, err);
    const entrain_status status = pack_worker_open(&made, err);
    *worker = made;
    return status;
}

static void close_worker(void *context, void *worker) {
    const packing *p = context;
    if (p->j->packer->drawing != NULL)
        p->j->packer->drawing->close(worker);
    else
        pack_worker_close(worker);
}

static void close_item(void *item) {
    pack_result *r = item;
    shard_sample_free(&r->sample);
}

static entrain_status make_sample(void *context, void *worker, int64_t n, void *item, entrain_error *err) {
    const packing *p = context;
    const pack_job *j = p->j;
    pack_result *r = item;
    const int64_t index = sample_of(p, n);
    if (j->packer->drawing == NULL) return pack_sample(worker, j->o, &j->listing.items[index], j->table, r, err);
    r->fault_count = 0;
    r->sample.label_class = -1;
    return j->packer->drawing->sample(worker, index, &r->sample, err);
}

/* ---- shards: the caller's thread ---- */

/* From the first fault on nothing is written any more; the samples after it are still looked at. */
static void give_up_writing(packing *p) {
    shard_abandon(p->writer);
    p->writer = NULL;
}

static entrain_status store_sample(packing *p, int64_t n, const shard_sample *sample, entrain_error *err) {
    pack_job *j = p->j;
    const missing_shard *t = &p->missing[p->current];
    entrain_status status = ENTRAIN_OK;
    if (p->writer == NULL)
        status = shard_create_as(j->o->out, SHARD_STAGED, j->info, t->shard, j->staging.shards, t->end - t->begin, &p->writer, err);
    if (status == ENTRAIN_OK) status = shard_append(p->writer, sample, err);
    if (status != ENTRAIN_OK) return status;
    j->bytes += (int64_t)(sample->image_size + sample->label_size);
    j->packed++;
    if (n + 1 - t->first < t->end - t->begin) return ENTRAIN_OK;
    shard_writer *whole = p->writer;
    p->writer = NULL;
    p->current++;
    return shard_finish(whole, err);
}

static entrain_status take_sample(void *context, int64_t n, void *item, entrain_error *err) {
    packing *p = context;
    const pack_result *r = item;
    for (int i = 0; i < r->fault_count; i++) pack_faults_add(&p->faults, &r->faults[i]);
    entrain_status status = ENTRAIN_OK;
    if (p->faults.count > 0)
        give_up_writing(p);
    else
        status = store_sample(p, n, &r->sample, err);
    pack_progress_step(&p->progress);
    if (status != ENTRAIN_OK || !pack_signals_stop()) return status;
    return error_set(err, ENTRAIN_STOPPED,
                     "pack %s %s: stopped on request. The shards that are finished wait in %s: run the same command again to go on.",
                     p->j->packer->name, p->j->o->split, p->j->o->out);
}

static entrain_status run(packing *p, entrain_error *err) {
    const pack_job *j = p->j;
    int64_t all = 0;
    const entrain_status status = list_missing(p, &all, err);
    if (status != ENTRAIN_OK) return status;
    if (j->c->rank == 0) p->faults = j->listing.faults; /* every rank has found them */
    pack_progress_begin(&p->progress, "packing", p->samples, all);
    const pipeline work = {.name = "pack",
                           .context = p,
                           .threads = pipeline_threads(j->o->threads, j->c->local_size),
                           .item_size = sizeof(pack_result),
                           .close_item = close_item,
                           .open_worker = open_worker,
                           .close_worker = close_worker,
                           .work = make_sample,
                           .after = take_sample};
    return pipeline_run(&work, p->samples, err);
}

entrain_status pack_shards(pack_job *j, entrain_error *err) {
    packing *p = calloc(1, sizeof *p);
    if (p == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
    p->j = j;
    entrain_status status = run(p, err);
    give_up_writing(p);
    char title[256];
    (void)snprintf(title, sizeof title, "pack %s %s: nothing was written", j->packer->name, j->o->split);
    j->faulty = status == ENTRAIN_OK && p->faults.count > 0;
    if (status == ENTRAIN_OK) status = pack_faults_report(&p->faults, title, err);
    free(p->missing);
    free(p);
    return status;
}
