/*
 * The one table of keys, as the files of this folder see it. A row says everything about a key: where its value lives in the struct,
 * its type, range, default and meaning. Parsing, checks, help, the resolved JSON and the schema only walk the rows, so a new key is
 * one row (table.c) and one struct field (config.h).
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* What a value is in JSON ... */
typedef enum config_type { TYPE_BOOL, TYPE_INTEGER, TYPE_NUMBER, TYPE_TEXT, TYPE_NAME } config_type;
/* ... and in the struct. */
typedef enum config_storage { STORE_BOOL, STORE_INT, STORE_ENUM, STORE_INT64, STORE_UINT64, STORE_DOUBLE, STORE_TEXT } config_storage;

/* The largest whole number up to which a JSON number (a double) holds every whole number: 2^53. */
#define CONFIG_WHOLE_MAX 9007199254740992.0

/* The value of a choice that entrain's documents name but this version lacks. */
enum { CHOICE_NOT_SUPPORTED = -1 };

/* One allowed value, by its name; an array of them ends with a NULL name. For TYPE_INTEGER the name is the number's decimal text. */
typedef struct config_choice {
    const char *name;
    int value;
} config_choice;

typedef struct config_key {
    const char *path;     /* "train.global_batch" */
    const char *fallback; /* the default, as JSON text */
    const char *help;     /* what it means: one or two sentences */
    config_type type;
    config_storage storage;
    size_t offset;                /* in config, of the value or of a list's first item */
    size_t count_offset;          /* in config, of a list's int length; 0: the length is fixed */
    int min_items, max_items;     /* a list of so many; 0, 0: a single value */
    double low, high;             /* numbers: the range */
    bool above_low, below_high;   /* the end itself is excluded */
    bool nullable;                /* null is allowed and stored as zeros */
    bool distinct;                /* list items must differ */
    const config_choice *choices; /* names, or the few integers allowed; NULL: any */
} config_key;

/* A group of keys: the part of the path before the dot. */
typedef struct config_section {
    const char *name, *help;
} config_section;

enum { CONFIG_MAX_KEYS = 96 };

/* All rows, those of a section next to each other; all sections in the same order. */
extern const config_key config_keys[];
extern const int config_key_count;
extern const config_section config_sections[];
extern const int config_section_count;

/* The row of a full path, NULL when there is none. */
const config_key *config_find(const char *path);
/* The section of that name (size characters of it), NULL when there is none. */
const config_section *config_find_section(const char *name, size_t size);
/* The section that a row belongs to, NULL for the top level. */
const config_section *config_section_of(const config_key *key);
/* The row's name without its section. */
const char *config_leaf(const config_key *key);

#endif
