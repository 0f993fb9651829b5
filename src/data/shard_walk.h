/* Going through the samples of a set: what verify and unpack do alike. */
#ifndef DATA_SHARD_WALK_H
#define DATA_SHARD_WALK_H

#include "comm/comm.h"
#include "data/pack_internal.h"
#include "data/shard.h"

typedef struct shard_walk {
    const char *name, *verb; /* for messages and progress: "verify", "verifying" */
    const char *stopped;     /* what to say when the user stops it */
    shard_set *shards;
    const comm *c;       /* the ranks that share the samples */
    int threads;         /* of each rank; 0: its CPUs */
    pack_faults *faults; /* receives the faults of the data, in the order of the samples */
    void *context;       /* given to all functions */
    /* What a thread needs for itself, given back at the end. */
    entrain_status (*open_worker)(void *context, void **worker, entrain_error *err);
    void (*close_worker)(void *context, void *worker);
    /* One sample that was read, on any thread. ENTRAIN_DATA is a fault of the data; anything else ends the walk. */
    entrain_status (*sample)(void *context, void *worker, int64_t index, const shard_sample *s, entrain_error *err);
} shard_walk;

/* This rank's part of the samples. ENTRAIN_OK also where there were faults; ENTRAIN_STOPPED on request. */
entrain_status shard_walk_run(const shard_walk *w, entrain_error *err);

#endif
