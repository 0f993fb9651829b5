/*
 * Shards: a data set as HDF5 files NAME-00003-of-00016.h5 in one folder; the layout stands in the README. All images are encoded files, all
 * labels lossless PNG already mapped to 0..classes-1 and 255, so nothing above this header maps labels.
 */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"

/* Label maps have at most SHARD_MAX_CLASSES classes, classification has at most SHARD_MAX_NAMES. */
enum { SHARD_MAX_CLASSES = 255, SHARD_MAX_NAMES = 5000, SHARD_NAME = 64, SHARD_ID = 128, SHARD_IGNORE = 255 };
#define SHARD_SEGMENTATION "segmentation"
#define SHARD_CLASSIFICATION "classification"

/* What every shard of a split says alike, in its root attributes. Large: not for the stack of a deep call. */
typedef struct shard_info {
    char dataset[SHARD_NAME], split[SHARD_NAME], task[SHARD_NAME];
    int classes;
    char names[SHARD_MAX_NAMES][SHARD_NAME];
    uint8_t colors[SHARD_MAX_CLASSES][3]; /* this and the next: label maps alone */
    uint8_t export_ids[256]; /* the data set's own id of each class, and of 255 (attribute `export_ids`): what predict writes */
    int64_t samples_total;
} shard_info;

/* One stored sample: its encoded bytes. Buffers are owned and reused from one read to the next. */
typedef struct shard_sample {
    uint8_t *image;
    size_t image_size, image_capacity;
    uint8_t *label;
    size_t label_size, label_capacity;
    int height, width;
    int source_height, source_width; /* before the packer resized it: the size that a submission must have; appending: 0 for the same */
    int32_t label_class;             /* classification; there label_size is 0. -1 otherwise */
    uint32_t crc32;                  /* of image bytes, then label bytes (zlib's crc32) */
    char id[SHARD_ID];
    int64_t index; /* in the split */
} shard_sample;
void shard_sample_free(shard_sample *s);

/* ---- reading ---- */

typedef struct shard_set shard_set; /* all shards of a folder; one thread at a time (HDF5 is not thread-safe) */

/*
 * Open a folder of shards and check that they belong together: every one of the numbered files there, attributes alike, offsets ascending,
 * counts adding up to samples_total. Opened read-only without file locks. ENTRAIN_DATA with the shard and what to do (which command makes
 * them).
 */
entrain_status shard_open(const char *folder, shard_set **out, entrain_error *err);
void shard_close(shard_set *s);
const shard_info *shard_get_info(const shard_set *s);
int64_t shard_count(const shard_set *s);
void shard_size(const shard_set *s, int64_t index, int *height, int *width);
/* ENTRAIN_DATA where the shards are made for another task: "data.train (FOLDER): ... for classification, but ...". */
entrain_status shard_require_task(const shard_set *s, const char *task, const char *key, entrain_error *err);
/* Give the buffers of out room for any sample of the set, so that shard_read never has to grow them. false: out of memory. */
bool shard_reserve(const shard_set *s, shard_sample *out);
/* Read one sample and check its crc32: a mismatch is ENTRAIN_DATA naming shard, sample and id. */
entrain_status shard_read(shard_set *s, int64_t index, shard_sample *out, entrain_error *err);
/* "train-00000-of-00004.h5 sample 17 (id 0001TP_006690)", for messages about a sample. */
void shard_describe(const shard_set *s, int64_t index, char *text, size_t size);
/* Its id; the set's own memory. */
const char *shard_id(const shard_set *s, int64_t index);

/* ---- writing ---- */

typedef struct shard_writer shard_writer;

/* Begin shard number `shard` of `shards` in folder (made when missing). samples: how many will be added. */
entrain_status shard_create(const char *folder, const shard_info *info, int shard, int shards, int64_t samples, shard_writer **out,
                            entrain_error *err);
/* Append; crc32 and index are filled by the writer. */
entrain_status shard_append(shard_writer *w, const shard_sample *s, entrain_error *err);
/* Finish: the tables, flush, sync, rename to its final name. The writer is freed whatever happens. */
entrain_status shard_finish(shard_writer *w, entrain_error *err);
/* Throw the unfinished shard away. */
void shard_abandon(shard_writer *w);

#endif
