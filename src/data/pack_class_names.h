/* The classes of classification: a file of names, one a line, or the names of folders. */
#ifndef DATA_PACK_CLASS_NAMES_H
#define DATA_PACK_CLASS_NAMES_H

#include "data/pack_files.h"

/* The place in the list is the class. */
typedef struct class_names {
    char **lines;
    int64_t count, capacity;
} class_names;

entrain_status class_names_add(class_names *n, const char *line, entrain_error *err);
entrain_status class_names_read(class_names *n, const char *path, entrain_error *err);
void class_names_sort(class_names *n);
void class_names_free(class_names *n);
/*
 * The class whose line is `folder`, or whose line begins with it as a word ("n01440764 tench, Tinca tinca"); -1 where there is none or
 * where it could be several.
 */
int32_t class_names_find(const class_names *n, const char *folder);
/*
 * Put task, number and names into info; a name too long for it loses its last words. ENTRAIN_DATA with source for none, too many or
 * repeated names.
 */
entrain_status class_names_describe(const class_names *n, const char *source, shard_info *info, entrain_error *err);

#endif
