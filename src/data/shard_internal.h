/* Names and limits that writing and reading shards share. */
#ifndef DATA_SHARD_INTERNAL_H
#define DATA_SHARD_INTERNAL_H

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
bool shard_put_info(long long file, const shard_info *info, int shard, int shards);
/* The same read back; false where one is missing or of another kind, with its name in *bad. */
bool shard_get_attributes(long long file, shard_info *info, int *shard, int *shards, const char **bad);

#endif
