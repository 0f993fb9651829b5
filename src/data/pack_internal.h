/* What a packer is made of, and what the files of `pack` and `verify` share. */
#ifndef DATA_PACK_INTERNAL_H
#define DATA_PACK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "data/pack.h"
#include "data/shard.h"

/*
 * One data set's packer. open finds the samples of a split and fills info's classes, names, colours, export_ids and samples_total (the
 * rest is filled by the driver). sample fills image, label (8-bit grey PNG, mapped), height, width and id of one sample, the same whatever
 * was asked before; a fault of the source is ENTRAIN_DATA with the file in its text, and the driver goes on to collect further faults.
 */
typedef struct packer {
    const char *name, *help;
    int least_shards; /* chosen by default for few samples, so that several ranks have work */
    entrain_status (*open)(const pack_options *o, shard_info *info, void **state, entrain_error *err);
    entrain_status (*sample)(void *state, int64_t index, shard_sample *out, entrain_error *err);
    void (*close)(void *state); /* of NULL too */
} packer;

extern const packer packer_camvid, packer_synthetic;

typedef struct pack_class {
    const char *name;
    uint8_t color[3];
    uint8_t id; /* the data set's own */
} pack_class;

/* Put a table of classes and the data set's own id of void into info. */
void pack_put_classes(shard_info *info, const pack_class *classes, int count, uint8_t void_id);

/* A list of faults in err's text: the first PACK_FAULTS in full, the others counted. */
enum { PACK_FAULTS = 20 };
typedef struct pack_faults {
    int64_t count;
    entrain_error list;
} pack_faults;
void pack_faults_add(pack_faults *f, const entrain_error *fault);
/* The whole list with how many were left out, headed by `title`. ENTRAIN_DATA, or ENTRAIN_OK where there is none. */
entrain_status pack_faults_report(const pack_faults *f, const char *title, entrain_error *err);

/* ENTRAIN_DATA where the folder holds shards of another split or of another number of shards. */
entrain_status pack_check_folder(const char *folder, const char *split, int shards, entrain_error *err);

/*
 * All ranks learn of every rank's failure: where one failed, all get the first failed rank's status and the texts of all. Collective. err
 * is not NULL and filled where mine is not ENTRAIN_OK.
 */
entrain_status pack_agree(comm *c, entrain_status mine, entrain_error *err);

/* A line of progress at most every two seconds; rank 0's own share stands for the whole. */
typedef struct pack_progress {
    const char *verb;
    int64_t total, done; /* of this rank */
    double begun, shown;
} pack_progress;
void pack_progress_begin(pack_progress *p, const char *verb, int64_t total);
void pack_progress_step(pack_progress *p);

#endif
