/* Images whatever their format: told apart by their first bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/image_internal.h"

void image_free(image *im) {
    free(im->data);
    memset(im, 0, sizeof *im);
}

image_decoder *image_decoder_open(void) {
    return calloc(1, sizeof(image_decoder));
}

void image_decoder_close(image_decoder *d) {
    if (d == NULL) return;
    free(d->pool);
    free(d);
}

entrain_status image_reshape(image *im, int height, int width, int channels, const char *name, entrain_error *err) {
    if (height < 1 || width < 1 || height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE)
        return error_set(err, ENTRAIN_DATA, "%s: an image of %dx%d (h x w); sides from 1 to %d can be read", name, height, width,
                         IMAGE_MAX_SIDE);
    const size_t needed = (size_t)height * (size_t)width * (size_t)channels;
    if (needed > im->capacity) {
        free(im->data);
        im->data = malloc(needed);
        im->capacity = im->data == NULL ? 0 : needed;
        if (im->data == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for an image of %dx%d", name, height, width);
    }
    im->height = height;
    im->width = width;
    im->channels = channels;
    return ENTRAIN_OK;
}

bool image_is_png(const uint8_t *bytes, size_t size) {
    static const uint8_t mark[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    return size >= sizeof mark && memcmp(bytes, mark, sizeof mark) == 0;
}

bool image_is_jpeg(const uint8_t *bytes, size_t size) {
    return size >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

static entrain_status unknown_format(const char *name, entrain_error *err) {
    return error_set(err, ENTRAIN_DATA, "%s: neither a PNG nor a JPEG image", name);
}

entrain_status image_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err) {
    if (image_is_png(bytes, size)) return png_probe(bytes, size, name, height, width, err);
    if (image_is_jpeg(bytes, size)) return jpeg_probe(bytes, size, name, height, width, err);
    return unknown_format(name, err);
}

entrain_status image_check_claim(const char *name, int height, int width, size_t size, int densest, entrain_error *err) {
    enum { HARMLESS = 1 << 24 };
    const int64_t pixels = (int64_t)height * width;
    if (pixels <= HARMLESS || pixels / densest <= (int64_t)size) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: its header claims %dx%d pixels (height x width), but it has only %zu bytes: cut off or damaged", name, height,
                     width, size);
}

entrain_status image_check_size(const image_source *source, int height, int width, entrain_error *err) {
    if (height == source->height && width == source->width) return ENTRAIN_OK;
    return error_set(
        err, ENTRAIN_DATA,
        "%s: %dx%d pixels (height x width) where its shard says %dx%d; image, label map and shard must agree. Pack the data set again.",
        source->name, height, width, source->height, source->width);
}

static entrain_status decode(image_decoder *d, const image_source *from, bool label, const image_part *want, image *out, image_part *got,
                             entrain_error *err) {
    if (image_is_png(from->bytes, from->size)) return png_decode(d, from, label, want, out, got, err);
    if (label) return error_set(err, ENTRAIN_DATA, "%s: a label map must be a PNG with one 8-bit channel or a palette", from->name);
    if (image_is_jpeg(from->bytes, from->size)) return jpeg_decode(from, want, out, got, err);
    return unknown_format(from->name, err);
}

entrain_status image_decode_rgb(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err) {
    image_part all;
    return decode(d, &(image_source){.bytes = bytes, .size = size, .name = name}, false, NULL, out, &all, err);
}

entrain_status image_decode_label(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err) {
    image_part all;
    return decode(d, &(image_source){.bytes = bytes, .size = size, .name = name}, true, NULL, out, &all, err);
}

bool image_can_reduce(const uint8_t *bytes, size_t size) {
    return image_is_jpeg(bytes, size);
}

entrain_status image_decode_part(image_decoder *d, const image_source *source, bool label, const image_part *want, image *out,
                                 image_part *got, entrain_error *err) {
    return decode(d, source, label, want, out, got, err);
}
