/* Samples made of two files with equal stems, a picture and its label map, in two folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_files.h"

entrain_status pack_segmentation(const char *name, class_table *table, shard_info *info, entrain_error *err) {
    const entrain_status status = class_table_builtin(name, table, err);
    if (status != ENTRAIN_OK) return status;
    (void)snprintf(info->task, sizeof info->task, SHARD_SEGMENTATION);
    class_table_describe(table, info);
    return ENTRAIN_OK;
}

typedef struct halves {
    pack_files images, labels;
} halves;

/* ---- the ids of a list ---- */

typedef struct id_list {
    const char *path;
    struct listed {
        char *id;
        int64_t line;
        bool found;
    } * ids; /* sorted */
    size_t count, capacity;
} id_list;

static int by_id(const void *a, const void *b) {
    const struct listed *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static void free_ids(id_list *ids) {
    for (size_t i = 0; i < ids->count; i++) free(ids->ids[i].id);
    free(ids->ids);
}

static bool add_id(id_list *ids, const char *id, int64_t line) {
    if (ids->count == ids->capacity) {
        const size_t capacity = ids->capacity > 0 ? 2 * ids->capacity : 256;
        struct listed *grown = realloc(ids->ids, capacity * sizeof *grown);
        if (grown == NULL) return false;
        ids->ids = grown;
        ids->capacity = capacity;
    }
    char *copy = strdup(id);
    if (copy == NULL) return false;
    ids->ids[ids->count++] = (struct listed){.id = copy, .line = line};
    return true;
}

static entrain_status read_ids(id_list *ids, pack_listing *l, entrain_error *err) {
    pack_lines lines;
    entrain_status status = pack_lines_open(&lines, ids->path, err);
    if (status != ENTRAIN_OK) return status;
    bool memory = true;
    for (const char *line = pack_lines_next(&lines); line != NULL && memory; line = pack_lines_next(&lines))
        memory = add_id(ids, line, lines.number);
    status = pack_lines_close(&lines, err);
    if (!memory) return error_set(err, ENTRAIN_DEVICE, "%s: no memory for the ids of the list.", ids->path);
    if (status != ENTRAIN_OK) return status;
    if (ids->count == 0) return error_set(err, ENTRAIN_DATA, "%s: the list is empty; expected an id a line.", ids->path);
    qsort(ids->ids, ids->count, sizeof *ids->ids, by_id);
    for (size_t i = 1; i < ids->count; i++)
        if (strcmp(ids->ids[i].id, ids->ids[i - 1].id) == 0) {
            pack_listing_fault(l, "%s:%lld: the id '%s' is listed twice.", ids->path, (long long)ids->ids[i].line, ids->ids[i].id);
            ids->ids[i].found = true; /* said once */
        }
    return ENTRAIN_OK;
}

/* Whether a stem is listed; remembers that it was asked for. */
static bool is_listed(const pack_file *file, void *context) {
    const id_list *ids = context;
    const char *stem = file->stem;
    size_t low = 0, high = ids->count; /* the first that is not less */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(ids->ids[middle].id, stem) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ids->count || strcmp(ids->ids[low].id, stem) != 0) return false;
    ids->ids[low].found = true;
    return true;
}

static void missing_id(const pack_pair *p, const struct listed *id, pack_listing *l) {
    const bool path = strpbrk(id->id, "/ \t") != NULL || pack_stem(id->id, p->image.suffixes) > 0; /* or two, as SegNet's lists have them */
    pack_listing_fault(l, "%s:%lld: there is no picture '%s' in %s%s.", p->list, (long long)id->line, id->id, p->images,
                       path ? "; expected the name of a file without its ending" : "");
}

/* Keep what the list names; ids without any file are faults. */
static entrain_status select_listed(const pack_pair *p, halves *h, pack_listing *l, entrain_error *err) {
    id_list ids = {.path = p->list};
    const entrain_status status = read_ids(&ids, l, err);
    if (status == ENTRAIN_OK) {
        pack_files_keep(&h->images, is_listed, &ids);
        pack_files_keep(&h->labels, is_listed, &ids);
        for (size_t i = 0; i < ids.count; i++)
            if (!ids.ids[i].found) missing_id(p, &ids.ids[i], l);
    }
    free_ids(&ids);
    return status;
}

/* ---- pairs ---- */

/* How many files from i on have one stem; more than one is a fault. */
static int64_t same_stem(const pack_files *f, int64_t i, pack_listing *l) {
    int64_t end = i + 1;
    while (end < f->count && strcmp(f->files[end].stem, f->files[i].stem) == 0) {
        pack_listing_fault(l, "%s: there is %s, too; a sample has one.", f->files[end].path, f->files[i].path);
        end++;
    }
    return end - i;
}

/* < 0: the next stem is a picture's alone, > 0: a label's alone. */
static int compare(const halves *h, int64_t i, int64_t j) {
    if (i == h->images.count) return 1;
    return j == h->labels.count ? -1 : strcmp(h->images.files[i].stem, h->labels.files[j].stem);
}

/* Walk both sorted lists at once. */
static entrain_status match(const pack_pair *p, const halves *h, pack_listing *l, entrain_error *err) {
    const pack_file *images = h->images.files, *labels = h->labels.files;
    entrain_status status = ENTRAIN_OK;
    for (int64_t i = 0, j = 0; (i < h->images.count || j < h->labels.count) && status == ENTRAIN_OK;) {
        const int order = compare(h, i, j);
        if (order < 0)
            pack_listing_fault(l, "%s: this picture has no label (%s%s is missing in %s).", images[i].path, images[i].stem,
                               p->label.suffixes[0], p->labels);
        else if (order > 0)
            pack_listing_fault(l, "%s: this label has no picture (%s%s is missing in %s).", labels[j].path, labels[j].stem,
                               p->image.suffixes[0], p->images);
        else
            status = pack_listing_add(l, images[i].path, labels[j].path, images[i].stem, -1, err);
        if (order <= 0) i += same_stem(&h->images, i, l);
        if (order >= 0) j += same_stem(&h->labels, j, l);
    }
    return status;
}

entrain_status pack_pair_list(const pack_pair *p, pack_listing *l, entrain_error *err) {
    halves h = {0};
    entrain_status status = pack_files_find(p->images, &p->image, p->layout, l, &h.images, err);
    if (status == ENTRAIN_OK) status = pack_files_find(p->labels, &p->label, p->layout, l, &h.labels, err);
    if (status == ENTRAIN_OK && p->wanted != NULL) {
        pack_files_keep(&h.images, p->wanted, p->context);
        pack_files_keep(&h.labels, p->wanted, p->context);
    }
    if (status == ENTRAIN_OK && p->list != NULL) status = select_listed(p, &h, l, err);
    if (status == ENTRAIN_OK) status = match(p, &h, l, err);
    pack_files_free(&h.images);
    pack_files_free(&h.labels);
    pack_listing_sort(l);
    if (status == ENTRAIN_OK && l->count == 0 && l->faults.count == 0)
        status = error_set(err, ENTRAIN_DATA, "%s: no %ss there, and no labels in %s. %s", p->images, p->image.what, p->labels, p->layout);
    return status;
}
