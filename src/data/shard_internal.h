/* Names and limits that writing and reading shards share. */
#ifndef DATA_SHARD_INTERNAL_H
#define DATA_SHARD_INTERNAL_H

#include <hdf5.h>

#include "data/shard.h"

enum { SHARD_FORMAT = 1, SHARD_MAX_SHARDS = 99999 };

/* crc32 of the image's bytes, then the label's. */
uint32_t shard_checksum(const shard_sample *s);

/*
 * The first half of shard_finish: the whole shard lies on disk under its temporary name, its file closed, and shard_finish only renames it.
 * The writer stays valid, also after a failure: it is then only good for shard_abandon.
 */
entrain_status shard_seal(shard_writer *w, entrain_error *err);

/* How many files a set has. */
int shard_file_count(const shard_set *s);

/* Attributes that describe a split; false on failure. */
bool shard_put_info(hid_t file, const shard_info *info, int shard, int shards);
/* The same read back; false where one is missing or of another kind, with its name in *bad. */
bool shard_get_attributes(hid_t file, shard_info *info, int *shard, int *shards, const char **bad);

/* One open shard of a set. */
typedef struct shard_file {
    char *name; /* within the folder */
    hid_t file, images, labels;
    int64_t count, first; /* samples here; index in the split of the first */
    uint64_t *image_offset, *label_offset;
    int32_t *height, *width;
    uint32_t *crc32;
    char (*id)[SHARD_ID];
} shard_file;

/* An error that says what is wrong with this shard. */
entrain_status shard_damaged(const char *folder, const shard_file *f, const char *what, entrain_error *err);
/* Fill count and the tables of a shard whose file is open, open its byte arrays, and check that all of it fits together. */
entrain_status shard_read_tables(const char *folder, shard_file *f, entrain_error *err);

#endif
