/*
 * From gradients to new weights. Backward hands over the gradients bucket by bucket:
 * - with several ranks each bucket's sum over ranks begins at once and goes on behind the rest of backward; the update follows when all are
 *   there;
 * - a lone rank that does not clip updates a bucket's weights at once, while its gradients are in the cache, and writes the next bucket's
 *   gradients to the same memory: there is only one bucket of it;
 * - with optimizer.clip_norm a lone rank waits, too: the factor is known when all gradients are. So does one whose device works while the
 *   host goes on: nothing would be gained.
 */
#ifndef TRAIN_UPDATE_H
#define TRAIN_UPDATE_H

#include "config/config.h"
#include "model/buckets.h"
#include "model/net.h"

typedef struct update {
    const config *c;
    params *p;
    backend *be;
    comm *ranks;
    buckets buckets;
    sgd_segment *segments; /* device memory: of all buckets, one after another; offsets count from the bucket's begin */
    int *first_segment;    /* (buckets.count + 1) where each bucket's begin */
    bool at_once;          /* update within backward */
    double lr;             /* of the update under way */
    double *squares;       /* device memory: sum of the squares of the gradients so far */
    const char *nonfinite; /* the first parameter met whose gradient is not finite, NULL so far */
    int nonfinite_node;    /* nodes from this one on may have new weights by then; INT_MAX without */
} update;

/* Cut the graph's parameters, which be is going to hold, into buckets and say where their gradients go; before params_allocate. Close it
 * whatever comes back. */
entrain_status update_open(update *u, const config *c, const graph *g, backend *be, comm *ranks, entrain_error *err);
void update_close(update *u);

/* A backward pass begins, whose update has this learning rate. squares: device memory, 0; receives the sum of the squares of the whole
 * gradient. */
void update_begin(update *u, double lr, double *squares);
/* The net_options.finished of a net whose gradients this is for; context is the update. */
entrain_status update_node(void *context, int id);
/*
 * After backward: complete the sums over ranks and the update. Where the sum of squares is not finite nothing (more) is updated, and the
 * result is ENTRAIN_OK all the same. ENTRAIN_COMM. Collective.
 */
entrain_status update_finish(update *u);
/* Such a sum was met, and no other backward pass has begun since: find out why. Sets nonfinite. */
void update_explain(update *u);

#endif
