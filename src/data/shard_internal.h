/* Names and limits that writing and reading shards share. */
#ifndef DATA_SHARD_INTERNAL_H
#define DATA_SHARD_INTERNAL_H

#include <hdf5.h>

#include "data/shard.h"

enum { SHARD_FORMAT = 1, SHARD_MAX_SHARDS = 99999 };

/* crc32 of the image's bytes, then the label's. */
uint32_t shard_checksum(const shard_sample *s);

/* Shards that wait for the rest of their set: complete files under this ending. */
#define SHARD_STAGED ".staged"
/* SPLIT.packing says to which work they belong (pack_staging.c). */
#define SHARD_PACKING ".packing"

/* shard_create, but shard_finish gives the file its final name followed by this ending. */
entrain_status shard_create_as(const char *folder, const char *ending, const shard_info *info, int shard, int shards, int64_t samples,
                               shard_writer **out, entrain_error *err);

/* How many files a set has. */
int shard_file_count(const shard_set *s);

/* shard_open, but a shard that cannot be used is told to `fault` and left out, so that what is wrong with the others can be told too. */
typedef void (*shard_fault)(void *context, const entrain_error *fault);
entrain_status shard_open_sound(const char *folder, shard_fault fault, void *context, shard_set **out, entrain_error *err);

/* Attributes that describe a split; false on failure. In classification the names are a dataset, as an attribute may not be that long. */
bool shard_put_info(hid_t file, const shard_info *info, int shard, int shards);
/* The same read back; false where one is missing or of another kind, with its name in *bad. */
bool shard_get_attributes(hid_t file, shard_info *info, int *shard, int *shards, const char **bad);
bool shard_is_classification(const shard_info *info);

/* A table is one chunk under a checksum of its own, which libhdf5 checks on reading. false on failure. */
bool shard_table_write(hid_t where, const char *name, hid_t type, int64_t count, const void *values);
/* Read a whole table of `count` elements (count -1: find out) of `size` bytes each; newly allocated, NULL on failure. */
void *shard_table_read(hid_t file, const char *name, hid_t type, H5T_class_t kind, size_t size, int64_t *count);

/* What a shard says of each of its samples. */
typedef struct shard_tables {
    int64_t count;
    uint64_t *image_offset; /* (count + 1) */
    uint64_t *label_offset; /* (count + 1); NULL in classification */
    int32_t *label_class;   /* classification; NULL otherwise */
    int32_t *height, *width;
    int32_t *source_height, *source_width; /* reading: NULL where the file has none */
    uint32_t *crc32;
    char (*id)[SHARD_ID];
} shard_tables;

bool shard_tables_alloc(shard_tables *t, int64_t samples, bool classification);
void shard_tables_free(shard_tables *t);
/* Write all but the bytes; the source's sizes only where they differ from the stored ones. false on failure. */
bool shard_tables_write(hid_t file, const shard_tables *t);
/* What the attribute `tables_crc32` must hold: a crc32 over what the shard says of its split and of each sample. */
uint32_t shard_tables_sum(const shard_info *info, int shard, int shards, const shard_tables *t);

/* shard_check.c: whether a text of at most `size` bytes ends, is not empty and can be printed. */
bool shard_plain_text(const char *text, size_t size);
/* A path that stays where it is put: not absolute, and no part of it empty, "." or "..". */
bool shard_path_stays(const char *path);
/* What is wrong with an id, as the end of a sentence; NULL: nothing. */
const char *shard_wrong_id(const char id[SHARD_ID]);
/* Whether the file itself stores that many bytes in this dataset, compressed or not: a table may claim more than there is memory for. */
bool shard_holds(hid_t file, hid_t set, uint64_t bytes);

/* One open shard of a set. */
typedef struct shard_file {
    char *name; /* within the folder */
    hid_t file, images, labels;
    int64_t count, first; /* samples here; index in the split of the first */
    shard_tables t;
} shard_file;

struct shard_set {
    char *folder;
    shard_info info;
    shard_file *files;
    int file_count;
    int64_t count;
};

/* An error that says what is wrong with this shard. */
entrain_status shard_damaged(const char *folder, const shard_file *f, const char *what, entrain_error *err);
/* Fill count and the tables of a shard whose file is open, open its byte arrays, and check that all of it fits together. */
entrain_status shard_read_tables(const char *folder, shard_file *f, const shard_info *info, entrain_error *err);
/* Compare `tables_crc32`, where there is one. */
entrain_status shard_check_tables(const char *folder, const shard_file *f, const shard_info *info, int shard, int shards,
                                  entrain_error *err);

#endif
