/* Prediction: label maps and overlays for image files, or for samples of the validation set beside their truth. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/predict_internal.h"
#include "base/error.h"
#include "base/log.h"
#include "train/pictures.h"
#include "train/precision.h"

entrain_status predict_read(predictor *p, const char *file, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = file_read(file, &bytes, &size, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(p->decoder, bytes, size, file, &p->picture, err);
    free(bytes);
    return status;
}

entrain_status predict_labels(predictor *p, const char *what, int height, int width, const float **scores, entrain_error *err) {
    free(p->labels);
    p->labels = malloc((size_t)height * (size_t)width);
    if (p->labels == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for a prediction of %dx%d", height, width);
    const entrain_status status = evaluator_run_at(p->loaded.evaluator, &p->picture, height, width, scores, p->labels, err);
    return status == ENTRAIN_NONFINITE ? error_prefix(err, "%s", what) : status;
}

/* At the picture's own size. */
static entrain_status segment(predictor *p, const char *what, const float **scores, entrain_error *err) {
    return predict_labels(p, what, p->picture.height, p->picture.width, scores, err);
}

static entrain_status write_pictures(predictor *p, const char *name, entrain_error *err) {
    char path[OUTPUT_PATH];
    entrain_status status = output_path(p->out, name, ".png", path, err);
    if (status == ENTRAIN_OK) status = picture_write_labels(path, p->labels, p->picture.height, p->picture.width, &p->loaded.info, err);
    if (status != ENTRAIN_OK) return status;
    picture_overlay(&p->picture, p->labels, &p->loaded.info);
    status = output_path(p->out, name, "_overlay.png", path, err);
    return status == ENTRAIN_OK ? picture_write(path, &p->picture, err) : status;
}

static entrain_status write_logits(predictor *p, const char *file, const char *name, const float *scores, entrain_error *err) {
    evaluator *e = p->loaded.evaluator;
    const float *raw = NULL;
    int h = 0, w = 0;
    if (evaluator_single_pass(e) && (raw = evaluator_raw_logits(e, &h, &w, err)) == NULL) return err->status;
    return logits_add(p->logits, name, file, raw, h, w, scores, p->picture.height, p->picture.width, err);
}

static entrain_status one_file(predictor *p, const char *file, entrain_error *err) {
    const float *scores = NULL;
    char stem[OUTPUT_NAME], name[OUTPUT_NAME];
    output_stem(file, stem);
    entrain_status status = output_names_give(&p->names, stem, name, err);
    if (status == ENTRAIN_OK) status = predict_read(p, file, err);
    if (status == ENTRAIN_OK) status = segment(p, file, p->logits == NULL ? NULL : &scores, err);
    if (status == ENTRAIN_OK && p->logits != NULL) status = write_logits(p, file, name, scores, err);
    if (status == ENTRAIN_OK) status = write_pictures(p, name, err);
    if (status == ENTRAIN_OK) log_info("%s -> %s/%s.png, %s/%s_overlay.png", file, p->out, name, p->out, name);
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
    char path[OUTPUT_PATH];
    if (status == ENTRAIN_OK) status = output_path(p->out, name, "_compare.png", path, err);
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
    if (status == ENTRAIN_OK) status = segment(p, name, NULL, err);
    char id[SHARD_ID], file[OUTPUT_NAME]; /* an id may have folders */
    (void)snprintf(id, sizeof id, "%s", sample->id);
    for (char *slash = strchr(id, '/'); slash != NULL; slash = strchr(slash, '/')) *slash = '_';
    if (status == ENTRAIN_OK) status = output_names_give(&p->names, id, file, err);
    if (status == ENTRAIN_OK) status = write_triptych(p, truth, file, err);
    if (status == ENTRAIN_OK) status = write_pictures(p, file, err);
    if (status == ENTRAIN_OK) log_info("%s -> %s/%s_compare.png (image, truth, prediction)", name, p->out, file);
    return status;
}

entrain_status predict_open_val(const predictor *p, const config *c, const char *option, shard_set **out, entrain_error *err) {
    if (c->data.val[0] == '\0') return error_set(err, ENTRAIN_CONFIG, "data.val: not set; %s needs a folder of shards", option);
    entrain_status status = shard_open(c->data.val, out, err);
    if (status == ENTRAIN_OK) status = shard_require_task(*out, SHARD_SEGMENTATION, "data.val", err);
    return status == ENTRAIN_OK ? loaded_check_classes(&p->loaded, shard_get_info(*out), c->data.val, err) : status;
}

/* samples images of data.val, spread evenly over the split. */
static entrain_status validation_samples(predictor *p, const config *c, int samples, entrain_error *err) {
    shard_set *shards = NULL;
    shard_sample sample = {0};
    image truth = {0};
    entrain_status status = predict_open_val(p, c, "--val", &shards, err);
    if (status == ENTRAIN_OK) loaded_warn_names(&p->loaded, shard_get_info(shards), c->data.val);
    const int64_t count = status == ENTRAIN_OK ? shard_count(shards) : 0;
    const int64_t take = samples < count ? samples : count;
    for (int64_t i = 0; i < take && status == ENTRAIN_OK; i++) status = one_sample(p, shards, i * count / take, &sample, &truth, err);
    shard_sample_free(&sample);
    image_free(&truth);
    if (shards != NULL) shard_close(shards);
    return status;
}

static entrain_status open_predictor(predictor *p, const config *c, backend *be, comm *ranks, const entrain_predict_options *o,
                                     entrain_error *err) {
    const dtype type = precision_choose(c, be, o->submit != 0 ? ranks : NULL); /* where all ranks work, they agree */
    p->out = o->out;
    p->decoder = image_decoder_open();
    entrain_status status = p->decoder == NULL ? error_set(err, ENTRAIN_DEVICE, "out of memory for the decoder") : ENTRAIN_OK;
    if (status == ENTRAIN_OK) status = loaded_open(&p->loaded, o->checkpoint, c, type, be, err);
    if (status == ENTRAIN_OK && ranks->rank == 0) status = file_make_folder(o->out, err);
    return status;
}

static entrain_status predict(predictor *p, const config *c, const entrain_predict_options *o, entrain_error *err) {
    entrain_status status = o->logits != NULL ? logits_create(o->logits, &p->loaded.info, &p->logits, err) : ENTRAIN_OK;
    for (int i = 0; i < o->count && status == ENTRAIN_OK; i++) status = one_file(p, o->images[i], err);
    if (status == ENTRAIN_OK && o->validation_samples > 0) status = validation_samples(p, c, o->validation_samples, err);
    if (p->logits == NULL) return status;
    if (status == ENTRAIN_OK) return logits_finish(p->logits, err);
    logits_abandon(p->logits);
    return status;
}

entrain_status entrain_predict(entrain_job *job, const entrain_config *settings, const entrain_predict_options *options,
                               entrain_error *err) {
    predictor p = {0};
    const config *c = &settings->c;
    const bool works = job->c->rank == 0 || options->submit != 0;
    bool failed = false;
    entrain_status status = works ? open_predictor(&p, c, job->be, job->c, options, err) : ENTRAIN_OK;
    status = job_agree(job, status, err);
    if (status == ENTRAIN_OK) {
        if (options->submit != 0)
            status = predict_submit(&p, c, job->c, options, &failed, err);
        else if (works)
            status = predict(&p, c, options, err);
        status = job_agree(job, status, err);
    }
    loaded_close(&p.loaded);
    image_free(&p.picture);
    free(p.labels);
    output_names_free(&p.names);
    if (p.decoder != NULL) image_decoder_close(p.decoder);
    return status;
}
