/* Finding the files of a source: what packers build their listings from. */
#ifndef DATA_PACK_FILES_H
#define DATA_PACK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "data/class_table.h"
#include "data/pack_listing.h"

/* What files are looked for in a folder. */
typedef struct pack_kind {
    const char *what;            /* one of them, in messages: "picture" */
    const char *const *suffixes; /* what their names end in, NULL past the last; letters' case does not count. The rest is the stem */
    const char *const *others;   /* what the names of files end in that belong there but are not wanted; NULL: none */
    bool deep;                   /* folders within are searched, too; otherwise one is a fault */
} pack_kind;

extern const char *const pack_png[], *const pack_pictures[]; /* suffixes: .png; .jpg, .jpeg, .png */

typedef struct pack_file {
    char *path, *stem; /* stem: the file's name without its suffix */
} pack_file;

typedef struct pack_files {
    pack_file *files;
    int64_t count, capacity;
} pack_files;

/*
 * Add all files of a kind, sorted by stem, ties by path. Hidden files, those of `others` and files that are no images are passed over; any
 * other image is a fault of l, for it looks like a mistake. ENTRAIN_DATA where a folder cannot be read: its path, and `layout`, which says
 * how the source should look.
 */
entrain_status pack_files_find(const char *folder, const pack_kind *kind, const char *layout, pack_listing *l, pack_files *out,
                               entrain_error *err);
/* The length of the stem of a name that ends in one of the suffixes, else 0. */
size_t pack_stem(const char *name, const char *const *suffixes);
void pack_files_free(pack_files *f);
/* Keep the files that are wanted. */
void pack_files_keep(pack_files *f, bool (*wanted)(const pack_file *file, void *context), void *context);

/* Where the two halves of the samples lie. */
typedef struct pack_pair {
    const char *images, *labels; /* folders */
    pack_kind image, label;
    const char *layout;
    const char *list;                                     /* a file with the ids to take, one a line; NULL: all */
    bool (*wanted)(const pack_file *file, void *context); /* which of all files belong to the split; NULL: all */
    void *context;
} pack_pair;

/* List pictures and labels with equal stems; the stem is the id. Missing halves are faults, no samples at all an error. */
entrain_status pack_pair_list(const pack_pair *p, pack_listing *l, entrain_error *err);

/* The task and the table of classes of a data set for segmentation, compiled in. */
entrain_status pack_segmentation(const char *name, class_table *table, shard_info *info, entrain_error *err);

/* "a/b" into path. ENTRAIN_USAGE where it is too long for PATH_MAX. */
entrain_status pack_join(char *path, const char *a, const char *b, entrain_error *err);
bool pack_is_folder(const char *path);
/* The folders beside this one, which may have been meant: "a, b, c", as many as fit; false where there are none. */
bool pack_folders_beside(const char *folder, char *text, size_t size);
/* ENTRAIN_DATA for a folder that opendir has just refused: why, which ones are there instead, and how the source should look. */
entrain_status pack_no_folder(const char *folder, const char *layout, entrain_error *err);
/* ENTRAIN_USAGE where the packer has no root; says what it is. */
entrain_status pack_need_root(const pack_options *o, const char *layout, entrain_error *err);

/* ---- pack_lines.c: text files, line by line ---- */

typedef struct pack_lines {
    const char *path;
    FILE *file;
    char *line;
    size_t capacity;
    int64_t number; /* of the line last returned, from 1 */
} pack_lines;
entrain_status pack_lines_open(pack_lines *r, const char *path, entrain_error *err);
/* The next line that is not blank, without blanks at either end; NULL at the end. Valid until the next call. */
char *pack_lines_next(pack_lines *r);
/* Close; ENTRAIN_DATA where reading has failed. */
entrain_status pack_lines_close(pack_lines *r, entrain_error *err);

#endif
