/* Samples are read in order by the caller's thread, as libhdf5 wants it, and worked on by the others. See shard_walk.h. */
#include "data/shard_walk.h"

#include "base/error.h"
#include "data/pipeline.h"

typedef struct walk {
    const shard_walk *w;
    pack_progress progress;
    int64_t first; /* sample of this rank */
} walk;

typedef struct walk_item {
    shard_sample sample;
    entrain_error fault; /* status ENTRAIN_OK: none */
} walk_item;

static entrain_status open_worker(void *context, void **worker, entrain_error *err) {
    const shard_walk *w = ((const walk *)context)->w;
    return w->open_worker(w->context, worker, err);
}

static void close_worker(void *context, void *worker) {
    const shard_walk *w = ((const walk *)context)->w;
    w->close_worker(w->context, worker);
}

static void close_item(void *item) {
    walk_item *it = item;
    shard_sample_free(&it->sample);
}

/* Faults of the data are noted; anything else ends it at once. */
static entrain_status note(walk_item *it, entrain_status status, const entrain_error *err) {
    if (status != ENTRAIN_DATA) return status;
    it->fault = *err;
    return ENTRAIN_OK;
}

static entrain_status read_sample(void *context, int64_t n, void *item, entrain_error *err) {
    const walk *k = context;
    walk_item *it = item;
    it->fault.status = ENTRAIN_OK;
    return note(it, shard_read(k->w->shards, k->first + n, &it->sample, err), err);
}

static entrain_status work_on_sample(void *context, void *worker, int64_t n, void *item, entrain_error *err) {
    const walk *k = context;
    walk_item *it = item;
    if (it->fault.status != ENTRAIN_OK) return ENTRAIN_OK;
    return note(it, k->w->sample(k->w->context, worker, k->first + n, &it->sample, err), err);
}

static entrain_status take_sample(void *context, int64_t n, void *item, entrain_error *err) {
    (void)n;
    walk *k = context;
    const walk_item *it = item;
    if (it->fault.status != ENTRAIN_OK) pack_faults_add(k->w->faults, &it->fault);
    pack_progress_step(&k->progress);
    return pack_signals_stop() ? error_set(err, ENTRAIN_STOPPED, "%s: %s", k->w->name, k->w->stopped) : ENTRAIN_OK;
}

entrain_status shard_walk_run(const shard_walk *w, entrain_error *err) {
    walk k = {.w = w};
    int64_t end;
    comm_share(shard_count(w->shards), w->c->rank, w->c->size, &k.first, &end);
    pack_progress_begin(&k.progress, w->verb, end - k.first, shard_count(w->shards));
    const pipeline work = {.name = w->name,
                           .context = &k,
                           .threads = pipeline_threads(w->threads, w->c->local_size),
                           .item_size = sizeof(walk_item),
                           .close_item = close_item,
                           .open_worker = open_worker,
                           .close_worker = close_worker,
                           .before = read_sample,
                           .work = work_on_sample,
                           .after = take_sample};
    return pipeline_run(&work, end - k.first, err);
}
