/*
 * The loader's inside, shared by loader.c (the caller's side) and loader_threads.c (reader and workers).
 *
 * One mutex guards everything marked (m); the rest is either constant once the threads run or belongs to whoever holds the job or the
 * batch. A job travels idle -> reader -> queue -> worker -> idle; a slot travels FREE -> FILLING -> READY -> TAKEN -> FREE.
 *
 * After a failure the reader stops, and workers still finish what stands before the failed position: the earliest bad sample is the one
 * that is reported, and every batch before its own is still delivered, however the threads were timed.
 */
#ifndef DATA_LOADER_INTERNAL_H
#define DATA_LOADER_INTERNAL_H

#include <pthread.h>

#include "data/augment_internal.h"

/* One sample on its way: its encoded bytes, and where it goes. */
typedef struct job {
    shard_sample sample;
    int64_t index;     /* in the split */
    uint64_t position; /* in the run */
    int slot, place;
    struct job *next; /* (m) in the idle list or the queue */
} job;

typedef enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_TAKEN } slot_state;

typedef struct slot {
    batch batch;
    int pending;      /* (m) samples still missing */
    slot_state state; /* (m) */
} slot;

/* A worker's own memory. */
typedef struct loader_worker {
    loader *owner;
    image_decoder *decoder;
    image picture, label;
    augment_plan plan;                   /* of the sample it works on, */
    image_part picture_part, label_part; /* and what of it picture and label hold */
    augment_scratch scratch;
} loader_worker;

struct loader {
    loader_options options;
    shard_set *shards; /* the reader's alone, but for shard_describe */
    sampler *sampler;  /* the reader's alone */
    int n;             /* images of a batch on this rank */

    slot *slots; /* (slot_count) batch of step s in slot (s - first_step) % slot_count */
    int slot_count;
    job *jobs; /* (job_count) */
    int job_count;
    loader_worker *workers; /* (options.workers) */
    pthread_t *threads;     /* (thread_count) the reader, then the workers */
    int thread_count;

    pthread_mutex_t mutex;
    pthread_cond_t reader_wake;   /* a slot or a job came free */
    pthread_cond_t worker_wake;   /* a job is queued */
    pthread_cond_t caller_wake;   /* a batch is ready, or nothing more will come */
    job *idle;                    /* (m) stack */
    job *queue_head, *queue_tail; /* (m) */
    int outstanding;              /* (m) jobs queued or in a worker's hands */
    int64_t next_step;            /* (m) the caller's next batch */
    bool closing;                 /* (m) */
    bool failed;                  /* (m) */
    uint64_t failed_position;     /* (m) the earliest known */
    entrain_error error;          /* (m) of failed_position */
};

/* loader_sample.c: draw what becomes of a sample and decode the parts that this needs, checked, into the worker's memory. name: for
 * messages. ENTRAIN_DATA. */
entrain_status loader_decode(const loader_options *o, loader_worker *w, const shard_sample *sample, uint64_t position, const char *name,
                             entrain_error *err);
/* The same, then augmented into its place of its batch. */
entrain_status loader_prepare(loader *l, loader_worker *w, const job *j, entrain_error *err);
void loader_worker_free(loader_worker *w);

/* Thread bodies: the argument is the loader, or the worker. */
void *loader_reader_main(void *argument);
void *loader_worker_main(void *argument);

#endif
