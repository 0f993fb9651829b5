/*
 * What a worker does with one sample: draw, decode no more than the crop shows, check, augment. The label map comes first, because with
 * data.cat_max_ratio it decides where the crop stands. What is not decoded is not checked here: packing has decoded all of it, and the
 * shard's checksum says that it is still the same.
 */
#include "base/error.h"
#include "base/simd.h"
#include "data/image_internal.h"
#include "data/loader_internal.h"

enum { NAME = 512 };

SIMD_CLONES static bool labels_in_range(const uint8_t *labels, size_t n, int classes) {
    const uint8_t limit = (uint8_t)classes; /* 1..255 */
    uint8_t bad = 0;
    for (size_t i = 0; i < n; i++) bad |= (uint8_t)(labels[i] >= limit && labels[i] != SHARD_IGNORE);
    return bad == 0;
}

static entrain_status check_labels(const image *label, const image_part *part, int classes, const char *name, entrain_error *err) {
    const size_t n = (size_t)label->height * (size_t)label->width, first = (size_t)part->top * (size_t)label->width;
    if (labels_in_range(label->data, n, classes)) return ENTRAIN_OK;
    size_t i = 0;
    while (label->data[i] < classes || label->data[i] == SHARD_IGNORE) i++;
    return error_set(
        err, ENTRAIN_DATA,
        "%s: label %d at x=%zu, y=%zu; labels must be below %d (the number of classes) or 255 (ignored). Pack the data set again.", name,
        label->data[i], i % (size_t)label->width, (first + i) / (size_t)label->width, classes);
}

entrain_status loader_decode(const loader_options *o, loader_worker *w, const shard_sample *sample, uint64_t position, const char *name,
                             entrain_error *err) {
    const int height = sample->height, width = sample->width;
    if (height < 1 || width < 1 || height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE)
        return error_set(err, ENTRAIN_DATA,
                         "%s: the shard says %dx%d pixels (height x width); sides from 1 to %d can be read. Pack the data set again.", name,
                         height, width, IMAGE_MAX_SIDE);
    const image_source picture = {sample->image, sample->image_size, name, height, width};
    const image_source label = {sample->label, sample->label_size, name, height, width};
    const bool chooses = augment_chooses(&o->augment);
    augment_draw(&o->augment, o->seed, position, height, width, o->height, o->width, image_can_reduce(sample->image, sample->image_size),
                 &w->plan);
    const image_part all = {.reduce = 1, .height = height, .width = width};
    entrain_status status = image_decode_part(w->decoder, &label, true, chooses ? &all : &w->plan.label, &w->label, &w->label_part, err);
    if (status == ENTRAIN_OK) status = check_labels(&w->label, &w->label_part, o->classes, name, err);
    if (status != ENTRAIN_OK) return status;
    if (chooses) augment_choose(&o->augment, &w->label, &w->plan);
    return image_decode_part(w->decoder, &picture, false, &w->plan.picture, &w->picture, &w->picture_part, err);
}

entrain_status loader_prepare(loader *l, loader_worker *w, const job *j, entrain_error *err) {
    const loader_options *o = &l->options;
    const batch *b = &l->slots[j->slot].batch;
    char name[NAME];
    shard_describe(l->shards, j->index, name, sizeof name);
    entrain_status status = loader_decode(o, w, &j->sample, j->position, name, err);
    if (status != ENTRAIN_OK) return status;

    const size_t area = (size_t)o->height * (size_t)o->width, place = (size_t)j->place;
    const augment_input in = {.picture = &w->picture, .label = &w->label, .picture_part = w->picture_part, .label_part = w->label_part};
    status = augment_render(&o->augment, &w->plan, &in, b->images + place * area * 3, b->labels + place * area, &w->scratch, err);
    return status == ENTRAIN_OK ? ENTRAIN_OK : error_prefix(err, "%s", name);
}

void loader_worker_free(loader_worker *w) {
    image_decoder_close(w->decoder);
    image_free(&w->picture);
    image_free(&w->label);
    augment_scratch_free(&w->scratch);
}
