/* One run of `pack` on one rank. */
#ifndef DATA_PACK_JOB_H
#define DATA_PACK_JOB_H

#include <limits.h>

#include "data/class_table.h"
#include "data/pack_internal.h"
#include "data/pack_listing.h"

enum { PACK_MAX_THREADS = 1024 };

typedef struct pack_job {
    pack_options given;  /* the caller's, but for the root's spelling */
    char root[PATH_MAX]; /* without slashes at its end */
    const pack_options *o;
    comm *c;
    const packer *packer;
    pack_listing listing; /* empty where the packer draws */
    class_table *table;
    shard_info *info;
    pack_staging staging;
    bool begun;     /* files of this run may lie in the folder */
    bool faulty;    /* this rank has found faults of the source */
    int64_t bytes;  /* stored by this rank */
    int64_t packed; /* samples */
} pack_job;

/* ENTRAIN_USAGE for options that cannot be, and for those that this packer has no use for. */
entrain_status pack_options_check(const pack_options *o, entrain_error *err);
entrain_status pack_options_fit(const pack_options *o, const packer *p, entrain_error *err);

/* Pack this rank's shards, but those that are there already. ENTRAIN_DATA with the faults of its samples and, on rank 0, of the listing;
 * ENTRAIN_STOPPED after a signal. */
entrain_status pack_shards(pack_job *j, entrain_error *err);

#endif
