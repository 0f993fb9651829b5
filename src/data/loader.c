/*
 * The loader as its caller sees it: open, next, release, close. All its memory is made here, before the first thread starts; what still
 * grows later is the decoders' scratch, up to what the largest image needs. The threads are in loader_threads.c, the rules in
 * loader_internal.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/image_internal.h"
#include "data/loader_internal.h"

/* Encoded samples per worker between the reader and the workers. */
enum { JOBS_PER_WORKER = 3 };

static entrain_status check_options(const loader_options *o, entrain_error *err) {
    const augment_options *a = &o->augment;
    if (o->workers < 1 || o->prefetch < 1)
        return error_set(err, ENTRAIN_USAGE, "The loader needs at least 1 worker and 1 batch of prefetch, not %d and %d.", o->workers,
                         o->prefetch);
    if (o->begin < 0 || o->begin >= o->end || o->end > o->global_batch)
        return error_set(err, ENTRAIN_USAGE,
                         "This rank's places [%lld, %lld) are not a part of a global batch of %d: use at most as many ranks as images.",
                         (long long)o->begin, (long long)o->end, o->global_batch);
    if (o->first_step < 0 || o->last_step < o->first_step)
        return error_set(err, ENTRAIN_USAGE, "Steps %lld to %lld are no run.", (long long)o->first_step, (long long)o->last_step);
    if (o->height < 1 || o->width < 1 || (a->crop_h != 0 && (a->crop_h != o->height || a->crop_w != o->width)))
        return error_set(err, ENTRAIN_USAGE, "Batches of %dx%d pixels do not fit a crop of %dx%d.", o->height, o->width, a->crop_h,
                         a->crop_w);
    if (o->classes < 1 || o->classes > SHARD_MAX_CLASSES)
        return error_set(err, ENTRAIN_USAGE, "%d classes; 1 to %d are possible.", o->classes, SHARD_MAX_CLASSES);
    if (!(a->scale_min > 0.0) || !(a->scale_max >= a->scale_min) || !(a->std[0] > 0.0) || !(a->std[1] > 0.0) || !(a->std[2] > 0.0))
        return error_set(err, ENTRAIN_USAGE, "Scales must be positive and ascending, standard deviations positive.");
    return ENTRAIN_OK;
}

/* Without a crop all images must have the batch's size; better said now than at the step that meets the first other one. */
static entrain_status check_samples(const shard_set *shards, const loader_options *o, entrain_error *err) {
    const int64_t count = shard_count(shards);
    if (count < 1 || count > (int64_t)UINT32_MAX)
        return error_set(err, ENTRAIN_DATA, "The shards hold %lld samples; 1 to %lld are possible.", (long long)count,
                         (long long)UINT32_MAX);
    for (int64_t i = 0; o->augment.crop_h == 0 && i < count; i++) {
        int height, width;
        shard_size(shards, i, &height, &width);
        if (height == o->height && width == o->width) continue;
        char name[512];
        shard_describe(shards, i, name, sizeof name);
        return error_set(
            err, ENTRAIN_DATA,
            "%s has %dx%d pixels (height x width), but without a crop every image must have %dx%d. Set data.crop to [height, width].", name,
            height, width, o->height, o->width);
    }
    return ENTRAIN_OK;
}

static void *own_alloc(void *context, size_t bytes) {
    (void)context;
    return memory_alloc(bytes);
}

static void own_release(void *context, void *p) {
    (void)context;
    memory_free(p);
}

static bool make_slots(loader *l) {
    const size_t n = (size_t)l->n, pixels = n * (size_t)l->options.height * (size_t)l->options.width;
    const loader_memory *m = &l->options.memory;
    l->slots = calloc((size_t)l->slot_count, sizeof *l->slots);
    if (l->slots == NULL) return false;
    for (int i = 0; i < l->slot_count; i++) {
        batch *b = &l->slots[i].batch;
        b->n = l->n;
        b->images = m->alloc(m->context, pixels * 3);
        b->labels = m->alloc(m->context, pixels);
        b->samples = memory_alloc(n * sizeof *b->samples);
        if (b->images == NULL || b->labels == NULL || b->samples == NULL) return false;
    }
    return true;
}

