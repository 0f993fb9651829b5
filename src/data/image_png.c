/*
 * PNG through libpng. Decoding takes all of libpng's memory from a pool in the decoder, which grows to what the largest image needed, so
 * that decoding allocates nothing in the long run.
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/image_internal.h"

typedef struct png_source {
    const uint8_t *bytes;
    size_t size, at;
    char reason[256];
} png_source;

static void on_error(png_structp png, png_const_charp message) {
    png_source *s = png_get_error_ptr(png);
    (void)snprintf(s->reason, sizeof s->reason, "%s", message);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png, (void)message;
}

static void read_bytes(png_structp png, png_bytep to, size_t count) {
    png_source *s = png_get_io_ptr(png);
    if (count > s->size - s->at) png_error(png, "the file ends too early");
    memcpy(to, s->bytes + s->at, count);
    s->at += count;
}

/* From the pool while it lasts, from the heap otherwise; png_memory_free tells them apart. */
static png_voidp pool_alloc(png_structp png, png_alloc_size_t size) {
    image_decoder *d = png_get_mem_ptr(png);
    const size_t rounded = memory_round(size);
    if (rounded < size) return NULL;
    d->pool_wanted += rounded;
    if (rounded > d->pool_size - d->pool_used) return malloc(size);
    char *p = d->pool + d->pool_used;
    d->pool_used += rounded;
    return p;
}

static void pool_free(png_structp png, png_voidp p) {
    const image_decoder *d = png_get_mem_ptr(png);
    const char *q = p;
    if (d->pool == NULL || q < d->pool || q >= d->pool + d->pool_size) free(p);
}

/* Before an image: an empty pool, as large as the last image would have liked. */
static void pool_restart(image_decoder *d) {
    if (d->pool_wanted > d->pool_size) {
        memory_free(d->pool);
        d->pool = memory_alloc(d->pool_wanted);
        d->pool_size = d->pool == NULL ? 0 : d->pool_wanted;
    }
    d->pool_used = 0;
    d->pool_wanted = 0;
}

entrain_status png_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err) {
    /* 8 bytes of mark, then the first chunk: length, "IHDR", width, height. */
    if (size < 24 || memcmp(bytes + 12, "IHDR", 4) != 0) return error_set(err, ENTRAIN_DATA, "%s: a PNG image without a header", name);
    const uint32_t w = png_get_uint_32(bytes + 16), h = png_get_uint_32(bytes + 20);
    if (w < 1 || h < 1 || w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE)
        return error_set(err, ENTRAIN_DATA, "%s: an image of %ux%u (h x w); sides from 1 to %d can be read", name, h, w, IMAGE_MAX_SIDE);
    *height = (int)h;
    *width = (int)w;
    return ENTRAIN_OK;
}

/* Ask libpng for 8 bits a channel and for RGB, or for the plain numbers of a label map. */
static void set_transforms(png_structp png, png_infop info, bool label) {
    const int type = png_get_color_type(png, info);
    if (label) {
        if (type != PNG_COLOR_TYPE_GRAY && type != PNG_COLOR_TYPE_PALETTE) png_error(png, "a label map must have one channel or a palette");
        if (png_get_bit_depth(png, info) > 8) png_error(png, "a label map must have 8 bits a pixel");
        png_set_packing(png);
        return;
    }
    png_set_expand(png);
    png_set_scale_16(png);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
}

/* What one call decodes. */
typedef struct png_job {
    const image_source *from;
    const image_part *want; /* NULL: everything */
    bool label;
    image *out;
    image_part *got;
} png_job;

/* Interlaced: every pass goes over all rows, so all of them are made, whatever is wanted. */
static void read_interlaced(png_structp png, const image *out, int passes, size_t row) {
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < out->height; y++) png_read_row(png, out->data + (size_t)y * row, NULL);
}

/* What is wrong with the pixels is an error, also where libpng would go on with a warning; what does not change them is not looked at. */
static void be_strict(png_structp png) {
    png_set_benign_errors(png, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep) "tRNS", 1);
}

/* Everything between setjmp and the end of reading; errors leave by longjmp. Rows above the wanted ones are inflated, because each leans on
 * the one before, and kept nowhere; those below are not looked at. */
static entrain_status read_image(png_structp png, png_infop info, const png_job *j, entrain_error *err) {
    enum { DEFLATE = 8 * 1032 }; /* bits that deflate can make of one byte */
    png_read_info(png, info);
    const int bits = png_get_bit_depth(png, info) * png_get_channels(png, info);
    set_transforms(png, info, j->label);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const int channels = j->label ? 1 : 3;
    const int height = (int)png_get_image_height(png, info), width = (int)png_get_image_width(png, info);
    entrain_status status = image_check_claim(j->from->name, height, width, j->from->size, DEFLATE / bits, err);
    if (status != ENTRAIN_OK) return status;
    const bool part = j->want != NULL && passes == 1;
    *j->got = (image_part){.reduce = 1, .height = height, .width = width};
    if (part) {
        j->got->top = j->want->top;
        j->got->height = j->want->height;
    }
    status = image_reshape(j->out, j->got->height, width, channels, j->from->name, err);
    if (status != ENTRAIN_OK) return status;
    const size_t row = (size_t)width * (size_t)channels;
    if (png_get_rowbytes(png, info) != row) png_error(png, "an unexpected number of bytes a row");
    if (passes > 1) {
        read_interlaced(png, j->out, passes, row);
    } else {
        for (int y = 0; y < j->got->top; y++) png_read_row(png, NULL, NULL);
        for (int y = 0; y < j->got->height; y++) png_read_row(png, j->out->data + (size_t)y * row, NULL);
    }
    if (j->got->top + j->got->height == height) png_read_end(png, NULL);
    return ENTRAIN_OK;
}

entrain_status png_decode(image_decoder *d, const image_source *from, bool label, const image_part *want, image *out, image_part *got,
                          entrain_error *err) {
    png_source source = {.bytes = from->bytes, .size = from->size};
    const png_job job = {.from = from, .want = want, .label = label, .out = out, .got = got};
    int height = 0, width = 0;
    entrain_status status = png_probe(from->bytes, from->size, from->name, &height, &width, err);
    if (status == ENTRAIN_OK && want != NULL) status = image_check_size(from, height, width, err);
    if (status != ENTRAIN_OK) return status;
    pool_restart(d);
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning, d, pool_alloc, pool_free);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for decoding", from->name);
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        be_strict(png);
        png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
        png_set_read_fn(png, &source, read_bytes);
#ifdef PNG_IGNORE_ADLER32
        /* It stands behind the last row, which most parts never reach; the chunks' own checksums remain. */
        if (want != NULL) (void)png_set_option(png, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
#endif
        status = read_image(png, info, &job, err);
    } else {
        status = error_set(err, ENTRAIN_DATA, "%s: damaged or unusable PNG image: %s", from->name, source.reason);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}
