/* A training run in memory: everything that the step loop touches, opened once before step 0. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/internal.h"
#include "data/loader.h"
#include "data/shard.h"
#include "model/net.h"
#include "train/evaluate.h"
#include "train/update.h"

enum { RUN_PATH = 1024 };

typedef struct trainer {
    entrain_job *job;
    const config *c;
    char run[RUN_PATH];     /* run folder; "" for entrain check */
    char *config_json;      /* resolved, as stored in checkpoints */
    char *dataset_json;     /* classes and colours, as stored in checkpoints */
    shard_set *train, *val; /* val NULL without data.val; both NULL for random images */
    int classes;
    int height, width;  /* of a training batch */
    int64_t begin, end; /* this rank's places in each global batch */
    params params;
    graph graph;
    net *net;
    evaluator *evaluator; /* NULL without data.val */
    loader *loader;
    dtype type;           /* of activations */
    float *class_weights; /* device memory: (classes) or NULL */
    void *images;         /* device memory: (n,h,w,3) of that type */
    uint8_t *labels;      /* device memory (n,h,w) */
    update update;
    int64_t step;     /* finished updates */
    double best_miou; /* -1 for none */
    double started;   /* log_seconds() when the program began to set up */
} trainer;

/* What one step came to, the same on every rank. */
typedef struct step_result {
    double loss, aux_loss, accuracy; /* of the global batch, before the update */
    double lr, grad_norm;
    double data_seconds; /* this rank's wait for the loader */
    bool stop;           /* some rank was asked to stop */
} step_result;

/*
 * Open shards, network, loader-independent memory. Collective; the same status on every rank. random_classes: 0, or the number of classes
 * of random images and labels that take the place of the shards, for measuring.
 */
entrain_status trainer_open(trainer *t, entrain_job *job, const config *c, int random_classes, entrain_error *err);
/* Start the loader at t->step; nothing to do for random images. */
entrain_status trainer_start_loader(trainer *t, entrain_error *err);
void trainer_close(trainer *t);

/* One update. Collective. A failure on one rank only returns there alone; a loss that is not finite returns ENTRAIN_NONFINITE on all. */
entrain_status trainer_step(trainer *t, bool stop_requested, step_result *out, entrain_error *err);

/* Memory of this rank that was planned before step 0: activations, parameters, state, a batch on the device; in bytes. */
double trainer_planned_bytes(const trainer *t);

/* The table before step 0, and the warnings about binding. */
void trainer_print_banner(const trainer *t);

#endif
