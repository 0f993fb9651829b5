/* Prediction: label maps and overlays for image files, or for samples of the validation set beside their truth. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/log.h"
#include "data/image.h"
#include "train/loaded.h"
#include "train/logits.h"
#include "train/pictures.h"
#include "train/precision.h"

enum { PATH_SIZE = 1024 };

typedef struct predictor {
    loaded loaded;
    image_decoder *decoder;
    image picture;
    uint8_t *labels; /* (height, width) of the current picture */
    logits_file *logits;
    const char *out;
} predictor;

/* "street" from "photos/street.png". */
static void stem(const char *path, char *name, size_t size) {
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    (void)snprintf(name, size, "%.*s", dot == NULL || dot == base ? (int)strlen(base) : (int)(dot - base), base);
}

/* The image's stem, with -2, -3 and so on where earlier images have the same. */
static void output_name(const entrain_predict_options *o, int index, char *name, size_t size) {
    char other[PATH_SIZE];
    int same = 1;
    stem(o->images[index], name, size);
    for (int i = 0; i < index; i++) {
        stem(o->images[i], other, sizeof other);
        if (strcmp(other, name) == 0) same++;
    }
    const size_t used = strlen(name);
    if (same > 1) (void)snprintf(name + used, size - used, "-%d", same);
}

static entrain_status segment(predictor *p, const float **scores, entrain_error *err) {
    free(p->labels);
    p->labels = malloc((size_t)p->picture.height * (size_t)p->picture.width);
    if (p->labels == NULL)
        return error_set(err, ENTRAIN_DEVICE, "out of memory for a prediction of %dx%d", p->picture.height, p->picture.width);
    return evaluator_run(p->loaded.evaluator, &p->picture, scores, p->labels, err);
}

static entrain_status write_pictures(predictor *p, const char *name, entrain_error *err) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s.png", p->out, name);
    entrain_status status = picture_write_labels(path, p->labels, p->picture.height, p->picture.width, &p->loaded.info, err);
    if (status != ENTRAIN_OK) return status;
    picture_overlay(&p->picture, p->labels, &p->loaded.info);
    (void)snprintf(path, sizeof path, "%s/%s_overlay.png", p->out, name);
    return picture_write(path, &p->picture, err);
}

