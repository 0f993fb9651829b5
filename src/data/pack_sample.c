/* One sample of a data set made of files: both are read and decoded, so that whatever is wrong with them is found before training is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/class_table.h"
#include "data/image_internal.h"
#include "data/image_resize.h"
#include "data/pack_internal.h"
#include "data/pack_listing.h"

struct pack_worker {
    image_decoder *decoder;
    image_resizer resizer;
    image picture, label, small;
};

enum { RESIZED_QUALITY = 95 };

entrain_status pack_worker_open(pack_worker **out, entrain_error *err) {
    pack_worker *w = calloc(1, sizeof *w);
    if (w != NULL) w->decoder = image_decoder_open();
    *out = w;
    if (w != NULL && w->decoder != NULL) return ENTRAIN_OK;
    free(w);
    *out = NULL;
    return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
}

void pack_worker_close(pack_worker *w) {
    if (w == NULL) return;
    image_decoder_close(w->decoder);
    image_resizer_free(&w->resizer);
    image_free(&w->picture);
    image_free(&w->label);
    image_free(&w->small);
    free(w);
}

/* ---- sizes ---- */

/* a * num / den, rounded, at least 1. */
static int scaled(int a, int num, int den) {
    const int64_t n = (2 * (int64_t)a * num + den) / (2 * (int64_t)den);
    return n < 1 ? 1 : (int)n;
}

void pack_target_size(const pack_options *o, int *height, int *width) {
    const int longer = *height > *width ? *height : *width, shorter = *height > *width ? *width : *height;
    int num = 1, den = 1; /* the strongest reduction that is asked for */
    if (o->short_side > 0 && o->short_side < shorter) num = o->short_side, den = shorter;
    if (o->max_side > 0 && o->max_side < longer && (int64_t)o->max_side * den < (int64_t)num * longer) num = o->max_side, den = longer;
    if (num == den) return;
    *height = scaled(*height, num, den);
    *width = scaled(*width, num, den);
}

/* ---- image and label ---- */

static void replace(uint8_t **bytes, size_t *size, size_t *capacity, uint8_t *fresh, size_t fresh_size) {
    free(*bytes);
    *bytes = fresh;
    *size = *capacity = fresh_size;
}

/* The source's bytes into the sample, its pixels into w->picture. */
static entrain_status read_picture(pack_worker *w, const char *path, shard_sample *out, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    const entrain_status status = file_read(path, &bytes, &size, err);
    replace(&out->image, &out->image_size, &out->image_capacity, bytes, size);
    return status == ENTRAIN_OK ? image_decode_rgb(w->decoder, bytes, size, path, &w->picture, err) : status;
}

/* Pixels into w->label, mapped. */
static entrain_status read_label(pack_worker *w, const char *path, const class_table *table, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = file_read(path, &bytes, &size, err);
    if (status != ENTRAIN_OK) return status;
    status = table->label_color_count > 0 ? image_decode_rgb(w->decoder, bytes, size, path, &w->label, err)
                                          : image_decode_label(w->decoder, bytes, size, path, &w->label, err);
    free(bytes);
    return status == ENTRAIN_OK ? class_table_map(table, &w->label, path, err) : status;
}

/* Encode the picture, resized or not, in the format that is wanted; or leave the source's bytes. */
static entrain_status store_picture(const pack_worker *w, const pack_options *o, const image *picture, shard_sample *out,
                                    entrain_error *err) {
    const bool resized = picture != &w->picture, png = image_is_png(out->image, out->image_size);
    if (!resized && o->jpeg_quality == 0 && (!o->png || png)) return ENTRAIN_OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const bool to_png = o->png || (png && o->jpeg_quality == 0);
    const int quality = o->jpeg_quality > 0 ? o->jpeg_quality : RESIZED_QUALITY;
    const entrain_status status =
        to_png ? image_encode_png(picture, &bytes, &size, err) : image_encode_jpeg(picture, quality, &bytes, &size, err);
    replace(&out->image, &out->image_size, &out->image_capacity, bytes, size);
    return status;
}

static entrain_status store_label(const image *label, shard_sample *out, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    const entrain_status status = image_encode_png(label, &bytes, &size, err);
    replace(&out->label, &out->label_size, &out->label_capacity, bytes, size);
    return status;
}

/* Both are good: bring them to their size and form. */
static entrain_status store(pack_worker *w, const pack_options *o, bool has_label, shard_sample *out, entrain_error *err) {
    out->height = out->source_height = w->picture.height;
    out->width = out->source_width = w->picture.width;
    pack_target_size(o, &out->height, &out->width);
    const bool resize = out->height != out->source_height || out->width != out->source_width;
    entrain_status status = ENTRAIN_OK;
    if (resize) status = image_resize(&w->resizer, &w->picture, out->height, out->width, &w->small, err);
    if (status == ENTRAIN_OK) status = store_picture(w, o, resize ? &w->small : &w->picture, out, err);
    if (status != ENTRAIN_OK || !has_label) return status;
    if (resize) status = image_resize_nearest(&w->label, out->height, out->width, &w->small, err);
    return status == ENTRAIN_OK ? store_label(resize ? &w->small : &w->label, out, err) : status;
}

/* A fault of the source is noted; anything else is returned. */
static entrain_status note(pack_result *out, entrain_status status, entrain_error *err) {
    if (status != ENTRAIN_DATA) return status;
    out->faults[out->fault_count++] = *err;
    return ENTRAIN_OK;
}

entrain_status pack_sample(pack_worker *w, const pack_options *o, const pack_item *item, const class_table *table, pack_result *out,
                           entrain_error *err) {
    out->fault_count = 0;
    out->sample.label_class = item->class_index;
    (void)snprintf(out->sample.id, sizeof out->sample.id, "%s", item->id);
    entrain_status status = note(out, read_picture(w, item->image, &out->sample, err), err);
    if (status == ENTRAIN_OK && item->label != NULL) status = note(out, read_label(w, item->label, table, err), err);
    if (status != ENTRAIN_OK || out->fault_count > 0) return status;
    if (item->label != NULL && (w->picture.height != w->label.height || w->picture.width != w->label.width))
        return note(out,
                    error_set(err, ENTRAIN_DATA, "%s: %d x %d pixels (height x width), but its label %s has %d x %d.", item->image,
                              w->picture.height, w->picture.width, item->label, w->label.height, w->label.width),
                    err);
    return store(w, o, item->label != NULL, &out->sample, err);
}
