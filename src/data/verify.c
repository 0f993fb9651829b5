/* Reading every sample of a folder of shards, as training would, by several threads, and saying what is there (verify_table.c). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/image.h"
#include "data/pack_internal.h"
#include "data/shard_internal.h"
#include "data/shard_walk.h"
#include "data/verify.h"

typedef struct verify_job {
    const comm *c;
    shard_set *shards;
    pack_faults faults;
    verify_counts counts;
} verify_job;

/* What a thread needs; its counts are added to the job's at the end, and whole numbers do not mind the order. */
typedef struct verify_worker {
    image_decoder *decoder;
    image picture, label;
    verify_counts counts;
} verify_worker;

/* ---- one sample ---- */

static entrain_status count_labels(verify_worker *w, int classes, const char *name, entrain_error *err) {
    int64_t pixels[VERIFY_LABELS] = {0};
    const size_t n = (size_t)w->label.height * (size_t)w->label.width;
    for (size_t i = 0; i < n; i++) pixels[w->label.data[i]]++;
    for (int value = classes; value < SHARD_IGNORE; value++) {
        if (pixels[value] == 0) continue;
        size_t i = 0;
        while (w->label.data[i] < classes || w->label.data[i] == SHARD_IGNORE) i++;
        return error_set(err, ENTRAIN_DATA, "%s: the label at x=%zu, y=%zu is %d; expected 0 to %d, or %d.", name,
                         i % (size_t)w->label.width, i / (size_t)w->label.width, w->label.data[i], classes - 1, SHARD_IGNORE);
    }
    for (int value = 0; value < VERIFY_LABELS; value++) {
        w->counts.pixels[value] += pixels[value];
        w->counts.samples[value] += pixels[value] > 0;
    }
    return ENTRAIN_OK;
}

static entrain_status check_size(const image *im, const shard_sample *s, const char *what, const char *name, entrain_error *err) {
    if (im->height == s->height && im->width == s->width) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: its %s has %d x %d pixels (height x width), but the shard says %d x %d.", name, what,
                     im->height, im->width, s->height, s->width);
}

static void sum_channels(verify_worker *w) {
    const size_t n = (size_t)w->picture.height * (size_t)w->picture.width;
    int64_t histogram[3][256] = {{0}};
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++) histogram[c][w->picture.data[3 * i + (size_t)c]]++;
    for (int c = 0; c < 3; c++) {
        for (int64_t value = 0; value < 256; value++) {
            w->counts.sum[c] += value * histogram[c][value];
            w->counts.squares[c] += value * value * histogram[c][value];
        }
    }
    w->counts.image_pixels += (int64_t)n;
}

static entrain_status verify_sample(void *context, void *worker, int64_t index, const shard_sample *s, entrain_error *err) {
    const shard_set *shards = ((const verify_job *)context)->shards;
    verify_worker *w = worker;
    char name[512];
    const shard_info *info = shard_get_info(shards);
    shard_describe(shards, index, name, sizeof name);
    entrain_status status = image_decode_rgb(w->decoder, s->image, s->image_size, name, &w->picture, err);
    if (status == ENTRAIN_OK) status = check_size(&w->picture, s, "image", name, err);
    if (status == ENTRAIN_OK && shard_is_classification(info)) {
        w->counts.samples_of_class[s->label_class]++; /* in range: opening has looked */
    } else if (status == ENTRAIN_OK) {
        status = image_decode_label(w->decoder, s->label, s->label_size, name, &w->label, err);
        if (status == ENTRAIN_OK) status = check_size(&w->label, s, "label", name, err);
        if (status == ENTRAIN_OK) status = count_labels(w, info->classes, name, err);
    }
    if (status != ENTRAIN_OK) return status;
    sum_channels(w);
    w->counts.bytes += (int64_t)(s->image_size + s->label_size);
    return ENTRAIN_OK;
}

/* ---- all of this rank's ---- */

static entrain_status open_worker(void *context, void **worker, entrain_error *err) {
    (void)context;
    verify_worker *w = calloc(1, sizeof *w);
    if (w != NULL) w->decoder = image_decoder_open();
    *worker = w;
    if (w != NULL && w->decoder != NULL) return ENTRAIN_OK;
    free(w);
    return error_set(err, ENTRAIN_DEVICE, "verify: no memory.");
}

static void close_worker(void *context, void *worker) {
    verify_job *j = context;
    verify_worker *w = worker;
    int64_t *to = (int64_t *)&j->counts;
    const int64_t *from = (const int64_t *)&w->counts;
    for (size_t i = 0; i < sizeof j->counts / sizeof *to; i++) to[i] += from[i];
    image_decoder_close(w->decoder);
    image_free(&w->picture);
    image_free(&w->label);
    free(w);
}

/* Every rank opens every shard: one of them tells. */
static void note_shard(void *context, const entrain_error *fault) {
    verify_job *j = context;
    if (j->c->rank == 0) pack_faults_add(&j->faults, fault);
}

static entrain_status verify_share(verify_job *j, const char *folder, int threads, entrain_error *err) {
    entrain_status status = shard_open_sound(folder, note_shard, j, &j->shards, err);
    if (status != ENTRAIN_OK) return status;
    if (shard_count(j->shards) == 0 && shard_get_info(j->shards)->samples_total == 0 && j->faults.count == 0 && j->c->rank == 0)
        return error_set(err, ENTRAIN_DATA, "%s: the shards hold no samples. Pack the data set again.", folder);
    const shard_walk walk = {.name = "verify",
                             .verb = "verifying",
                             .stopped = "stopped on request.",
                             .shards = j->shards,
                             .c = j->c,
                             .threads = threads,
                             .faults = &j->faults,
                             .context = j,
                             .open_worker = open_worker,
                             .close_worker = close_worker,
                             .sample = verify_sample};
    status = shard_walk_run(&walk, err);
    if (status == ENTRAIN_OK) return pack_faults_report(&j->faults, folder, err);
    entrain_error found = {.status = ENTRAIN_OK};
    if (status == ENTRAIN_STOPPED && pack_faults_report(&j->faults, "found so far", &found) != ENTRAIN_OK)
        (void)error_add(err, status, "%s", found.text);
    return status;
}

entrain_status pack_verify(const char *folder, int threads, comm *c, entrain_error *err) {
    entrain_error unwanted = {.status = ENTRAIN_OK};
    if (err == NULL) err = &unwanted;
    verify_job *j = calloc(1, sizeof *j);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "verify: no memory.");
    j->c = c;
    pack_signals_begin();
    entrain_status status = pack_agree(c, verify_share(j, folder, threads, err), err);
    pack_signals_end();
    if (status == ENTRAIN_OK && comm_allreduce(c, &j->counts, sizeof j->counts / sizeof(int64_t), COMM_I64, NULL) != ENTRAIN_OK) {
        *err = c->error;
        status = c->error.status;
    }
    if (status == ENTRAIN_OK) verify_print(j->shards, folder, &j->counts);
    shard_close(j->shards);
    free(j);
    return status;
}
