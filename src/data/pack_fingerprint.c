/* One number for all that the shards of a split depend on (FNV-1a). */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "data/class_table.h"
#include "data/pack_internal.h"
#include "data/pack_listing.h"
#include "data/shard_internal.h"

static const uint64_t BASIS = 0xcbf29ce484222325U, PRIME = 0x100000001b3U;

static void add(uint64_t *h, const void *bytes, size_t size) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++) *h = (*h ^ p[i]) * PRIME;
}

static void add_number(uint64_t *h, int64_t value) {
    add(h, &value, sizeof value);
}

static void add_text(uint64_t *h, const char *text) {
    add_number(h, text == NULL);
    if (text != NULL) add(h, text, strlen(text) + 1);
}

static void add_options(uint64_t *h, const pack_options *o) {
    const char *const texts[] = {o->dataset, o->root, o->split, o->classes, o->list, o->images_folder, o->labels_folder};
    const int64_t numbers[] = {o->images, (int64_t)o->seed, o->height, o->width, o->max_side, o->short_side, o->jpeg_quality, o->png};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) add_text(h, texts[i]);
    add(h, numbers, sizeof numbers);
}

static void add_info(uint64_t *h, const shard_info *info) {
    add_text(h, info->dataset);
    add_text(h, info->task);
    add_number(h, info->samples_total);
    add_number(h, info->classes);
    for (int c = 0; c < info->classes; c++) add_text(h, info->names[c]);
    if (shard_is_classification(info)) return;
    add(h, info->colors, (size_t)info->classes * sizeof info->colors[0]);
    add(h, info->export_ids, sizeof info->export_ids);
}

static void add_table(uint64_t *h, const class_table *t) {
    for (int v = 0; v < 256; v++) {
        add_number(h, t->known[v]);
        add_number(h, t->to[v]);
    }
    for (int i = 0; i < t->label_color_count; i++) {
        add(h, t->label_colors[i].rgb, 3);
        add_number(h, t->label_colors[i].to);
    }
}

/* A file that cannot be looked at counts by its name: what is wrong with it is told when it is read. */
static void add_file(uint64_t *h, const char *path) {
    struct stat s;
    add_text(h, path);
    if (path == NULL || stat(path, &s) != 0) return;
    add_number(h, (int64_t)s.st_size);
    add_number(h, (int64_t)s.st_mtim.tv_sec);
    add_number(h, (int64_t)s.st_mtim.tv_nsec);
}

/* Halves of the sum of this rank's files' numbers: sums do not mind which rank has which file. */
static void sum_files(const comm *c, const pack_listing *l, int64_t halves[2]) {
    int64_t begin, end;
    comm_share(l->count, c->rank, c->size, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        uint64_t h = BASIS;
        add_number(&h, i);
        add_file(&h, l->items[i].image);
        add_file(&h, l->items[i].label);
        halves[0] += (int64_t)(h >> 32);
        halves[1] += (int64_t)(h & 0xffffffffU);
    }
}

/* ENTRAIN_DATA where this rank's listing is not rank 0's. */
static entrain_status check_same(comm *c, uint64_t mine, entrain_error *err) {
    uint64_t first = mine;
    entrain_status status = comm_broadcast(c, &first, sizeof first, COMM_BYTE, 0, NULL);
    if (status != ENTRAIN_OK) {
        *err = c->error;
        return status;
    }
    if (first != mine)
        status =
            error_set(err, ENTRAIN_DATA,
                      "pack: rank %d finds other files or options than rank 0. The source must lie where all ranks see it, and must not "
                      "change meanwhile.",
                      c->rank);
    return pack_agree(c, status, err);
}

entrain_status pack_fingerprint(comm *c, const pack_options *o, int shards, const shard_info *info, const pack_listing *listing,
                                const class_table *table, uint64_t *out, entrain_error *err) {
    uint64_t h = BASIS;
    int64_t halves[2] = {0, 0};
    add_text(&h, ENTRAIN_VERSION);
    add_options(&h, o);
    add_number(&h, shards);
    add_info(&h, info);
    add_table(&h, table);
    for (int64_t i = 0; i < listing->count; i++) {
        add_text(&h, listing->items[i].id);
        add_number(&h, listing->items[i].class_index);
    }
    const entrain_status status = check_same(c, h, err);
    if (status != ENTRAIN_OK) return status;
    sum_files(c, listing, halves);
    if (comm_allreduce(c, halves, 2, COMM_I64, NULL) != ENTRAIN_OK) {
        *err = c->error;
        return c->error.status;
    }
    add(&h, halves, sizeof halves);
    *out = h;
    return ENTRAIN_OK;
}
