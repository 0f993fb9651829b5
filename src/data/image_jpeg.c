/* JPEG through libjpeg-turbo. A warning (a truncated file, for one) is an error: nobody wants to train on half an image of grey. */
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "base/error.h"
#include "data/image_internal.h"

static entrain_status failure(tjhandle handle, const char *name, entrain_error *err) {
    return error_set(err, ENTRAIN_DATA, "%s: damaged or unusable JPEG image: %s", name, tjGetErrorStr2(handle));
}

static entrain_status header(tjhandle handle, const uint8_t *bytes, size_t size, const char *name, int *height, int *width,
                             entrain_error *err) {
    int sampling = 0, space = 0;
    if (tjDecompressHeader3(handle, bytes, (unsigned long)size, width, height, &sampling, &space) != 0) return failure(handle, name, err);
    if (*width < 1 || *height < 1 || *width > IMAGE_MAX_SIDE || *height > IMAGE_MAX_SIDE)
        return error_set(err, ENTRAIN_DATA, "%s: an image of %dx%d (h x w); sides from 1 to %d can be read", name, *height, *width,
                         IMAGE_MAX_SIDE);
    if (space == TJCS_CMYK || space == TJCS_YCCK) return error_set(err, ENTRAIN_DATA, "%s: a CMYK JPEG; convert it to RGB first", name);
    return ENTRAIN_OK;
}

entrain_status jpeg_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err) {
    tjhandle handle = tjInitDecompress();
    if (handle == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for decoding", name);
    const entrain_status status = header(handle, bytes, size, name, height, width, err);
    (void)tjDestroy(handle);
    return status;
}

static entrain_status decode(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err) {
    int height = 0, width = 0;
    entrain_status status = header(d->jpeg, bytes, size, name, &height, &width, err);
    if (status == ENTRAIN_OK) status = image_reshape(out, height, width, 3, name, err);
    if (status != ENTRAIN_OK) return status;
    if (tjDecompress2(d->jpeg, bytes, (unsigned long)size, out->data, width, 0, height, TJPF_RGB, 0) != 0)
        return failure(d->jpeg, name, err);
    return ENTRAIN_OK;
}

entrain_status jpeg_decode(image_decoder *d, const uint8_t *bytes, size_t size, const char *name, image *out, entrain_error *err) {
    if (d->jpeg == NULL) d->jpeg = tjInitDecompress();
    if (d->jpeg == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for decoding", name);
    const entrain_status status = decode(d, bytes, size, name, out, err);
    if (status != ENTRAIN_OK) { /* a handle that met a broken header takes every later file for broken, too */
        (void)tjDestroy(d->jpeg);
        d->jpeg = NULL;
    }
    return status;
}

void jpeg_close(image_decoder *d) {
    if (d->jpeg != NULL) (void)tjDestroy(d->jpeg);
}

entrain_status image_encode_jpeg(const image *im, int quality, uint8_t **bytes, size_t *size, entrain_error *err) {
    unsigned char *made = NULL;
    unsigned long length = 0;
    *bytes = NULL;
    *size = 0;
    if (im->channels != 3)
        return error_set(err, ENTRAIN_DATA, "an image of %d channels cannot be encoded as JPEG; expected 3", im->channels);
    tjhandle handle = tjInitCompress();
    if (handle == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for encoding a JPEG image");
    entrain_status status = ENTRAIN_OK;
    if (tjCompress2(handle, im->data, im->width, 0, im->height, TJPF_RGB, &made, &length, TJSAMP_444, quality, 0) != 0)
        status =
            error_set(err, ENTRAIN_DEVICE, "a JPEG image of %dx%d cannot be encoded: %s", im->height, im->width, tjGetErrorStr2(handle));
    if (status == ENTRAIN_OK && (*bytes = malloc(length)) == NULL)
        status = error_set(err, ENTRAIN_DEVICE, "out of memory for a JPEG image");
    if (status == ENTRAIN_OK) memcpy(*bytes, made, length);
    *size = length;
    tjFree(made);
    (void)tjDestroy(handle);
    return status;
}
