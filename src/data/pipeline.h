/*
 * Work on many items by several threads, in order where order matters: `before` and `after` run on the caller's thread, item by item from
 * the first to the last (libhdf5 is used there alone), `work` on any thread. As many items are under way as there are slots, so memory does
 * not depend on how many items there are, and nothing that `after` sees depends on the number of threads.
 */
#ifndef DATA_PIPELINE_H
#define DATA_PIPELINE_H

#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"

typedef struct pipeline {
    const char *name; /* for messages */
    void *context;    /* given to all functions */
    int threads;
    /* Room for one item, zeroed at first and reused; close_item frees what is in it. */
    size_t item_size;
    void (*close_item)(void *item);
    /* What a thread needs for itself. */
    entrain_status (*open_worker)(void *context, void **worker, entrain_error *err);
    void (*close_worker)(void *context, void *worker);
    /* Fill the item, in order; NULL: nothing to do. A failure ends it all. */
    entrain_status (*before)(void *context, int64_t index, void *item, entrain_error *err);
    /* Any thread. A failure ends it all once it is this item's turn. */
    entrain_status (*work)(void *context, void *worker, int64_t index, void *item, entrain_error *err);
    /* Take the result, in order. A failure ends it all. */
    entrain_status (*after)(void *context, int64_t index, void *item, entrain_error *err);
} pipeline;

/* Items 0..count-1. The first failure, or ENTRAIN_OK when all are done. */
entrain_status pipeline_run(const pipeline *p, int64_t count, entrain_error *err);

/* Threads for a command that was told `wish` (0: none): the CPUs that this rank has to itself where `ranks` ranks share the host. */
int pipeline_threads(int wish, int ranks);

#endif
