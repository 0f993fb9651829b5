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
    const char *classes; /* folder: JSON table of classes; imagefolder: file of class names, one a line; or NULL */
    const char *list;    /* imagefolder: "PATH CLASS_INDEX" lines; others that read files: ids of the split, one a line; or NULL */
    const char *images_folder, *labels_folder; /* folder: within root; NULL: "images" and "labels" */
    int max_side, short_side;                  /* make images smaller: longer side at most, shorter side; 0: not */
    int jpeg_quality;                          /* 1..100: store all images as JPEG; 0: not */
    int png;                                   /* not 0: store all images as PNG. Neither: as they come */
    int threads;                               /* of each rank; 0: its CPUs */
} entrain_pack_options;

typedef struct entrain_unpack_options {
    const char *folder; /* of shards */
    const char *out;    /* folder for the files */
    int train_ids;      /* label maps hold the stored classes and 255; 0: the data set's own ids */
    int threads;        /* of each rank; 0: its CPUs */
} entrain_unpack_options;

/* Pack one split of a data set into shards; the ranks share them out. ENTRAIN_STOPPED after INT, TERM or USR1: the same call goes on.
 * Collective. */
ENTRAIN_API entrain_status entrain_pack(entrain_job *job, const entrain_pack_options *options, entrain_error *err);
/* Read and check every sample of a folder of shards. threads: of each rank; 0: its CPUs. Collective. */
ENTRAIN_API entrain_status entrain_verify(entrain_job *job, const char *folder, int threads, entrain_error *err);
/* Write the samples of a folder of shards as files. Collective. */
ENTRAIN_API entrain_status entrain_unpack(entrain_job *job, const entrain_unpack_options *options, entrain_error *err);
/* The data sets that can be packed: name and a line of help; NULL past the last row. */
ENTRAIN_API const char *entrain_pack_name(int row);
ENTRAIN_API const char *entrain_pack_help(int row);

#ifdef __cplusplus
}
#endif
#endif
