/* A made-up source of a data set in a temporary folder, and what a packer lists of it. */
#ifndef SOURCE_TREE_H
#define SOURCE_TREE_H

#include "data/class_table.h"
#include "data/pack_listing.h"
#include "shard_case.h"

typedef struct source_tree {
    char root[CASE_FOLDER];
    pack_options options; /* its root is this one */
    pack_listing listing; /* of the last tree_list */
    class_table table;
    shard_info *info;
    entrain_error err;
} source_tree;

void tree_make(source_tree *t);
void tree_remove(source_tree *t);
/* "root/NAME"; valid until the fourth call after this. */
const char *tree_path(const source_tree *t, const char *name);
/* A file with this text, and the folders above it. */
void tree_put(source_tree *t, const char *name, const char *text);
/* Many of them, with a byte each; NULL ends the list. */
void tree_fill(source_tree *t, const char *const *names);
void tree_drop(source_tree *t, const char *name);

/* Run the packer's list from an empty listing. */
entrain_status tree_list(source_tree *t, const packer *p);
/* The listing has no faults and these samples: image, label and id, the paths below root. Checks the order too. */
void assert_tree_lists(const source_tree *t, int count, const char *const expected[][3]);
/* It has this many faults, whose texts hold these; NULL ends the list. */
void assert_tree_faults(const source_tree *t, int count, const char *const *told);
/* The error's text holds these. */
void assert_tree_told(const source_tree *t, const char *const *told);

/* A list of texts for the functions above. */
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
