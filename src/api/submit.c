/* predict --submit: labels as the data set's own evaluation expects them. See predict_internal.h. */
#include <stdio.h>
#include <string.h>

#include "api/predict_internal.h"
#include "base/error.h"
#include "base/log.h"
#include "train/pictures.h"

/* What is to be written, image by image. */
typedef struct work {
    predictor *p;
    const entrain_predict_options *o;
    shard_set *shards; /* NULL: the option's images */
    shard_sample sample;
    int64_t count;
} work;

static entrain_status write_labels(predictor *p, const char *what, const char *name, int height, int width, entrain_error *err) {
    char path[OUTPUT_PATH];
    entrain_status status = predict_labels(p, what, height, width, NULL, err);
    if (status == ENTRAIN_OK) status = output_path(p->out, name, ".png", path, err);
    return status == ENTRAIN_OK ? picture_write_labels(path, p->labels, height, width, &p->loaded.info, err) : status;
}

/* An image file keeps its own name: the data set's, where it is one of its files. */
static entrain_status one_file(void *context, int64_t index, entrain_error *err) {
    work *w = context;
    const char *file = w->o->images[index];
    char name[OUTPUT_NAME];
    output_stem(file, name);
    const entrain_status status = predict_read(w->p, file, err);
    return status == ENTRAIN_OK ? write_labels(w->p, file, name, w->p->picture.height, w->p->picture.width, err) : status;
}

/* The size that the data set gave the sample, which is the one that its evaluation wants. */
static void source_size(const shard_sample *s, int *height, int *width) {
    *height = s->source_height;
    *width = s->source_width;
}

static entrain_status one_sample(void *context, int64_t index, entrain_error *err) {
    work *w = context;
    char where[256], name[SUBMIT_NAME];
    int height = 0, width = 0;
    shard_describe(w->shards, index, where, sizeof where);
    entrain_status status = shard_read(w->shards, index, &w->sample, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(w->p->decoder, w->sample.image, w->sample.image_size, where, &w->p->picture, err);
    if (status != ENTRAIN_OK) return status;
    submit_name(shard_get_info(w->shards)->dataset, w->sample.id, name);
    source_size(&w->sample, &height, &width);
    return write_labels(w->p, where, name, height, width, err);
}

/* What the labels of an image will be called. */
static void name_of(const work *w, int64_t index, char name[OUTPUT_NAME]) {
    if (w->shards == NULL)
        output_stem(w->o->images[index], name);
    else
        submit_name(shard_get_info(w->shards)->dataset, shard_id(w->shards, index), name);
}

static entrain_status same_name(const work *w, const char *folder, int64_t index, const char *name, entrain_error *err) {
    char earlier[OUTPUT_NAME];
    int64_t first = 0;
    for (name_of(w, 0, earlier); strcmp(earlier, name) != 0; name_of(w, first, earlier)) first++;
    if (w->shards == NULL)
        return error_set(err, ENTRAIN_USAGE, "%s and %s: both would be written to %s/%s.png. Submit them into folders of their own.",
                         w->o->images[first], w->o->images[index], w->o->out, name);
    return error_set(err, ENTRAIN_DATA,
                     "data.val (%s): %s and %s: both would be written to %s/%s.png. Pack them into folders of their own.", folder,
                     shard_id(w->shards, first), shard_id(w->shards, index), w->o->out, name);
}

/* Two images of one name would be written over each other. folder: of the shards. */
static entrain_status check_names(const work *w, const char *folder, entrain_error *err) {
    output_names names = {0};
    entrain_status status = ENTRAIN_OK;
    for (int64_t i = 0; i < w->count && status == ENTRAIN_OK; i++) {
        char name[OUTPUT_NAME];
        bool failed = false;
        name_of(w, i, name);
        if (output_names_take(&names, name, &failed)) continue;
        status = failed ? error_set(err, ENTRAIN_DEVICE, "out of memory for the names of %lld files", (long long)w->count)
                        : same_name(w, folder, i, name, err);
    }
    output_names_free(&names);
    return status;
}

/* The numbers that are written mean what the network's classes are called. */
static entrain_status check_classes(const predictor *p, const config *c, const shard_set *shards, entrain_error *err) {
    const shard_info *info = shard_get_info(shards);
    const int k = loaded_other_name(&p->loaded, info);
    if (k < 0) return ENTRAIN_OK;
    return error_set(
        err, ENTRAIN_DATA,
        "data.val (%s): class %d is %s, but %s in the network of %s. Submit with a network that was trained for this data set.",
        c->data.val, k, info->names[k], p->loaded.info.names[k], p->loaded.path);
}

entrain_status predict_submit(predictor *p, const config *c, comm *ranks, const entrain_predict_options *o, bool *failed,
                              entrain_error *err) {
    work w = {.p = p, .o = o, .count = o->count};
    entrain_status status = ENTRAIN_OK;
    if (o->count == 0) {
        status = predict_open_val(p, c, "--submit without images", &w.shards, err);
        if (status == ENTRAIN_OK) status = check_classes(p, c, w.shards, err);
        if (status == ENTRAIN_OK) w.count = shard_count(w.shards);
    }
    if (status == ENTRAIN_OK) status = check_names(&w, c->data.val, err);
    *failed = comm_any(ranks, status != ENTRAIN_OK);
    if (!*failed) {
        if (w.shards != NULL) evaluator_describe(p->loaded.evaluator, w.shards);
        const double since = log_seconds();
        status = evaluator_deal(ranks, w.count, "segmented", w.shards != NULL ? one_sample : one_file, &w, failed, err);
        if (!*failed) log_info("%lld label files in %s, %.1f s", (long long)w.count, p->out, log_seconds() - since);
    }
    shard_sample_free(&w.sample);
    if (w.shards != NULL) shard_close(w.shards);
    return status;
}
