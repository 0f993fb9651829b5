/* Shards back to files: images as they are stored, labels mapped back (ids lead nowhere else: opening has looked). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/file_internal.h"
#include "data/image_internal.h"
#include "data/pack_internal.h"
#include "data/shard_internal.h"
#include "data/shard_walk.h"

typedef struct unpack_job {
    const char *out;
    bool train_ids;
    shard_set *shards;
    pack_faults faults;
} unpack_job;

typedef struct unpack_worker {
    image_decoder *decoder;
    image label;
} unpack_worker;

/* ---- names ---- */

/* Ids of a folder of classes begin with the class's folder already. Names may go on behind it ("n01440764 tench"). */
static bool has_folder(const char *id, const char *class_name) {
    const size_t length = strcspn(id, "/");
    return id[length] == '/' && strncmp(id, class_name, length) == 0 && (class_name[length] == '\0' || class_name[length] == ' ');
}

/* A class's name as a folder's. */
static void folder_name(const char *class_name, char out[SHARD_NAME]) {
    (void)snprintf(out, SHARD_NAME, "%s", class_name);
    for (char *p = out; *p != '\0'; p++)
        if (*p == '/') *p = '_';
}

/* The folder that the image of a sample goes to, before its id; "" where the id has it. */
static void folder_of_image(const shard_info *info, const char *id, int32_t label_class, char part[SHARD_NAME]) {
    (void)snprintf(part, SHARD_NAME, "images");
    if (!shard_is_classification(info)) return;
    folder_name(info->names[label_class], part);
    if (shard_path_stays(part) && has_folder(id, info->names[label_class])) part[0] = '\0';
}

typedef struct named {
    uint64_t hash; /* of the path */
    const char *id;
    int32_t label_class;
} named;

