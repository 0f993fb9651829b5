/*
 * Buckets: the gradients' arena cut into parts that are summed over ranks one by one, each as soon as backward has finished with it, so
 * that the sums go on behind the rest of the pass.
 */
#ifndef MODEL_BUCKETS_H
#define MODEL_BUCKETS_H

#include "comm/comm.h"
#include "model/net.h"

typedef struct bucket {
    size_t begin, end; /* floats of the arena */
    int step;          /* of the net's schedule, after which its gradients are final */
} bucket;

typedef struct buckets {
    bucket *list; /* in the order in which they are finished; the same on every rank */
    int count, next;
} buckets;

/*
 * Cut the arena at tensors' borders into parts of about part_bytes. final: for each parameter, the last step that writes its gradient.
 * ENTRAIN_DEVICE when out of memory.
 */
entrain_status buckets_make(const params *p, const int *final, size_t part_bytes, buckets *out, entrain_error *err);
void buckets_free(buckets *b);
/* Backward begins. */
void buckets_restart(buckets *b);
/* A step is done: start the sums of the buckets that it finished, and let those under way get on. Every rank calls it for every step. */
entrain_status buckets_after(buckets *b, comm *c, const params *p, int step);

#endif
