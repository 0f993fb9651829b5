/* Reading every sample of a folder of shards, as training would, and saying what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "data/pack.h"
#include "data/pack_internal.h"
#include "data/shard_internal.h"

enum { LABELS = 256 };

/* Sums over all samples; one array, so that ranks add them up in one go. */
typedef struct verify_counts {
    int64_t pixels[LABELS];  /* with this label */
    int64_t samples[LABELS]; /* that have this label */
    int64_t bytes;
} verify_counts;

typedef struct verify_job {
    shard_set *shards;
    image_decoder *decoder;
    image picture, label;
    shard_sample sample;
    pack_faults faults;
    verify_counts counts;
} verify_job;

static entrain_status count_labels(verify_job *j, const char *name, entrain_error *err) {
    const int classes = shard_get_info(j->shards)->classes;
    int64_t pixels[LABELS] = {0};
    const size_t n = (size_t)j->label.height * (size_t)j->label.width;
    for (size_t i = 0; i < n; i++) {
        const int value = j->label.data[i];
        if (value >= classes && value != SHARD_IGNORE)
            return error_set(err, ENTRAIN_DATA, "%s: the label at x=%zu, y=%zu is %d; expected 0 to %d, or %d.", name,
                             i % (size_t)j->label.width, i / (size_t)j->label.width, value, classes - 1, SHARD_IGNORE);
        pixels[value]++;
    }
    for (int value = 0; value < LABELS; value++) {
        j->counts.pixels[value] += pixels[value];
        j->counts.samples[value] += pixels[value] > 0;
    }
    return ENTRAIN_OK;
}

static entrain_status check_size(const image *im, const shard_sample *s, const char *what, const char *name, entrain_error *err) {
    if (im->height == s->height && im->width == s->width) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: its %s has %d x %d pixels (height x width), but the shard says %d x %d.", name, what,
                     im->height, im->width, s->height, s->width);
}

static entrain_status verify_sample(verify_job *j, int64_t index, entrain_error *err) {
    char name[512];
    shard_describe(j->shards, index, name, sizeof name);
    shard_sample *s = &j->sample;
    entrain_status status = shard_read(j->shards, index, s, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(j->decoder, s->image, s->image_size, name, &j->picture, err);
    if (status == ENTRAIN_OK) status = image_decode_label(j->decoder, s->label, s->label_size, name, &j->label, err);
    if (status == ENTRAIN_OK) status = check_size(&j->picture, s, "image", name, err);
    if (status == ENTRAIN_OK) status = check_size(&j->label, s, "label", name, err);
    if (status == ENTRAIN_OK) status = count_labels(j, name, err);
    j->counts.bytes += (int64_t)(s->image_size + s->label_size);
    return status;
}

/* This rank's share of the samples. Faults of the data are collected; anything else ends it at once. */
static entrain_status verify_share(verify_job *j, const char *folder, const comm *c, entrain_error *err) {
    entrain_status status = shard_open(folder, &j->shards, err);
    if (status != ENTRAIN_OK) return status;
    if (shard_count(j->shards) == 0)
        return error_set(err, ENTRAIN_DATA, "%s: the shards hold no samples. Pack the data set again.", folder);
    j->decoder = image_decoder_open();
    if (j->decoder == NULL) return error_set(err, ENTRAIN_DEVICE, "verify: no memory.");
    int64_t begin, end;
    comm_share(shard_count(j->shards), c->rank, c->size, &begin, &end);
    pack_progress progress;
    pack_progress_begin(&progress, "verifying", end - begin);
    for (int64_t i = begin; i < end; i++) {
        entrain_error fault = {.status = ENTRAIN_OK};
        status = verify_sample(j, i, &fault);
        if (status == ENTRAIN_DATA)
            pack_faults_add(&j->faults, &fault);
        else if (status != ENTRAIN_OK)
            return error_set(err, status, "%s", fault.text);
        pack_progress_step(&progress);
    }
    return pack_faults_report(&j->faults, folder, err);
}

/* The smallest and largest height and width in the set. */
static void size_range(const shard_set *s, int low[2], int high[2]) {
    shard_size(s, 0, &low[0], &low[1]);
    high[0] = low[0];
    high[1] = low[1];
    for (int64_t i = 1; i < shard_count(s); i++) {
        int size[2];
        shard_size(s, i, &size[0], &size[1]);
        for (int k = 0; k < 2; k++) {
            if (size[k] < low[k]) low[k] = size[k];
            if (size[k] > high[k]) high[k] = size[k];
        }
    }
}

static void print_row(const verify_counts *n, int label, const char *number, const char *name, int64_t all) {
    log_info("  %5s  %-24s %8.3f %% %9lld", number, name, 100.0 * (double)n->pixels[label] / (double)all, (long long)n->samples[label]);
}

static void print_table(const shard_set *s, const char *folder, const verify_counts *n) {
    const shard_info *info = shard_get_info(s);
    int low[2], high[2];
    size_range(s, low, high);
    int64_t all = 0;
    for (int label = 0; label < LABELS; label++) all += n->pixels[label];

    log_info("%s: %s %s (%s), all good", folder, info->dataset, info->split, info->task);
    log_info("  %lld samples in %d shards, %.1f MiB", (long long)shard_count(s), shard_file_count(s), (double)n->bytes / 1048576.0);
    if (low[0] == high[0] && low[1] == high[1])
        log_info("  every image %d x %d (height x width)", low[0], low[1]);
    else
        log_info("  heights %d to %d, widths %d to %d", low[0], high[0], low[1], high[1]);
    log_info("  %5s  %-24s %10s %9s", "label", "class", "pixels", "images");
    for (int label = 0; label < info->classes; label++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%d", label);
        print_row(n, label, number, info->names[label], all);
    }
    print_row(n, SHARD_IGNORE, "255", "(ignored)", all);
}

entrain_status pack_verify(const char *folder, comm *c, entrain_error *err) {
    entrain_error unwanted = {.status = ENTRAIN_OK};
    if (err == NULL) err = &unwanted;
    verify_job *j = calloc(1, sizeof *j);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "verify: no memory.");
    entrain_status status = pack_agree(c, verify_share(j, folder, c, err), err);
    if (status == ENTRAIN_OK && comm_allreduce(c, &j->counts, sizeof j->counts / sizeof(int64_t), COMM_I64, NULL) != ENTRAIN_OK) {
        *err = c->error;
        status = c->error.status;
    }
    if (status == ENTRAIN_OK) print_table(j->shards, folder, &j->counts);
    shard_close(j->shards);
    image_decoder_close(j->decoder);
    image_free(&j->picture);
    image_free(&j->label);
    shard_sample_free(&j->sample);
    free(j);
    return status;
}
