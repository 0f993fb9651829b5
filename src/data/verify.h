/* What verify counts, and the table that it prints. */
#ifndef DATA_VERIFY_H
#define DATA_VERIFY_H

#include <stdint.h>

#include "data/shard.h"

enum { VERIFY_LABELS = 256 };

/* Sums over all samples, of whole numbers alone, so that threads and ranks add them up in any order to the same. */
typedef struct verify_counts {
    int64_t pixels[VERIFY_LABELS];             /* with this label */
    int64_t samples[VERIFY_LABELS];            /* that have this label */
    int64_t samples_of_class[SHARD_MAX_NAMES]; /* classification */
    int64_t bytes;
    int64_t image_pixels;
    int64_t sum[3], squares[3]; /* of the channels' values 0..255 */
} verify_counts;

void verify_print(const shard_set *s, const char *folder, const verify_counts *n);

#endif
