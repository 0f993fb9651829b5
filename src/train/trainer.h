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

/* What the device adds up in a step: over the rank, then over all. */
typedef struct step_sums {
    loss_sums heads[2]; /* main, auxiliary */
    double squares;     /* of the gradient */
} step_sums;
enum { STEP_HEAD_NUMBERS = 2 * sizeof(loss_sums) / sizeof(double) }; /* of both heads, all of them doubles */

/* Results of so many steps can wait on the device. */
enum { TRAINER_UNREAD = 64 };

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
    dtype type;                       /* of activations */
    float *class_weights;             /* device memory: (classes) or NULL */
    void *images;                     /* device memory: (n,h,w,3) of that type */
    uint8_t *bytes[BACKEND_SLOTS];    /* device memory: (n,h,w,3) as the loader brings them */
    uint8_t *labels[BACKEND_SLOTS];   /* device memory: (n,h,w) */
    const batch *held[BACKEND_SLOTS]; /* batches whose copies to there may be under way */
    uint64_t first;                   /* position in the run of images' first one */
    step_sums *sums;                  /* device memory: (TRAINER_UNREAD) of the steps whose results have not been read */
    int unread;
    update update;
    int64_t step;     /* finished updates, or queued ones */
    double best_miou; /* -1 for none */
    double started;   /* log_seconds() when the program began to set up */
} trainer;

/* What one step came to, the same on every rank. */
typedef struct step_result {
    double loss, aux_loss, accuracy; /* of the global batch, before the update; once they are read */
    double grad_norm;                /* likewise */
    double lr;
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

/*
 * One update. Collective. A failure on one rank only returns there alone. A device with memory of its own has only queued it on return:
 * what it comes to is known after trainer_read (which is called from here where the host computes, or when too many results wait).
 */
entrain_status trainer_step(trainer *t, bool stop_requested, step_result *out, entrain_error *err);
/*
 * Wait for the updates queued so far and fill *out's figures with the last one's. Collective. A loss or gradient of any of them that is not
 * finite returns ENTRAIN_NONFINITE on all ranks; its update has not been made.
 */
entrain_status trainer_read(trainer *t, step_result *out, entrain_error *err);

/* Memory of this rank that was planned before step 0: activations, parameters, state, a batch on the device; in bytes. */
double trainer_planned_bytes(const trainer *t);

/* The table before step 0, and the warnings about binding. */
void trainer_print_banner(const trainer *t);

#endif
