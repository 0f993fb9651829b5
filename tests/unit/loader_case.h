/* A small run of the loader, for its tests. */
#ifndef LOADER_CASE_H
#define LOADER_CASE_H

#include "data/loader.h"
#include "small_shards.h"

enum { SAMPLES = 17, GLOBAL = 7, STEPS = 6, POSITIONS = GLOBAL * STEPS, H = 24, W = 32, AREA = H * W };

/* All samples on one rank, everything random, two workers. */
extern const loader_options LOADER_CASE;

/* Each fails the test where it does not succeed. */
shard_set *loader_case_set(const small_shards *s);
loader *loader_case_open(shard_set *set, const loader_options *o);
const batch *loader_case_next(loader *l);

#endif
