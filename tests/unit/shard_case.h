/* Shards of made-up bytes (no images: the shard layer does not look inside), for tests of writing and reading them. */
#ifndef SHARD_CASE_H
#define SHARD_CASE_H

#include "data/shard.h"

enum { CASE_CLASSES = 3, CASE_LONGEST = 5000, CASE_FOLDER = 256, CASE_PATH = 512 };

/* A new temporary folder, and its removal with all that is in it. */
void case_folder_make(char folder[CASE_FOLDER]);
void case_folder_remove(const char *folder);

/* What the shards say alike. */
void case_info(shard_info *info, int64_t samples_total);
/* Sample i of the case: buffers from malloc, of sizes that vary, the first empty label among them. */
void case_sample(int64_t i, shard_sample *s);
/* Write `samples` samples as `shards` shards named train-*, dealt out evenly. */
void case_write(const char *folder, int64_t samples, int shards);
/* s is sample i. */
void assert_case_sample(const shard_sample *s, int64_t i);

#endif