static int by_hash(const void *a, const void *b) {
    const named *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static void path_of(const shard_info *info, const named *n, char path[SHARD_NAME + SHARD_ID]) {
    char part[SHARD_NAME];
    folder_of_image(info, n->id, n->label_class, part);
    (void)snprintf(path, SHARD_NAME + SHARD_ID, "%s%s%s", part, part[0] != '\0' ? "/" : "", n->id);
}

/* "a" in class "n01" and "n01/a" would be one file, and one of them be lost. */
static void find_repeated_paths(unpack_job *j, named *all) {
    const shard_set *s = j->shards;
    char path[SHARD_NAME + SHARD_ID], other[SHARD_NAME + SHARD_ID];
    size_t count = 0;
    for (int f = 0; f < s->file_count; f++) {
        for (int64_t i = 0; i < s->files[f].count; i++) {
            named *n = &all[count++];
            *n = (named){.hash = 0xcbf29ce484222325U, .id = s->files[f].t.id[i], .label_class = s->files[f].t.label_class[i]};
            path_of(&s->info, n, path);
            for (const char *p = path; *p != '\0'; p++) n->hash = (n->hash ^ (uint8_t)*p) * 0x100000001b3U;
        }
    }
    qsort(all, count, sizeof *all, by_hash);
    for (size_t i = 1; i < count; i++) {
        if (all[i].hash != all[i - 1].hash) continue;
        path_of(&s->info, &all[i - 1], path);
        path_of(&s->info, &all[i], other);
        if (strcmp(path, other) != 0) continue;
        entrain_error fault;
        (void)error_set(&fault, ENTRAIN_DATA, "the samples with the ids %s and %s would both become the file %s.", all[i - 1].id, all[i].id,
                        path);
        pack_faults_add(&j->faults, &fault);
    }
}

static entrain_status check_paths(unpack_job *j, entrain_error *err) {
    const int64_t count = shard_count(j->shards);
    if (count == 0 || !shard_is_classification(shard_get_info(j->shards))) return ENTRAIN_OK;
    named *all = malloc((size_t)count * sizeof *all);
    if (all == NULL) return error_set(err, ENTRAIN_DEVICE, "unpack: no memory for the names of the files.");
    find_repeated_paths(j, all);
    free(all);
    return pack_faults_report(&j->faults, "unpack: nothing was written", err);
}

/* FOLDER/PART/ID.ENDING, its folder made. */
static entrain_status make_path(const unpack_job *j, const char *part, const char *id, const char *ending, char path[PATH_MAX],
                                entrain_error *err) {
    const int length = snprintf(path, PATH_MAX, "%s/%s%s%s.%s", j->out, part, part[0] != '\0' ? "/" : "", id, ending);
    if (length >= PATH_MAX) return error_set(err, ENTRAIN_DATA, "%s/%s: the path is too long.", j->out, id);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    const entrain_status status = file_make_folder(path, err);
    *slash = '/';
    return status;
}

static entrain_status write_file(const unpack_job *j, const char *part, const char *id, const char *ending, const uint8_t *bytes,
                                 size_t size, entrain_error *err) {
    char path[PATH_MAX];
    const entrain_status status = make_path(j, part, id, ending, path, err);
    return status == ENTRAIN_OK ? file_write_fast(path, bytes, size, err) : status;
}

/* ---- one sample ---- */

static entrain_status write_image(const unpack_job *j, const shard_sample *s, const char *name, entrain_error *err) {
    const shard_info *info = shard_get_info(j->shards);
    const bool png = image_is_png(s->image, s->image_size);
    if (!png && !image_is_jpeg(s->image, s->image_size))
        return error_set(err, ENTRAIN_DATA, "%s: its image is neither PNG nor JPEG. Pack the data set again.", name);
    char part[SHARD_NAME];
    folder_of_image(info, s->id, s->label_class, part);
    if (part[0] != '\0' && !shard_path_stays(part))
        return error_set(err, ENTRAIN_DATA, "%s: its class is called '%s', which cannot be a folder; it is not written.", name, part);

    return write_file(j, part, s->id, png ? "png" : "jpg", s->image, s->image_size, err);
}

static entrain_status write_label(const unpack_job *j, unpack_worker *w, const shard_sample *s, const char *name, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = image_decode_label(w->decoder, s->label, s->label_size, name, &w->label, err);
    if (status != ENTRAIN_OK) return status;
    const uint8_t *ids = shard_get_info(j->shards)->export_ids;
    const size_t pixels = (size_t)w->label.height * (size_t)w->label.width;
    for (size_t i = 0; i < pixels && !j->train_ids; i++) w->label.data[i] = ids[w->label.data[i]];
    status = image_encode_png(&w->label, &bytes, &size, err);
    if (status == ENTRAIN_OK) status = write_file(j, "labels", s->id, "png", bytes, size, err);
    free(bytes);
    return status;
}

static entrain_status unpack_sample(void *context, void *worker, int64_t index, const shard_sample *s, entrain_error *err) {
    const unpack_job *j = context;
    char name[512];
    shard_describe(j->shards, index, name, sizeof name);
    const entrain_status status = write_image(j, s, name, err);
    if (status != ENTRAIN_OK || shard_is_classification(shard_get_info(j->shards))) return status;
    return write_label(j, worker, s, name, err);
}

/* ---- all of this rank's ---- */

static entrain_status open_worker(void *context, void **worker, entrain_error *err) {
    (void)context;
    unpack_worker *w = calloc(1, sizeof *w);
    if (w != NULL) w->decoder = image_decoder_open();
    *worker = w;
    if (w != NULL && w->decoder != NULL) return ENTRAIN_OK;
    free(w);
    return error_set(err, ENTRAIN_DEVICE, "unpack: no memory.");
}

static void close_worker(void *context, void *worker) {
    (void)context;
    unpack_worker *w = worker;
    image_decoder_close(w->decoder);
    image_free(&w->label);
    free(w);
}

static entrain_status unpack_share(unpack_job *j, const char *folder, int threads, const comm *c, entrain_error *err) {
    entrain_status status = shard_open(folder, &j->shards, err);
    if (status == ENTRAIN_OK) status = check_paths(j, err);
    if (status == ENTRAIN_OK) status = file_make_folder(j->out, err);
    if (status != ENTRAIN_OK) return status;
    const shard_walk walk = {.name = "unpack",
                             .verb = "unpacking",
                             .stopped = "stopped on request; not all files are written.",
                             .shards = j->shards,
                             .c = c,
                             .threads = threads,
                             .faults = &j->faults,
                             .context = j,
                             .open_worker = open_worker,
                             .close_worker = close_worker,
                             .sample = unpack_sample};
    status = shard_walk_run(&walk, err);
    return status == ENTRAIN_OK ? pack_faults_report(&j->faults, "unpack: not all files were written", err) : status;
}

entrain_status pack_unpack(const char *folder, const char *out, bool train_ids, int threads, comm *c, entrain_error *err) {
    entrain_error unwanted = {.status = ENTRAIN_OK};
    if (err == NULL) err = &unwanted;
    unpack_job *j = calloc(1, sizeof *j);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "unpack: no memory.");
    j->out = out;
    j->train_ids = train_ids;
    pack_signals_begin();
    const entrain_status status = pack_agree(c, unpack_share(j, folder, threads, c, err), err);
    pack_signals_end();
    if (status == ENTRAIN_OK) log_info("unpacked %s: %lld samples -> %s", folder, (long long)shard_count(j->shards), out);
    shard_close(j->shards);
    free(j);
    return status;
}
