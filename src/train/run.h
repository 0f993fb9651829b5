/* The run folder: config.json, log.txt, metrics.jsonl, checkpoints/. And evaluations as they are reported there. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "train/jsonl.h"
#include "train/metrics.h"
#include "train/trainer.h"

/*
 * Make the folder and write config.json, or, resuming, load the newest checkpoint into the trainer on every rank and cut metrics.jsonl back
 * to it. A folder that holds a run is refused without resume (ENTRAIN_USAGE). Every rank calls it; only rank 0 writes.
 */
entrain_status run_open(trainer *t, const entrain_train_options *options, entrain_error *err);
/* Save the training state at t->step: step-N.h5, `latest`, and old ones pruned. Rank 0's business, like the next. */
entrain_status run_save(const trainer *t, entrain_error *err);
entrain_status run_save_best(const trainer *t, entrain_error *err);

/* metrics.jsonl of the run folder. */
entrain_status run_open_metrics(const trainer *t, jsonl **out, entrain_error *err);

/* One evaluation: its confusion matrix and what follows from it. */
typedef struct run_evaluation {
    int64_t *matrix; /* (classes, classes) */
    metrics figures;
} run_evaluation;
/* Evaluate shards, print the table of classes; progress: and how far it is meanwhile. Collective. Free with run_evaluation_free whatever
 * comes back. */
entrain_status run_evaluate(entrain_job *job, evaluator *e, shard_set *shards, bool progress, run_evaluation *out, entrain_error *err);
void run_evaluation_free(run_evaluation *v);
/* What metrics.jsonl says about how it was done. */
metrics_setting run_setting(const config *c, int64_t step, int64_t images);

#endif
