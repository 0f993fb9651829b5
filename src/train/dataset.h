/* What a checkpoint remembers of the data set it was trained on, so that prediction needs no shards: class names, colours, export ids, as
 * JSON. */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include "data/shard.h"

/* Newly allocated text; the caller frees it. NULL when out of memory. */
char *dataset_to_json(const shard_info *info);
/* The other way round; source names the file in messages. ENTRAIN_DATA when the text is not such a description. */
entrain_status dataset_from_json(const char *json, const char *source, shard_info *out, entrain_error *err);

#endif
