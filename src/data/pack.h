/* Packers: one row a data set (pack.c), one file a packer. */
#ifndef DATA_PACK_H
#define DATA_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "entrain/status.h"

typedef struct pack_options {
    const char *dataset; /* row's name */
    const char *root;    /* folder of the source; NULL where the packer needs none */
    const char *split;
    const char *out;     /* folder of the shards */
    int shards;          /* 0: chosen by size */
    int64_t images;      /* synthetic: how many; 0: the packer's default */
    uint64_t seed;       /* synthetic */
    int height, width;   /* synthetic: size of the scenes; 0: default */
    const char *classes; /* folder: JSON table of classes; imagefolder: file of class names, one a line; NULL */
    const char *list;    /* imagefolder: "PATH CLASS_INDEX" lines; others that read files: ids of the split, one a line; NULL */
    const char *images_folder, *labels_folder; /* folder: within root; NULL: "images", "labels" */
    int max_side, short_side; /* resize so that the longer side is at most, the shorter side is this (never enlarging); 0: not */
    int jpeg_quality;         /* 1..100: store images as JPEG of this quality; 0: not */
    bool png;                 /* store images as PNG; neither: keep their bytes where they are not resized */
    int threads;              /* of each rank; 0: as many as it has CPUs */
} pack_options;

/*
 * Pack one split; ranks share the shards out. ENTRAIN_USAGE for an unknown data set (with the list), ENTRAIN_DATA for bad sources: then
 * nothing stays, as the shards get their names when all samples of all ranks are good, and every rank returns the same error. INT, TERM and
 * USR1 end it with ENTRAIN_STOPPED: finished shards wait, and the same call goes on from there, as it does after the process was killed or
 * the disk was full. Options that the data set's packer has no use for are ENTRAIN_USAGE, and so the caller must leave them 0 or NULL.
 * The files' bytes depend neither on ranks nor on threads.
 */
entrain_status pack_run(const pack_options *o, comm *c, entrain_error *err);
/* The rows, for help texts: name and a line each; NULL past the last. */
const char *pack_name(int row);
const char *pack_help(int row);

/*
 * Read every sample of every shard in a folder: checksum, decoding, sizes, label range. Ranks share the samples out; prints a table of what
 * is there. Where a rank finds faults, every rank returns ENTRAIN_DATA with all of them (the first 20 of each rank). threads: of each rank,
 * 0 for its CPUs.
 */
entrain_status pack_verify(const char *folder, int threads, comm *c, entrain_error *err);

/*
 * Write the samples of a folder of shards as files below `out`, named by their ids: images/ID.jpg or .png, as they are stored, and
 * labels/ID.png in the data set's own ids, or in the stored classes with train_ids; in classification CLASS/ID.jpg. Ranks share the samples
 * out. ENTRAIN_DATA for damaged samples and ids that would leave the folder.
 */
entrain_status pack_unpack(const char *folder, const char *out, bool train_ids, int threads, comm *c, entrain_error *err);

#endif
