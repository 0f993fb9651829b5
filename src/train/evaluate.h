/*
 * Evaluation: from an encoded or decoded image to class scores at full size, by whole image or sliding window, at one or several scales,
 * with or without flipping; and over a data set to a confusion matrix.
 */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

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
 * Scores of an RGB image at its own size: (height, width, classes) host memory owned by the evaluator until the next call. With one scale,
 * whole and no flip the upsampled logits; otherwise softmax probabilities, averaged. labels: (height, width) receives the largest score's
 * class; may be NULL.
 */
entrain_status evaluator_run(evaluator *e, const image *picture, const float **scores, uint8_t *labels, entrain_error *err);
/* Logits of the last run's last forward pass at the network's own resolution: (h,w,classes), host memory owned by the evaluator; NULL when
 * out of memory. */
const float *evaluator_raw_logits(evaluator *e, int *h, int *w, entrain_error *err);

/* Confusion matrix (classes x classes, rows = truth) over a split; each image on one rank, summed over ranks. Collective. */
entrain_status evaluator_confusion(evaluator *e, shard_set *shards, comm *c, int64_t *matrix, entrain_error *err);

#endif
