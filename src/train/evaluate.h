/*
 * Evaluation: from a decoded image to class scores or labels at full size, by whole image or sliding window, at one or several sizes, with
 * or without mirroring; and over a data set to a confusion matrix.
 */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/internal.h"
#include "data/image.h"
#include "data/shard.h"
#include "model/net.h"

typedef struct evaluator evaluator;

/*
 * Networks for evaluation are made for each image size met and kept; they share g's parameters. c: its data.*, eval.* and normalisation.
 * type: of activations (precision.h).
 */
entrain_status evaluator_open(const graph *g, backend *be, const config *c, dtype type, int classes, evaluator **out, entrain_error *err);
void evaluator_close(evaluator *e);
int evaluator_classes(const evaluator *e);

/*
 * Labels, and scores, of an RGB image at a size of (height,width), as fuse.h says, by c's eval.*. labels (height,width) may be NULL.
 * scores: (height,width,classes) host memory owned by the evaluator until the next call: logits where there is one pass, else
 * probabilities; NULL where they are not needed, which keeps memory bounded. evaluator_run: at the image's own size.
 */
entrain_status evaluator_run_at(evaluator *e, const image *picture, int height, int width, const float **scores, uint8_t *labels,
                                entrain_error *err);
entrain_status evaluator_run(evaluator *e, const image *picture, const float **scores, uint8_t *labels, entrain_error *err);
/* Whether an image's scores are the logits of one pass over the whole of it, unmirrored: only then has it logits at the network's own
 * resolution. */
bool evaluator_single_pass(const evaluator *e);
/* These of the last run: (h,w,classes), host memory owned by the evaluator; NULL when out of memory. */
const float *evaluator_raw_logits(evaluator *e, int *h, int *w, entrain_error *err);

/* Say how images are evaluated and what memory those of the split take: the most that any of them needs. */
void evaluator_describe(evaluator *e, const shard_set *shards);

/*
 * Images dealt out to the ranks one by one, in rounds of one a rank. verb: for a line of progress now and then, such as "evaluated"; NULL:
 * none. Collective. After a failure all ranks leave in that round: each with its own status, ENTRAIN_OK where it did not fail, and *failed
 * true.
 */
typedef entrain_status (*evaluator_item)(void *context, int64_t index, entrain_error *err);
entrain_status evaluator_deal(comm *c, int64_t count, const char *verb, evaluator_item item, void *context, bool *failed,
                              entrain_error *err);

/*
 * Confusion matrix (classes x classes, rows = truth) over a split; each image on one rank, summed over ranks. progress: say now and then
 * how far it is. Collective. Where any rank fails, all leave before the sum: with their own status, ENTRAIN_OK on those that did not fail,
 * and *failed true on all.
 */
entrain_status evaluator_confusion(evaluator *e, shard_set *shards, comm *c, bool progress, int64_t *matrix, bool *failed,
                                   entrain_error *err);

#endif
