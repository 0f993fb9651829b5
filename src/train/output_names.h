/* Names of files that are written for images: no two images share one, whatever they are called. */
#ifndef TRAIN_OUTPUT_NAMES_H
#define TRAIN_OUTPUT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "entrain/status.h"

enum { OUTPUT_NAME = 512, OUTPUT_PATH = 4096 };

/* Names given so far; zero at first. */
typedef struct output_names {
    void *tree;
} output_names;
void output_names_free(output_names *n);

/* "street" from "photos/street.png"; "image" where nothing is left that can be a name. Longer ones than a file can
 * have are cut. */
void output_stem(const char *path, char name[OUTPUT_NAME]);
/* Take this name: false where an earlier one is the same, *failed where memory is out. */
bool output_names_take(output_names *n, const char *name, bool *failed);
/*
 * A name of its own for an image that should be called `wanted`: it gets -2, -3 and so on where NAME, or what is written beside it
 * (NAME_overlay, NAME_compare), is taken. ENTRAIN_DEVICE when out of memory.
 */
entrain_status output_names_give(output_names *n, const char *wanted, char name[OUTPUT_NAME], entrain_error *err);

/* FOLDER/NAME_ENDING, or ENTRAIN_USAGE where the path is too long. */
entrain_status output_path(const char *folder, const char *name, const char *ending, char path[OUTPUT_PATH], entrain_error *err);

#endif
