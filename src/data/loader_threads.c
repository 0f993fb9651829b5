/* The loader's threads: one that reads encoded samples in order, and workers that turn each into its place of its batch. */
#include "data/loader_internal.h"

/* ---- shared state; all of these lock the mutex themselves unless they say otherwise ---- */

/* Mutex held. Keep the earliest failure, and wake everybody to look at it. */
static void fail(loader *l, uint64_t position, const entrain_error *err) {
    if (!l->failed || position < l->failed_position) {
        l->failed = true;
        l->failed_position = position;
        l->error = *err;
    }
    (void)pthread_cond_broadcast(&l->reader_wake);
    (void)pthread_cond_broadcast(&l->caller_wake);
}

/* Wait until the slot is free and claim it for a batch. false: stop reading. */
static bool claim_slot(loader *l, slot *s) {
    (void)pthread_mutex_lock(&l->mutex);
    while (s->state != SLOT_FREE && !l->closing && !l->failed) (void)pthread_cond_wait(&l->reader_wake, &l->mutex);
    const bool go = !l->closing && !l->failed;
    if (go) {
        s->state = SLOT_FILLING;
        s->pending = l->n;
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return go;
}

/* Wait for an idle job. NULL: stop reading. */
static job *claim_job(loader *l) {
    (void)pthread_mutex_lock(&l->mutex);
    while (l->idle == NULL && !l->closing && !l->failed) (void)pthread_cond_wait(&l->reader_wake, &l->mutex);
    job *j = l->closing || l->failed ? NULL : l->idle;
    if (j != NULL) l->idle = j->next;
    (void)pthread_mutex_unlock(&l->mutex);
    return j;
}

/* Hand a job that was read to the workers. false: something failed meanwhile; stop reading. */
static bool enqueue(loader *l, job *j) {
    (void)pthread_mutex_lock(&l->mutex);
    const bool go = !l->failed;
    if (go) {
        j->next = NULL;
        if (l->queue_tail != NULL)
            l->queue_tail->next = j;
        else
            l->queue_head = j;
        l->queue_tail = j;
        l->outstanding++;
        (void)pthread_cond_signal(&l->worker_wake);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return go;
}

/* Wait for a queued job. NULL: the loader closes. needed: whether its result can still be asked for. */
static job *dequeue(loader *l, bool *needed) {
    (void)pthread_mutex_lock(&l->mutex);
    while (l->queue_head == NULL && !l->closing) (void)pthread_cond_wait(&l->worker_wake, &l->mutex);
    job *j = l->closing ? NULL : l->queue_head;
    if (j != NULL) {
        l->queue_head = j->next;
        if (l->queue_head == NULL) l->queue_tail = NULL;
        *needed = !l->failed || j->position < l->failed_position;
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return j;
}

/* Give a worked-off job back. err: what happened to it, NULL where its sample stands in its batch. */
static void finish(loader *l, job *j, bool needed, const entrain_error *err) {
    (void)pthread_mutex_lock(&l->mutex);
    slot *s = &l->slots[j->slot];
    if (err != NULL)
        fail(l, j->position, err);
    else if (needed && --s->pending == 0)
        s->state = SLOT_READY;
    l->outstanding--;
    if (s->state == SLOT_READY || l->outstanding == 0) (void)pthread_cond_signal(&l->caller_wake);
    j->next = l->idle;
    l->idle = j;
    (void)pthread_cond_signal(&l->reader_wake);
    (void)pthread_mutex_unlock(&l->mutex);
}

/* ---- reader ---- */

static bool read_batch(loader *l, int64_t step, int slot_index) {
    const loader_options *o = &l->options;
    slot *s = &l->slots[slot_index];
    if (!claim_slot(l, s)) return false;
    s->batch.first_position = (uint64_t)step * (uint64_t)o->global_batch + (uint64_t)o->begin;
    for (int place = 0; place < l->n; place++) {
        job *j = claim_job(l);
        if (j == NULL) return false;
        j->position = s->batch.first_position + (uint64_t)place;
        j->slot = slot_index;
        j->place = place;
        j->index = sampler_index(l->sampler, j->position);
        s->batch.samples[place] = j->index;
        entrain_error err;
        if (shard_read(l->shards, j->index, &j->sample, &err) != ENTRAIN_OK) {
            (void)pthread_mutex_lock(&l->mutex);
            fail(l, j->position, &err);
            (void)pthread_mutex_unlock(&l->mutex);
            return false;
        }
        if (!enqueue(l, j)) return false;
    }
    return true;
}

void *loader_reader_main(void *argument) {
    loader *l = argument;
    const int64_t first = l->options.first_step;
    for (int64_t step = first; step < l->options.last_step; step++)
        if (!read_batch(l, step, (int)((step - first) % l->slot_count))) break;
    return NULL;
}

/* ---- workers ---- */

void *loader_worker_main(void *argument) {
    loader_worker *w = argument;
    loader *l = w->owner;
    bool needed = false;
    for (job *j = dequeue(l, &needed); j != NULL; j = dequeue(l, &needed)) {
        entrain_error err;
        const bool bad = needed && loader_prepare(l, w, j, &err) != ENTRAIN_OK;
        finish(l, j, needed, bad ? &err : NULL);
    }
    return NULL;
}
