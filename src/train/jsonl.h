/*
 * metrics.jsonl: the run's figures, one JSON object a line. Each line is written at once and whole, so whoever follows the file sees whole
 * lines; what a killed run leaves beyond its last checkpoint is cut off on resuming.
 */
#ifndef TRAIN_JSONL_H
#define TRAIN_JSONL_H

#include <stdint.h>

#include "entrain/status.h"
#include "train/metrics.h"

typedef struct jsonl jsonl;

typedef struct jsonl_train {
    int64_t step; /* finished updates */
    double epoch, loss;
    double aux_loss; /* unweighted; NaN without an auxiliary head */
    double accuracy; /* of the batch's valid pixels, a fraction */
    double lr, grad_norm, images_per_second, step_ms, data_ms, comm_ms, memory_mib;
} jsonl_train;

/* Open for appending; made when missing. ENTRAIN_DATA. */
entrain_status jsonl_open(const char *path, jsonl **out, entrain_error *err);
/* NULL is let pass. */
void jsonl_close(jsonl *j);

/* Append a line; what is not a finite number is written as null. ENTRAIN_DATA where the line could not be written whole. */
entrain_status jsonl_write_train(jsonl *j, const jsonl_train *line, entrain_error *err);
entrain_status jsonl_write_eval(jsonl *j, const metrics *m, const metrics_setting *setting, entrain_error *err);

/* Keep only the whole lines whose `step` is at most step. The file is replaced atomically; a missing one is fine. */
entrain_status jsonl_truncate_after(const char *path, int64_t step, entrain_error *err);

#endif
