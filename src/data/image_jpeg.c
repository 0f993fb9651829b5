/*
 * JPEG through libjpeg-turbo. A warning (a truncated file, for one) is an error: nobody wants to train on half an image of grey.
 *
 * Decoding a part: the rows above are entropy-decoded only, those below not at all, and columns outside are neither transformed nor
 * converted. The decoder smooths colour differences over neighbouring blocks ("fancy upsampling"), which goes wrong in the outermost column
 * of a cut; MARGIN more columns keep that away from what is wanted, so the wanted pixels are those of the whole image to the bit.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
/* needs stdio.h before it */
#include <jpeglib.h>

#include "base/error.h"
#include "data/image_internal.h"

/* A block of 8 x 8 pixels takes a bit at least. */
enum { MARGIN = 2, DENSEST = 8 * 64 };

typedef struct jpeg_reader {
    struct jpeg_decompress_struct state;
    struct jpeg_error_mgr errors;
    jmp_buf jump;
    char reason[JMSG_LENGTH_MAX];
} jpeg_reader;

_Noreturn static void on_error(j_common_ptr state) {
    jpeg_reader *r = state->client_data;
    state->err->format_message(state, r->reason);
    longjmp(r->jump, 1);
}

/* level -1: a warning, 0 and above: what the file is like. */
static void on_message(j_common_ptr state, int level) {
    if (level < 0) on_error(state);
}

static void print_nothing(j_common_ptr state) {
    (void)state;
}

static bool guarded_create(jpeg_reader *r) {
    if (setjmp(r->jump) != 0) return false;
    jpeg_create_decompress(&r->state);
    return true;
}

/* One for each image: from a used one an image would inherit the tables that it lacks. false: no memory. */
static bool reader_open(jpeg_reader *r) {
    memset(r, 0, sizeof *r);
    r->state.err = jpeg_std_error(&r->errors);
    r->state.client_data = r;
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = print_nothing;
    if (guarded_create(r)) return true;
    jpeg_destroy_decompress(&r->state);
    return false;
}

static entrain_status no_memory(const char *name, entrain_error *err) {
    return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for decoding", name);
}

/* Under setjmp, like all that follows up to guarded_decode. */
static entrain_status read_header(jpeg_reader *r, const image_source *from, entrain_error *err) {
    struct jpeg_decompress_struct *s = &r->state;
    jpeg_mem_src(s, from->bytes, (unsigned long)from->size);
    (void)jpeg_read_header(s, TRUE);
    if (s->image_width > IMAGE_MAX_SIDE || s->image_height > IMAGE_MAX_SIDE)
        return error_set(err, ENTRAIN_DATA, "%s: an image of %ux%u (h x w); sides from 1 to %d can be read", from->name, s->image_height,
                         s->image_width, IMAGE_MAX_SIDE);
    return image_check_claim(from->name, (int)s->image_height, (int)s->image_width, from->size, DENSEST, err);
}

/* Cut the columns, if that leaves any out. */
static void cut_columns(struct jpeg_decompress_struct *s, const image_part *want, image_part *got) {
    const int end = want->left + want->width + MARGIN;
    JDIMENSION left = (JDIMENSION)(want->left > MARGIN ? want->left - MARGIN : 0);
    JDIMENSION width = (end < (int)s->output_width ? (JDIMENSION)end : s->output_width) - left;
    if (width == s->output_width) return;
    jpeg_crop_scanline(s, &left, &width);
    got->left = (int)left;
    got->width = (int)width;
}

/* a * b / 255, rounded. */
static unsigned product(unsigned a, unsigned b) {
    const unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Ink to light, as Pillow has it: what black leaves, times what the other ink leaves. Adobe's files store what is left, others the ink. */
static void cmyk_to_rgb(image *im, bool adobe) {
    const size_t pixels = (size_t)im->height * (size_t)im->width;
    const unsigned flip = adobe ? 0 : 255;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *from = im->data + 4 * i;
        const unsigned light = from[3] ^ flip, ink[3] = {255 - (from[0] ^ flip), 255 - (from[1] ^ flip), 255 - (from[2] ^ flip)};
        for (size_t c = 0; c < 3; c++) im->data[3 * i + c] = (uint8_t)(light - product(ink[c], light));
    }
    im->channels = 3;
}

static entrain_status decode(jpeg_reader *r, const image_source *from, const image_part *want, image *out, image_part *got,
                             entrain_error *err) {
    struct jpeg_decompress_struct *s = &r->state;
    entrain_status status = read_header(r, from, err);
    if (status == ENTRAIN_OK && want != NULL) status = image_check_size(from, (int)s->image_height, (int)s->image_width, err);
    if (status != ENTRAIN_OK) return status;
    const bool ink = s->jpeg_color_space == JCS_CMYK || s->jpeg_color_space == JCS_YCCK;
    const int channels = ink ? 4 : 3;
    s->out_color_space = ink ? JCS_CMYK : JCS_RGB;
    s->scale_num = 1;
    s->scale_denom = want == NULL ? 1 : (unsigned)want->reduce;
    (void)jpeg_start_decompress(s);
    const int rows = (int)s->output_height;
    *got = (image_part){.reduce = (int)s->scale_denom, .height = rows, .width = (int)s->output_width};
    if (want != NULL) {
        got->top = want->top;
        got->height = want->height;
        cut_columns(s, want, got);
    }
    status = image_reshape(out, got->height, got->width, channels, from->name, err);
    if (status != ENTRAIN_OK) return status;
    if (got->top > 0) (void)jpeg_skip_scanlines(s, (JDIMENSION)got->top);
    for (int y = 0; y < got->height;) {
        JSAMPROW row = out->data + (size_t)y * (size_t)got->width * (size_t)channels;
        y += (int)jpeg_read_scanlines(s, &row, 1);
    }
    if (got->top + got->height == rows) (void)jpeg_finish_decompress(s);
    if (ink) cmyk_to_rgb(out, s->saw_Adobe_marker);
    return ENTRAIN_OK;
}

static entrain_status guarded_decode(jpeg_reader *r, const image_source *from, const image_part *want, image *out, image_part *got,
                                     entrain_error *err) {
    if (setjmp(r->jump) == 0) return decode(r, from, want, out, got, err);
    return error_set(err, ENTRAIN_DATA, "%s: damaged or unusable JPEG image: %s", from->name, r->reason);
}

entrain_status jpeg_decode(const image_source *from, const image_part *want, image *out, image_part *got, entrain_error *err) {
    jpeg_reader r;
    if (!reader_open(&r)) return no_memory(from->name, err);
    const entrain_status status = guarded_decode(&r, from, want, out, got, err);
    jpeg_destroy_decompress(&r.state);
    return status;
}

static entrain_status guarded_header(jpeg_reader *r, const image_source *from, entrain_error *err) {
    if (setjmp(r->jump) == 0) return read_header(r, from, err);
    return error_set(err, ENTRAIN_DATA, "%s: damaged or unusable JPEG image: %s", from->name, r->reason);
}

entrain_status jpeg_probe(const uint8_t *bytes, size_t size, const char *name, int *height, int *width, entrain_error *err) {
    jpeg_reader r;
    if (!reader_open(&r)) return no_memory(name, err);
    const entrain_status status = guarded_header(&r, &(image_source){.bytes = bytes, .size = size, .name = name}, err);
    *height = (int)r.state.image_height;
    *width = (int)r.state.image_width;
    jpeg_destroy_decompress(&r.state);
    return status;
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
    if (status == ENTRAIN_OK) *size = length;
    tjFree(made);
    (void)tjDestroy(handle);
    return status;
}
