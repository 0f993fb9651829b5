/* Evaluation over a split: each image on one rank, one confusion matrix over all. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "train/evaluate.h"
#include "train/metrics.h"

typedef struct sample_buffers {
    shard_sample sample;
    image picture, label;
    image_decoder *decoder;
    uint8_t *predicted;
    size_t capacity;
} sample_buffers;

static entrain_status one_sample(evaluator *e, shard_set *shards, int64_t index, sample_buffers *b, int64_t *matrix, entrain_error *err) {
    char name[256];
    shard_describe(shards, index, name, sizeof name);
    entrain_status status = shard_read(shards, index, &b->sample, err);
    if (status == ENTRAIN_OK) status = image_decode_rgb(b->decoder, b->sample.image, b->sample.image_size, name, &b->picture, err);
    if (status == ENTRAIN_OK) status = image_decode_label(b->decoder, b->sample.label, b->sample.label_size, name, &b->label, err);
    if (status != ENTRAIN_OK) return status;
    if (b->label.height != b->picture.height || b->label.width != b->picture.width)
        return error_set(err, ENTRAIN_DATA, "%s: the image is %dx%d but its label is %dx%d (h x w). Pack the data set again.", name,
                         b->picture.height, b->picture.width, b->label.height, b->label.width);
    const size_t pixels = (size_t)b->picture.height * (size_t)b->picture.width;
    for (size_t i = 0; i < pixels; i++)
        if (b->label.data[i] >= evaluator_classes(e) && b->label.data[i] != SHARD_IGNORE)
            return error_set(err, ENTRAIN_DATA,
                             "%s: label %d at x %zu, y %zu is out of range; expected 0..%d or 255. Pack the data set again.", name,
                             b->label.data[i], i % (size_t)b->picture.width, i / (size_t)b->picture.width, evaluator_classes(e) - 1);
    if (pixels > b->capacity) {
        free(b->predicted);
        b->predicted = malloc(pixels);
        b->capacity = b->predicted == NULL ? 0 : pixels;
        if (b->predicted == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for the prediction", name);
    }
    status = evaluator_run(e, &b->picture, NULL, b->predicted, err);
    if (status == ENTRAIN_OK) confusion_add(matrix, evaluator_classes(e), b->label.data, b->predicted, pixels);
    return status;
}

entrain_status evaluator_confusion(evaluator *e, shard_set *shards, comm *c, int64_t *matrix, entrain_error *err) {
    sample_buffers b = {.decoder = image_decoder_open()};
    entrain_status status = b.decoder == NULL ? error_set(err, ENTRAIN_DEVICE, "out of memory for the decoder") : ENTRAIN_OK;
    const size_t cells = (size_t)evaluator_classes(e) * (size_t)evaluator_classes(e);
    memset(matrix, 0, cells * sizeof *matrix);
    for (int64_t i = c->rank; i < shard_count(shards) && status == ENTRAIN_OK; i += c->size)
        status = one_sample(e, shards, i, &b, matrix, err);
    shard_sample_free(&b.sample);
    image_free(&b.picture);
    image_free(&b.label);
    free(b.predicted);
    image_decoder_close(b.decoder);
    if (status != ENTRAIN_OK) return status;
    status = comm_allreduce(c, matrix, cells, COMM_I64, NULL);
    return status == ENTRAIN_OK ? status : error_set(err, status, "%s", c->error.text);
}
