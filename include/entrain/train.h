/* Training, and the check that precedes it. */
#ifndef ENTRAIN_TRAIN_H
#define ENTRAIN_TRAIN_H

#include "entrain/config.h"
#include "entrain/job.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_train_options {
    const char *out; /* run folder, made when missing */
    int resume;      /* go on from the run folder's newest checkpoint; start at 0 where there is none */
} entrain_train_options;

/*
 * Train on all ranks of the job; returns when train.iterations are done. ENTRAIN_STOPPED after entrain_request_stop (a checkpoint has been
 * written), ENTRAIN_USAGE when the folder holds a run and resume is 0, ENTRAIN_DATA, ENTRAIN_DEVICE, ENTRAIN_COMM, ENTRAIN_NONFINITE.
 * Collective.
 */
ENTRAIN_API entrain_status entrain_train(entrain_job *job, const entrain_config *config, const entrain_train_options *options,
                                         entrain_error *err);
/* Ask training to stop after the current step, on all ranks; may be called from a signal handler on any rank. */
ENTRAIN_API void entrain_request_stop(void);
/* Validate configuration and shards; print layers, parameters, memory plan and images per rank. Touches nothing. Collective. */
ENTRAIN_API entrain_status entrain_check(entrain_job *job, const entrain_config *config, entrain_error *err);

typedef struct entrain_bench_options {
    int steps, warmup;  /* steps measured (at least 1), and taken before; 0, 0: 10 and 3 */
    int random_classes; /* random images of so many classes instead of the shards; 0: the shards */
    const char *json;   /* also write the figures to this file; NULL: do not */
} entrain_bench_options;

/*
 * Take some training steps and print what they were spent on, operation by operation beside the least that the machine allows, and what
 * they needed of memory. Writes nothing but options->json. ENTRAIN_USAGE, or as entrain_train. Collective.
 */
ENTRAIN_API entrain_status entrain_bench(entrain_job *job, const entrain_config *config, const entrain_bench_options *options,
                                         entrain_error *err);

#ifdef __cplusplus
}
#endif
#endif