static entrain_status one_file(predictor *p, const entrain_predict_options *o, int index, entrain_error *err) {
    const char *file = o->images[index];
    uint8_t *bytes = NULL;
    size_t size = 0;
    const float *scores = NULL;
    char name[PATH_SIZE];
    entrain_status status = file_read(file, &bytes, &size, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(p->decoder, bytes, size, file, &p->picture, err);
    free(bytes);
    if (status == ENTRAIN_OK) status = segment(p, &scores, err);
    if (status == ENTRAIN_OK && p->logits != NULL) {
        int h = 0, w = 0;
        const float *raw = evaluator_raw_logits(p->loaded.evaluator, &h, &w, err);
        status = raw == NULL ? err->status : logits_add(p->logits, file, raw, h, w, scores, p->picture.height, p->picture.width, err);
    }
    output_name(o, index, name, sizeof name);
    if (status == ENTRAIN_OK) status = write_pictures(p, name, err);
    if (status == ENTRAIN_OK) log_info("%s -> %s/%s.png, %s/%s_overlay.png", file, o->out, name, o->out, name);
    return status;
}

/* Three pictures side by side: image, truth, prediction. */
static entrain_status write_triptych(predictor *p, const image *truth, const char *name, entrain_error *err) {
    const size_t row = 3 * (size_t)p->picture.width, rows = (size_t)p->picture.height;
    image parts[3] = {p->picture};
    image all = {.data = malloc(3 * rows * row), .height = p->picture.height, .width = 3 * p->picture.width, .channels = 3};
    entrain_status status = all.data == NULL ? error_set(err, ENTRAIN_DEVICE, "out of memory for the pictures of %s", name) : ENTRAIN_OK;
    for (int i = 0; i < 3 && status == ENTRAIN_OK; i++) {
        parts[i] = p->picture;
        parts[i].data = malloc(rows * row);
        if (parts[i].data == NULL) {
            status = error_set(err, ENTRAIN_DEVICE, "out of memory for the pictures of %s", name);
            break;
        }
        memcpy(parts[i].data, p->picture.data, rows * row);
        if (i > 0) picture_overlay(&parts[i], i == 1 ? truth->data : p->labels, &p->loaded.info);
        for (size_t y = 0; y < rows; y++) memcpy(all.data + (3 * y + (size_t)i) * row, parts[i].data + y * row, row);
        free(parts[i].data);
    }
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s_compare.png", p->out, name);
    if (status == ENTRAIN_OK) status = picture_write(path, &all, err);
    free(all.data);
    return status;
}

static entrain_status one_sample(predictor *p, shard_set *shards, int64_t index, shard_sample *sample, image *truth, entrain_error *err) {
    char name[256];
    shard_describe(shards, index, name, sizeof name);
    entrain_status status = shard_read(shards, index, sample, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(p->decoder, sample->image, sample->image_size, name, &p->picture, err);
    if (status == ENTRAIN_OK) status = image_decode_label(p->decoder, sample->label, sample->label_size, name, truth, err);
    if (status == ENTRAIN_OK && (truth->height != p->picture.height || truth->width != p->picture.width))
        status = error_set(err, ENTRAIN_DATA, "%s: image and label differ in size. Pack the data set again.", name);
    if (status == ENTRAIN_OK) status = segment(p, NULL, err);
    if (status == ENTRAIN_OK) status = write_triptych(p, truth, sample->id, err);
    if (status == ENTRAIN_OK) status = write_pictures(p, sample->id, err);
    if (status == ENTRAIN_OK) log_info("%s -> %s/%s_compare.png (image, truth, prediction)", name, p->out, sample->id);
    return status;
}

/* samples images of data.val, spread evenly over the split. */
static entrain_status validation_samples(predictor *p, const config *c, int samples, entrain_error *err) {
    shard_set *shards = NULL;
    shard_sample sample = {0};
    image truth = {0};
    if (c->data.val[0] == '\0') return error_set(err, ENTRAIN_CONFIG, "data.val: not set; --val needs a folder of shards");
    entrain_status status = shard_open(c->data.val, &shards, err);
    if (status == ENTRAIN_OK && shard_get_info(shards)->classes != p->loaded.info.classes)
        status = error_set(err, ENTRAIN_DATA, "data.val (%s): has %d classes, the network %d", c->data.val, shard_get_info(shards)->classes,
                           p->loaded.info.classes);
    const int64_t count = status == ENTRAIN_OK ? shard_count(shards) : 0;
    const int64_t take = samples < count ? samples : count;
    for (int64_t i = 0; i < take && status == ENTRAIN_OK; i++) status = one_sample(p, shards, i * count / take, &sample, &truth, err);
    shard_sample_free(&sample);
    image_free(&truth);
    if (shards != NULL) shard_close(shards);
    return status;
}

static entrain_status predict(predictor *p, const config *c, backend *be, const entrain_predict_options *o, entrain_error *err) {
    p->out = o->out;
    p->decoder = image_decoder_open();
    entrain_status status = p->decoder == NULL ? error_set(err, ENTRAIN_DEVICE, "out of memory for the decoder") : ENTRAIN_OK;
    if (status == ENTRAIN_OK) status = loaded_open(&p->loaded, o->checkpoint, c, precision_choose(c, be, NULL), be, err);
    if (status == ENTRAIN_OK) status = file_make_folder(o->out, err);
    if (status == ENTRAIN_OK && o->logits != NULL) status = logits_create(o->logits, &p->loaded.info, &p->logits, err);
    for (int i = 0; i < o->count && status == ENTRAIN_OK; i++) status = one_file(p, o, i, err);
    if (status == ENTRAIN_OK && o->validation_samples > 0) status = validation_samples(p, c, o->validation_samples, err);
    if (p->logits == NULL) return status;
    if (status == ENTRAIN_OK) return logits_finish(p->logits, err);
    logits_abandon(p->logits);
    return status;
}

entrain_status entrain_predict(entrain_job *job, const entrain_config *settings, const entrain_predict_options *options,
                               entrain_error *err) {
    predictor p = {0};
    const entrain_status status = job->c->rank == 0 ? predict(&p, &settings->c, job->be, options, err) : ENTRAIN_OK;
    loaded_close(&p.loaded);
    image_free(&p.picture);
    free(p.labels);
    if (p.decoder != NULL) image_decoder_close(p.decoder);
    return job_agree(job, status, err);
}