static bool make_jobs(loader *l) {
    l->jobs = calloc((size_t)l->job_count, sizeof *l->jobs);
    if (l->jobs == NULL) return false;
    for (int i = 0; i < l->job_count; i++) {
        if (!shard_reserve(l->shards, &l->jobs[i].sample)) return false;
        l->jobs[i].next = l->idle;
        l->idle = &l->jobs[i];
    }
    return true;
}

/* Height and width of the sample with the most pixels; what claims more than PREPARED gets its memory when it is decoded, if it is true. */
static void largest_size(const shard_set *shards, int *height, int *width) {
    enum { PREPARED = 1 << 26 };
    *height = *width = 0;
    for (int64_t i = 0; i < shard_count(shards); i++) {
        int h, w;
        shard_size(shards, i, &h, &w);
        if ((int64_t)h * w <= (int64_t)*height * *width || (int64_t)h * w > PREPARED) continue;
        *height = h;
        *width = w;
    }
}

/* Room for the largest picture. A size that no picture can have is not this function's to tell: its sample will, when it is decoded. */
static bool make_pictures(loader_worker *w, int height, int width) {
    return image_reshape(&w->picture, height, width, 3, "the largest sample", NULL) != ENTRAIN_DEVICE &&
           image_reshape(&w->label, height, width, 1, "the largest sample", NULL) != ENTRAIN_DEVICE;
}

static bool make_workers(loader *l) {
    const int count = l->options.workers;
    int height, width;
    largest_size(l->shards, &height, &width);
    l->workers = calloc((size_t)count, sizeof *l->workers);
    l->threads = calloc((size_t)count + 1, sizeof *l->threads);
    if (l->workers == NULL || l->threads == NULL) return false;
    for (int i = 0; i < count; i++) {
        l->workers[i].owner = l;
        l->workers[i].decoder = image_decoder_open();
        if (l->workers[i].decoder == NULL || !make_pictures(&l->workers[i], height, width)) return false;
    }
    return true;
}

/* Signals stay with the caller's threads: a handler must not run in the middle of reading. */
static entrain_status start_threads(loader *l, entrain_error *err) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&l->threads[0], NULL, loader_reader_main, l);
    if (failure == 0) l->thread_count = 1;
    for (int i = 0; failure == 0 && i < l->options.workers; i++) {
        failure = pthread_create(&l->threads[l->thread_count], NULL, loader_worker_main, &l->workers[i]);
        if (failure == 0) l->thread_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DEVICE, "Cannot start the loader's threads (%s); set data.workers lower.", strerror(failure));
}

entrain_status loader_open(shard_set *shards, const loader_options *o, loader **out, entrain_error *err) {
    *out = NULL;
    entrain_status status = check_options(o, err);
    if (status == ENTRAIN_OK) status = check_samples(shards, o, err);
    if (status != ENTRAIN_OK) return status;

    loader *l = calloc(1, sizeof *l);
    if (l == NULL) return error_set(err, ENTRAIN_DEVICE, "Out of memory for the loader.");
    l->options = *o;
    if (o->memory.alloc == NULL) l->options.memory = (loader_memory){own_alloc, own_release, NULL};
    l->shards = shards;
    l->n = (int)(o->end - o->begin);
    l->slot_count = o->prefetch + 1; /* one more: the batch that the caller works with */
    l->job_count = JOBS_PER_WORKER * o->workers;
    l->next_step = o->first_step;
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)pthread_cond_init(&l->reader_wake, NULL);
    (void)pthread_cond_init(&l->worker_wake, NULL);
    (void)pthread_cond_init(&l->caller_wake, NULL);
    l->sampler = sampler_open(shard_count(shards), o->seed, o->shuffle);

    if (l->sampler == NULL || !make_slots(l) || !make_jobs(l) || !make_workers(l))
        status =
            error_set(err, ENTRAIN_DEVICE, "Out of memory for %d batches of %d images of %dx%d pixels; set the batch or data.crop smaller.",
                      l->slot_count, l->n, o->height, o->width);
    if (status == ENTRAIN_OK) status = start_threads(l, err);
    if (status != ENTRAIN_OK) {
        loader_close(l);
        return status;
    }
    *out = l;
    return ENTRAIN_OK;
}

