/* Making and checking shards. */
#ifndef ENTRAIN_DATA_H
#define ENTRAIN_DATA_H

#include <stdint.h>

#include "entrain/job.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_pack_options {
    const char *dataset; /* a name of entrain_pack_name */
    const char *root;    /* folder of the source; NULL for synthetic */
    const char *split;   /* "train", "val", ... */
    const char *out;     /* folder for the shards */
    int shards;          /* 0: chosen */
    int64_t images;      /* synthetic: number of images, 0: chosen */
    uint64_t seed;       /* synthetic */
    int height, width;   /* synthetic: size, 0: chosen */
} entrain_pack_options;

/* Pack one split of a data set into shards; the ranks share them out. Collective. */
ENTRAIN_API entrain_status entrain_pack(entrain_job *job, const entrain_pack_options *options, entrain_error *err);
/* Read and check every sample of a folder of shards. Collective. */
ENTRAIN_API entrain_status entrain_verify(entrain_job *job, const char *folder, entrain_error *err);
/* The data sets that can be packed: name and a line of help; NULL past the last row. */
ENTRAIN_API const char *entrain_pack_name(int row);
ENTRAIN_API const char *entrain_pack_help(int row);

#ifdef __cplusplus
}
#endif
#endif
