#include "data/pipeline.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

typedef enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_DONE } slot_state;

/* Item i lies in slot i % slot_count. */
typedef struct slot {
    slot_state state;
    void *item;
    entrain_status status;
    entrain_error error;
} slot;

typedef struct worker_thread {
    struct run *run;
    pthread_t thread;
    void *state;
} worker_thread;

typedef struct run {
    const pipeline *p;
    slot *slots;
    int slot_count;
    worker_thread *workers;
    int opened, started;
    pthread_mutex_t mutex;
    pthread_cond_t queued_wake, done_wake;
    int64_t queued, taken; /* items handed to the workers; taken by them */
    bool closing;
} run;

int pipeline_threads(int wish, int ranks) {
    cpu_set_t set;
    if (wish > 0) return wish;
    const int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const int wanted = cpus * (ranks > 0 ? ranks : 1);
    const int threads = wanted <= online ? cpus : cpus * online / wanted;
    return threads > 0 ? threads : 1;
}

/* ---- workers ---- */

/* Wait for an item in turn. NULL: all is over. */
static slot *take(run *r, int64_t *index) {
    (void)pthread_mutex_lock(&r->mutex);
    while (r->taken == r->queued && !r->closing) (void)pthread_cond_wait(&r->queued_wake, &r->mutex);
    slot *s = NULL;
    if (!r->closing) {
        *index = r->taken++;
        s = &r->slots[*index % r->slot_count];
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return s;
}

static void *worker_main(void *argument) {
    worker_thread *w = argument;
    run *r = w->run;
    int64_t index = 0;
    for (slot *s = take(r, &index); s != NULL; s = take(r, &index)) {
        s->status = r->p->work(r->p->context, w->state, index, s->item, &s->error);
        (void)pthread_mutex_lock(&r->mutex);
        s->state = SLOT_DONE;
        (void)pthread_cond_signal(&r->done_wake);
        (void)pthread_mutex_unlock(&r->mutex);
    }
    return NULL;
}

/* ---- the caller's thread ---- */

static entrain_status queue_item(run *r, int64_t index, entrain_error *err) {
    slot *s = &r->slots[index % r->slot_count];
    const entrain_status status = r->p->before == NULL ? ENTRAIN_OK : r->p->before(r->p->context, index, s->item, err);
    if (status != ENTRAIN_OK) return status;
    (void)pthread_mutex_lock(&r->mutex);
    s->state = SLOT_QUEUED;
    r->queued++;
    (void)pthread_cond_signal(&r->queued_wake);
    (void)pthread_mutex_unlock(&r->mutex);
    return ENTRAIN_OK;
}

static entrain_status finish_item(run *r, int64_t index, entrain_error *err) {
    slot *s = &r->slots[index % r->slot_count];
    (void)pthread_mutex_lock(&r->mutex);
    while (s->state != SLOT_DONE) (void)pthread_cond_wait(&r->done_wake, &r->mutex);
    s->state = SLOT_FREE;
    (void)pthread_mutex_unlock(&r->mutex);
    if (s->status != ENTRAIN_OK) return error_set(err, s->status, "%s", s->error.text);
    return r->p->after(r->p->context, index, s->item, err);
}

static entrain_status run_items(run *r, int64_t count, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    int64_t begun = 0;
    for (int64_t done = 0; done < count && status == ENTRAIN_OK; done++) {
        while (begun < count && begun - done < r->slot_count && status == ENTRAIN_OK) status = queue_item(r, begun++, err);
        if (status == ENTRAIN_OK) status = finish_item(r, done, err);
    }
    return status;
}

/* ---- begin and end ---- */

static entrain_status start(run *r, entrain_error *err) {
    const pipeline *p = r->p;
    r->slots = calloc((size_t)r->slot_count, sizeof *r->slots);
    r->workers = calloc((size_t)p->threads, sizeof *r->workers);
    bool memory = r->slots != NULL && r->workers != NULL;
    for (int i = 0; memory && i < r->slot_count; i++) memory = (r->slots[i].item = calloc(1, p->item_size)) != NULL;
    if (!memory) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for %d threads", p->name, p->threads);
    for (; r->opened < p->threads; r->opened++) {
        worker_thread *w = &r->workers[r->opened];
        w->run = r;
        const entrain_status status = p->open_worker(p->context, &w->state, err);
        if (status != ENTRAIN_OK) return status;
    }
    for (; r->started < p->threads; r->started++)
        if (pthread_create(&r->workers[r->started].thread, NULL, worker_main, &r->workers[r->started]) != 0) break;
    return r->started > 0 ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "%s: no thread can be started", p->name);
}

static void finish(run *r) {
    (void)pthread_mutex_lock(&r->mutex);
    r->closing = true;
    (void)pthread_cond_broadcast(&r->queued_wake);
    (void)pthread_mutex_unlock(&r->mutex);
    for (int i = 0; i < r->started; i++) (void)pthread_join(r->workers[i].thread, NULL);
    for (int i = 0; i < r->opened; i++) r->p->close_worker(r->p->context, r->workers[i].state);
    for (int i = 0; r->slots != NULL && i < r->slot_count; i++) {
        if (r->slots[i].item == NULL) continue;
        r->p->close_item(r->slots[i].item);
        free(r->slots[i].item);
    }
    free(r->slots);
    free(r->workers);
}

entrain_status pipeline_run(const pipeline *p, int64_t count, entrain_error *err) {
    run r = {.p = p, .slot_count = 2 * p->threads + 2};
    (void)pthread_mutex_init(&r.mutex, NULL);
    (void)pthread_cond_init(&r.queued_wake, NULL);
    (void)pthread_cond_init(&r.done_wake, NULL);
    entrain_status status = start(&r, err);
    if (status == ENTRAIN_OK) status = run_items(&r, count, err);
    finish(&r);
    (void)pthread_cond_destroy(&r.queued_wake);
    (void)pthread_cond_destroy(&r.done_wake);
    (void)pthread_mutex_destroy(&r.mutex);
    return status;
}