/* Mutex held. Wait for the slot's batch and take it. */
static entrain_status take(loader *l, slot *s, entrain_error *err) {
    if (s->state == SLOT_TAKEN)
        return error_set(err, ENTRAIN_USAGE, "All %d batches of the loader are held; release one before the next.", l->slot_count);
    while (s->state != SLOT_READY) {
        /* Every sample before the failed one has been worked off, so this batch, if it is not ready, is the one with the failed sample. */
        if (l->failed && l->outstanding == 0) {
            if (err != NULL) *err = l->error;
            return l->error.status;
        }
        (void)pthread_cond_wait(&l->caller_wake, &l->mutex);
    }
    s->state = SLOT_TAKEN;
    l->next_step++;
    return ENTRAIN_OK;
}

entrain_status loader_next(loader *l, const batch **out, entrain_error *err) {
    *out = NULL;
    (void)pthread_mutex_lock(&l->mutex);
    slot *s = &l->slots[(l->next_step - l->options.first_step) % l->slot_count];
    entrain_status status;
    if (l->next_step == l->options.last_step)
        status = error_set(err, ENTRAIN_USAGE, "The loader was opened for steps up to %lld; there is no further batch.",
                           (long long)l->options.last_step);
    else
        status = take(l, s, err);
    (void)pthread_mutex_unlock(&l->mutex);
    if (status == ENTRAIN_OK) *out = &s->batch;
    return status;
}

void loader_release(loader *l, const batch *b) {
    (void)pthread_mutex_lock(&l->mutex);
    for (int i = 0; i < l->slot_count; i++)
        if (&l->slots[i].batch == b && l->slots[i].state == SLOT_TAKEN) l->slots[i].state = SLOT_FREE;
    (void)pthread_cond_signal(&l->reader_wake);
    (void)pthread_mutex_unlock(&l->mutex);
}

static void stop_threads(loader *l) {
    (void)pthread_mutex_lock(&l->mutex);
    l->closing = true;
    (void)pthread_cond_broadcast(&l->reader_wake);
    (void)pthread_cond_broadcast(&l->worker_wake);
    (void)pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < l->thread_count; i++) (void)pthread_join(l->threads[i], NULL);
}

void loader_close(loader *l) {
    if (l == NULL) return;
    const loader_memory *m = &l->options.memory;
    stop_threads(l);
    for (int i = 0; l->slots != NULL && i < l->slot_count; i++) {
        if (l->slots[i].batch.images != NULL) m->release(m->context, l->slots[i].batch.images);
        if (l->slots[i].batch.labels != NULL) m->release(m->context, l->slots[i].batch.labels);
        memory_free(l->slots[i].batch.samples);
    }
    for (int i = 0; l->jobs != NULL && i < l->job_count; i++) shard_sample_free(&l->jobs[i].sample);
    for (int i = 0; l->workers != NULL && i < l->options.workers; i++) loader_worker_free(&l->workers[i]);
    sampler_close(l->sampler);
    (void)pthread_cond_destroy(&l->caller_wake);
    (void)pthread_cond_destroy(&l->worker_wake);
    (void)pthread_cond_destroy(&l->reader_wake);
    (void)pthread_mutex_destroy(&l->mutex);
    free(l->threads);
    free(l->workers);
    free(l->jobs);
    free(l->slots);
    free(l);
}
