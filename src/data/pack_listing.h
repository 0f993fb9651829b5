/* The files of a split, as a packer finds them. */
#ifndef DATA_PACK_LISTING_H
#define DATA_PACK_LISTING_H

#include <stdint.h>

#include "data/pack_internal.h"

typedef struct pack_item {
    char *image;         /* path */
    char *label;         /* path; NULL in classification */
    char *id;            /* shorter than SHARD_ID */
    int32_t class_index; /* classification; -1 otherwise */
} pack_item;

/* Items in the order in which they are stored: by id. Faults found while listing (an image without a label, ...) are collected beside. */
typedef struct pack_listing {
    pack_item *items;
    int64_t count, capacity;
    pack_faults faults;
} pack_listing;

/* Takes copies. ENTRAIN_DEVICE when out of memory. An id that is too long becomes a fault. */
entrain_status pack_listing_add(pack_listing *l, const char *image, const char *label, const char *id, int32_t class_index,
                                entrain_error *err);
/* Note a fault of the source, naming the file. */
void pack_listing_fault(pack_listing *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sort by id; a repeated id becomes a fault. */
void pack_listing_sort(pack_listing *l);
void pack_listing_free(pack_listing *l);

#endif
