/* Evaluation over a split: each image on one rank, one confusion matrix over all. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/evaluate.h"
#include "train/metrics.h"

typedef struct sample_buffers {
    evaluator *e;
    shard_set *shards;
    int64_t *matrix;
    shard_sample sample;
    image picture, label;
    image_decoder *decoder;
    uint8_t *predicted;
    size_t capacity;
} sample_buffers;

static entrain_status one_sample(void *context, int64_t index, entrain_error *err) {
    sample_buffers *b = context;
    const int classes = evaluator_classes(b->e);
    char name[256];
    shard_describe(b->shards, index, name, sizeof name);
    if (b->decoder == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the decoder");
    entrain_status status = shard_read(b->shards, index, &b->sample, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(b->decoder, b->sample.image, b->sample.image_size, name, &b->picture, err);
    if (status == ENTRAIN_OK) status = image_decode_label(b->decoder, b->sample.label, b->sample.label_size, name, &b->label, err);
    if (status != ENTRAIN_OK) return status;
    if (b->label.height != b->picture.height || b->label.width != b->picture.width)
        return error_set(err, ENTRAIN_DATA, "%s: the image is %dx%d but its label is %dx%d (h x w). Pack the data set again.", name,
                         b->picture.height, b->picture.width, b->label.height, b->label.width);
    const size_t pixels = (size_t)b->picture.height * (size_t)b->picture.width;
    for (size_t i = 0; i < pixels; i++)
        if (b->label.data[i] >= classes && b->label.data[i] != SHARD_IGNORE)
            return error_set(err, ENTRAIN_DATA,
                             "%s: label %d at x %zu, y %zu is out of range; expected 0..%d or 255. Pack the data set again.", name,
                             b->label.data[i], i % (size_t)b->picture.width, i / (size_t)b->picture.width, classes - 1);
    if (pixels > b->capacity) {
        free(b->predicted);
        b->predicted = malloc(pixels);
        b->capacity = b->predicted == NULL ? 0 : pixels;
        if (b->predicted == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for the prediction", name);
    }
    status = evaluator_run(b->e, &b->picture, NULL, b->predicted, err);
    if (status == ENTRAIN_NONFINITE) return error_prefix(err, "%s", name);
    if (status == ENTRAIN_OK) confusion_add(b->matrix, classes, b->label.data, b->predicted, pixels);
    return status;
}

#define LINE_SECONDS 10.0

static void say_progress(const char *verb, int64_t done, int64_t count, double since, double *last) {
    const double now = log_seconds();
    if (now - *last < LINE_SECONDS || done >= count) return;
    *last = now;
    const double rate = (double)done / (now - since);
    log_info("%s %lld of %lld images | %.2f img/s | eta %.0f s", verb, (long long)done, (long long)count, rate,
             (double)(count - done) / rate);
}

entrain_status evaluator_deal(comm *c, int64_t count, const char *verb, evaluator_item item, void *context, bool *failed,
                              entrain_error *err) {
    const int64_t rounds = (count + c->size - 1) / c->size;
    const double since = log_seconds();
    double last = since;
    entrain_status status = ENTRAIN_OK;
    *failed = false;
    for (int64_t round = 0; round < rounds && !*failed; round++) {
        const int64_t index = round * c->size + c->rank;
        if (index < count) status = item(context, index, err);
        *failed = comm_any(c, status != ENTRAIN_OK); /* every time: an image takes long, asking does not */
        if (verb != NULL) say_progress(verb, (round + 1) * c->size, count, since, &last);
    }
    return status;
}

entrain_status evaluator_confusion(evaluator *e, shard_set *shards, comm *c, bool progress, int64_t *matrix, bool *failed,
                                   entrain_error *err) {
    const size_t cells = (size_t)evaluator_classes(e) * (size_t)evaluator_classes(e);
    memset(matrix, 0, cells * sizeof *matrix);
    sample_buffers b = {.e = e, .shards = shards, .matrix = matrix, .decoder = image_decoder_open()};
    entrain_status status = evaluator_deal(c, shard_count(shards), progress ? "evaluated" : NULL, one_sample, &b, failed, err);
    shard_sample_free(&b.sample);
    image_free(&b.picture);
    image_free(&b.label);
    free(b.predicted);
    if (b.decoder != NULL) image_decoder_close(b.decoder);
    if (*failed) return status;
    status = comm_allreduce(c, matrix, cells, COMM_I64, NULL);
    return status == ENTRAIN_OK ? status : error_set(err, status, "%s", c->error.text);
}
