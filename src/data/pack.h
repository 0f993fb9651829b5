/* Packers: one row a data set (pack.c), one file a packer. */
#ifndef DATA_PACK_H
#define DATA_PACK_H

#include <stdint.h>

#include "comm/comm.h"
#include "entrain/status.h"

typedef struct pack_options {
    const char *dataset; /* row's name */
    const char *root;    /* folder of the source; NULL where the packer needs none */
    const char *split;
    const char *out;   /* folder of the shards */
    int shards;        /* 0: chosen by size */
    int64_t images;    /* synthetic: how many; 0: the packer's default */
    uint64_t seed;     /* synthetic */
    int height, width; /* synthetic: size of the scenes; 0: default */
} pack_options;

/* Pack one split; ranks share the shards out. ENTRAIN_USAGE for an unknown data set (with the list), ENTRAIN_DATA for bad sources. Nothing
 * half-written stays: the shards get their names when all samples of all ranks are good, and every rank returns the same error otherwise.
 */
entrain_status pack_run(const pack_options *o, comm *c, entrain_error *err);
/* The rows, for help texts: name and a line each; NULL past the last. */
const char *pack_name(int row);
const char *pack_help(int row);

/* Read every sample of every shard in a folder: checksum, decoding, sizes, label range. Ranks share the samples out; prints a table of what
 * is there. Where a rank finds faults, every rank returns ENTRAIN_DATA with all of them (the first 20 of each rank). */
entrain_status pack_verify(const char *folder, comm *c, entrain_error *err);

#endif
