/* A trained network from a checkpoint, ready to evaluate: what eval, predict and the library's entrain_network share. */
#ifndef TRAIN_LOADED_H
#define TRAIN_LOADED_H

#include "train/evaluate.h"

typedef struct loaded {
    params params;
    graph graph;
    evaluator *evaluator;
    shard_info info; /* classes, colours and export ids of the data set that it was trained on */
    int64_t step;
    char path[1024]; /* of the checkpoint */
} loaded;

/* checkpoint: a file or a run folder (best, else newest). type: of activations. c and be must outlive it. Close it whatever comes back. */
entrain_status loaded_open(loaded *l, const char *checkpoint, const config *c, dtype type, backend *be, entrain_error *err);
void loaded_close(loaded *l);

/* ENTRAIN_DATA where the shards of data.val (folder) have not as many classes as the network. */
entrain_status loaded_check_classes(const loaded *l, const shard_info *info, const char *folder, entrain_error *err);
/* The first class that has another name there; -1 for none. */
int loaded_other_name(const loaded *l, const shard_info *info);
/* A warning where there is one. */
void loaded_warn_names(const loaded *l, const shard_info *info, const char *folder);

#endif
