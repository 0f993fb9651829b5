/*
 * Buckets: the parameters' arenas cut into parts that are dealt with one by one, each as soon as backward has finished with its gradients:
 * summed over ranks behind the rest of the pass, or used for the update at once.
 */
#ifndef MODEL_BUCKETS_H
#define MODEL_BUCKETS_H

#include "model/graph.h"

typedef struct bucket {
    size_t begin, end; /* floats of the arenas */
    int node;          /* of the graph, after whose backward pass its gradients are final */
} bucket;

typedef struct buckets {
    bucket *list; /* in the order in which they are finished; the same on every rank */
    int count, next;
    size_t longest; /* floats */
} buckets;

/*
 * Cut the arenas at nodes' borders into parts of about part_bytes. Backward goes through the nodes, and so through the arenas, from their
 * end. ENTRAIN_DEVICE when out of memory.
 */
entrain_status buckets_make(const graph *g, size_t part_bytes, buckets *out, entrain_error *err);
void buckets_free(buckets *b);
/* Backward begins. */
void buckets_restart(buckets *b);
/* The next bucket that is final once backward has done the node of this number; NULL when there is none (yet). */
const bucket *buckets_next(buckets *b, int id);

#endif
