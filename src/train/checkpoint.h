/*
 * Checkpoints: HDF5 files readable with h5py, complete or absent (written beside, synced, renamed), with a checksum over the contents.
 * The layout stands in the README. Texts are fixed-length UTF-8 attributes, which h5py gives as bytes.
 *
 * /model/NAME and /optimizer/momentum/NAME are float32; norm weights carry `methods` ("bn,in,ln"). Root attributes: format_version (int64,
 * 1), entrain_version, step (int64), seed (uint64), best_miou (float64), config, dataset (JSON, left out where there is none), checksum.
 *
 * checksum (uint32) is zlib's CRC-32 of these bytes, one after another, numbers little-endian:
 *   format_version int64, step int64, seed uint64, best_miou float64;
 *   entrain_version, a zero byte; config, a zero byte; dataset or nothing, a zero byte;
 *   for each dataset of /model, names ascending bytewise, and then for each of /optimizer/momentum likewise:
 *     its path ("/model/backbone.conv1.weight"), a zero byte; its attribute `methods` or nothing, a zero byte;
 *     number of dimensions uint64; each dimension uint64; the values, float32, row-major.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "entrain/status.h"
#include "model/params.h"

typedef struct checkpoint_meta {
    int64_t step; /* finished updates */
    uint64_t seed;
    const char *config_json;  /* writing: the resolved configuration; reading: newly allocated, the caller frees it */
    const char *dataset_json; /* the data set's classes, colours and ids; NULL for none. Reading: as config_json */
    double best_miou;         /* best validation mIoU so far, -1 for none (attribute best_miou) */
} checkpoint_meta;

/* Write all tensors of the store, and its momentum. Rank 0's business. ENTRAIN_DATA with errno's text (a full disk, for one); the old file,
 * if any, stays. */
entrain_status checkpoint_write(const char *path, const params *p, const checkpoint_meta *meta, entrain_error *err);

/*
 * Read a checkpoint into the store. Every tensor must be there in its shape, else all that differ are listed (ENTRAIN_DATA). need_checksum:
 * refuse a file without a right one (resume); otherwise a file with /model alone is taken too. with_momentum: /optimizer is required and
 * read.
 */
entrain_status checkpoint_read(const char *path, params *p, bool need_checksum, bool with_momentum, checkpoint_meta *meta,
                               entrain_error *err);

/*
 * model.init: take every tensor of the file's /model whose name and shape fit, leave the others as initialised, and say how many of
 * each. A file where nothing fits is an error. Classification layers (fc) of other programs are skipped.
 */
entrain_status checkpoint_read_init(const char *path, params *p, int *taken, int *left, entrain_error *err);

/* The configuration stored in a checkpoint as newly allocated text. */
entrain_status checkpoint_read_config(const char *path, char **json, entrain_error *err);
/* The data set's description stored in a checkpoint likewise; *json is NULL where it has none. */
entrain_status checkpoint_read_dataset(const char *path, char **json, entrain_error *err);

/* A file, or a run folder: then checkpoints/best.h5 if prefer_best and there, else the newest complete one that `latest` names. */
entrain_status checkpoint_find(const char *file_or_run, bool prefer_best, char *path, size_t size, entrain_error *err);

/* Run folder upkeep: path of step's file; point `latest` at it (atomically); delete all but the newest keep periodic ones (0: keep all). */
void checkpoint_path(const char *run, int64_t step, char *path, size_t size);
entrain_status checkpoint_set_latest(const char *run, int64_t step, entrain_error *err);
entrain_status checkpoint_prune(const char *run, int keep, entrain_error *err);

#endif
