/* What a packer is made of, and what the files of `pack` and `verify` share. */
#ifndef DATA_PACK_INTERNAL_H
#define DATA_PACK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "data/pack.h"
#include "data/shard.h"

struct pack_listing;
struct pack_item;
struct class_table;

/* A packer that draws its samples instead of reading files. */
typedef struct pack_drawing {
    /* Per worker thread. */
    entrain_status (*open)(const pack_options *o, void **state, entrain_error *err);
    /* Fill image, label (8-bit grey PNG, mapped), height, width and id: the same whatever was asked before. */
    entrain_status (*sample)(void *state, int64_t index, shard_sample *out, entrain_error *err);
    void (*close)(void *state); /* of NULL too */
} pack_drawing;

/*
 * One data set's packer. list finds the samples of a split: fills listing (faults of the source go there, so that all are told at once;
 * what cannot be listed at all, such as a missing folder, is the returned error), the table of classes that maps its labels (not in
 * classification), and of info the task, classes, names, colours and export_ids. A packer with a drawing has no listing and sets
 * info->samples_total. The driver (pack.c) reads, checks, maps, resizes and stores, in several threads.
 */
enum {
    PACK_TAKES_ROOT = 1,
    PACK_TAKES_LIST = 2,
    PACK_TAKES_CLASSES = 4,
    PACK_TAKES_FOLDERS = 8,
    PACK_TAKES_FORM = 16,    /* sizes and codec */
    PACK_TAKES_DRAWING = 32, /* number, seed and size of what is drawn */
    PACK_TAKES_SOURCE = PACK_TAKES_ROOT | PACK_TAKES_LIST | PACK_TAKES_FORM
};
typedef struct packer {
    const char *name, *help;
    unsigned takes; /* options that apply */
    entrain_status (*list)(const pack_options *o, struct pack_listing *listing, struct class_table *table, shard_info *info,
                           entrain_error *err);
    const pack_drawing *drawing; /* NULL: files */
} packer;

extern const packer packer_ade20k, packer_camvid, packer_cityscapes, packer_folder, packer_imagefolder, packer_synthetic;

/* A list of faults in err's text: the first PACK_FAULTS as far as they fit, the others counted. */
enum { PACK_FAULTS = 20 };
typedef struct pack_faults {
    int64_t count, shown;
    entrain_error list;
} pack_faults;
/* Control characters of names, say, become question marks. */
void pack_faults_add(pack_faults *f, const entrain_error *fault);
/* The whole list with how many were left out, headed by `title`. ENTRAIN_DATA, or ENTRAIN_OK where there is none. */
entrain_status pack_faults_report(const pack_faults *f, const char *title, entrain_error *err);

/* ---- pack_sample.c: one sample, from its files to what is stored ---- */

/* What becomes of a sample: stored, or faults that name its files (of its image, of its label). */
typedef struct pack_result {
    shard_sample sample;
    entrain_error faults[2];
    int fault_count;
} pack_result;

typedef struct pack_worker pack_worker; /* what one thread needs for itself */
entrain_status pack_worker_open(pack_worker **out, entrain_error *err);
void pack_worker_close(pack_worker *w);
/* Read, decode, compare, map, resize, encode. Returns a failure only where it is no fault of the source. */
entrain_status pack_sample(pack_worker *w, const pack_options *o, const struct pack_item *item, const struct class_table *table,
                           pack_result *out, entrain_error *err);
/* The size that --max-side and --short-side make of height and width. */
void pack_target_size(const pack_options *o, int *height, int *width);

/* ---- pack_fingerprint.c ---- */

/* Changes with whatever changes the shards: options, classes, the listing with its files' sizes and times. The ranks share the files out.
 * Collective; ENTRAIN_DATA where the ranks do not see the same files. */
entrain_status pack_fingerprint(comm *c, const pack_options *o, int shards, const shard_info *info, const struct pack_listing *listing,
                                const struct class_table *table, uint64_t *out, entrain_error *err);

/* ---- pack_staging.c: shards wait under a staging name until all are there, beside a file that says what they belong to ---- */

typedef struct pack_staging {
    const char *folder, *split;
    int shards;
    uint64_t fingerprint;
    bool resumed;  /* an earlier start of the same work has left something */
    bool finished; /* it had left all of it: nothing remains to be done */
    bool mine;     /* on rank 0: no other `pack` writes here until pack_staging_end */
    int lock;      /* rank 0's, on the folder; -1: none */
} pack_staging;

/* Lock the folder, look at it, and clear away what earlier starts of other work have left. ENTRAIN_DATA where it holds shards of another
 * split or of another number of shards, or where another `pack` is writing. Collective. pack_staging_end follows, whatever happens. */
entrain_status pack_staging_begin(pack_staging *s, comm *c, entrain_error *err);
void pack_staging_end(pack_staging *s);
/* Whether this shard is there already. */
bool pack_staging_has(const pack_staging *s, int shard);
/* Give all shards their final names; once begun, the next start ends it. Collective. */
entrain_status pack_staging_publish(const pack_staging *s, comm *c, entrain_error *err);
/* Remove all that waits. Rank 0 alone, when no other rank writes any more. */
void pack_staging_remove(const pack_staging *s);

/*
 * All ranks learn of every rank's failure: where one failed, all get the first failed rank's status and the texts of all. Collective. err
 * is not NULL and filled where mine is not ENTRAIN_OK.
 */
entrain_status pack_agree(comm *c, entrain_status mine, entrain_error *err);

/* A line of progress at most every two seconds; rank 0's own share stands for the whole. */
typedef struct pack_progress {
    const char *verb;
    int64_t total, done; /* of this rank */
    int64_t all;         /* of all ranks */
    double begun, shown;
} pack_progress;
void pack_progress_begin(pack_progress *p, const char *verb, int64_t total, int64_t all);
void pack_progress_step(pack_progress *p);

/* INT, TERM and USR1 are noticed instead of ending the process, until pack_signals_end, which may be called without any begin. */
void pack_signals_begin(void);
bool pack_signals_stop(void);
void pack_signals_end(void);

#endif
