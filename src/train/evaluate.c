#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/loader.h"

enum { NETS = 4 };

/* Host or device memory that grows to the largest image met. */
typedef struct buffer {
    float *data;
    size_t floats;
} buffer;

struct evaluator {
    const graph *g;
    backend *be;
    const config *c;
    comm *self; /* a network in evaluation talks to nobody */
    int classes;
    dtype type; /* of activations */
    augment_options plain;
    struct {
        int h, w;
        net *net;
        int64_t used;
    } nets[NETS];
    int64_t clock;
    net *last;
    buffer pixels, window, scores, sum; /* host: scaled image, one window of it, (H,W,C) scores, sums over passes */
    buffer tile, count;                 /* host: sums and counts of sliding windows at the scaled size */
    buffer images, full;                /* device: network input, upsampled logits */
    buffer raw;                         /* host: logits of the last pass */
};

entrain_status evaluator_open(const graph *g, backend *be, const config *c, dtype type, int classes, evaluator **out, entrain_error *err) {
    *out = NULL;
    evaluator *e = calloc(1, sizeof *e);
    if (e == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the evaluation");
    *e = (evaluator){.g = g, .be = be, .c = c, .classes = classes, .type = type};
    memcpy(e->plain.mean, c->data.mean, sizeof e->plain.mean);
    memcpy(e->plain.std, c->data.std, sizeof e->plain.std);
    const entrain_status status = comm_open_self(&e->self, err);
    if (status != ENTRAIN_OK) {
        free(e);
        return status;
    }
    *out = e;
    return ENTRAIN_OK;
}

void evaluator_close(evaluator *e) {
    if (e == NULL) return;
    for (int i = 0; i < NETS; i++) net_free(e->nets[i].net);
    buffer *const host[] = {&e->pixels, &e->window, &e->scores, &e->sum, &e->tile, &e->count, &e->raw};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) free(host[i]->data);
    if (e->images.data != NULL) e->be->ops->release(e->be, e->images.data);
    if (e->full.data != NULL) e->be->ops->release(e->be, e->full.data);
    comm_close(e->self);
    free(e);
}

static entrain_status out_of_memory(size_t floats, entrain_error *err) {
    return error_set(err, ENTRAIN_DEVICE,
                     "not enough memory to evaluate: %.1f MiB more are needed. Use smaller eval.scales or eval.mode slide.",
                     (double)floats * sizeof(float) / 1048576.0);
}

static entrain_status grow(buffer *b, size_t floats, entrain_error *err) {
    if (floats <= b->floats) return ENTRAIN_OK;
    free(b->data);
    b->data = malloc(floats * sizeof(float));
    b->floats = b->data == NULL ? 0 : floats;
    return b->data == NULL ? out_of_memory(floats, err) : ENTRAIN_OK;
}

static entrain_status grow_device(evaluator *e, buffer *b, size_t floats, entrain_error *err) {
    if (floats <= b->floats) return ENTRAIN_OK;
    if (b->data != NULL) e->be->ops->release(e->be, b->data);
    b->data = e->be->ops->alloc(e->be, floats * sizeof(float));
    b->floats = b->data == NULL ? 0 : floats;
    return b->data == NULL ? out_of_memory(floats, err) : ENTRAIN_OK;
}

/* The network for images of this size: kept from before, or made in place of the one unused for longest. */
static entrain_status network_for(evaluator *e, int h, int w, net **out, entrain_error *err) {
    int oldest = 0;
    for (int i = 0; i < NETS; i++) {
        if (e->nets[i].net != NULL && e->nets[i].h == h && e->nets[i].w == w) {
            e->nets[i].used = ++e->clock;
            *out = e->nets[i].net;
            return ENTRAIN_OK;
        }
        if (e->nets[i].used < e->nets[oldest].used) oldest = i;
    }
    net_free(e->nets[oldest].net);
    e->nets[oldest].net = NULL;
    const net_options o = {.n = 1, .h = h, .w = w, .training = false, .type = e->type, .tf32 = e->c->train.tf32};
    const entrain_status status = net_create(e->g, e->be, e->self, &o, &e->nets[oldest].net, err);
    if (status != ENTRAIN_OK) return status;
    e->nets[oldest].h = h;
    e->nets[oldest].w = w;
    e->nets[oldest].used = ++e->clock;
    *out = e->nets[oldest].net;
    return ENTRAIN_OK;
}

/* Run the network on host pixels (h,w,3) and leave the logits, resized to (out_h,out_w,classes), in host memory `to`. */
static entrain_status forward(evaluator *e, const float *pixels, int h, int w, int out_h, int out_w, float *to, entrain_error *err) {
    const backend_ops *ops = e->be->ops;
    const size_t inputs = (size_t)h * (size_t)w * 3, outputs = (size_t)out_h * (size_t)out_w * (size_t)e->classes;
    net *n = NULL;
    entrain_status status = network_for(e, h, w, &n, err);
    if (status == ENTRAIN_OK) status = grow_device(e, &e->images, inputs, err);
    if (status == ENTRAIN_OK) status = grow_device(e, &e->full, outputs, err);
    if (status != ENTRAIN_OK) return status;
    ops->upload_floats(e->be, e->images.data, e->type, pixels, inputs);
    status = net_forward(n, e->images.data, 0);
    if (status == ENTRAIN_OK) status = ops->status(e->be, err);
    if (status != ENTRAIN_OK) return status;
    const tensor logits = net_logits(n);
    tensor full = {e->full.data, 1, out_h, out_w, e->classes, F32};
    ops->resize_forward(e->be, &logits, &full);
    ops->download(e->be, to, full.data, outputs * sizeof(float));
    e->last = n;
    return ENTRAIN_OK;
}

/* Starts of windows of this length over a side, two thirds of a window apart, the last one flush with the end. Returns how many. */
static int window_starts(int side, int window, int index, int *start) {
    const int stride = (2 * window + 2) / 3;
    const int count = side <= window ? 1 : (side - window + stride - 1) / stride + 1;
    const int at = index * stride;
    *start = at + window <= side ? at : side - window;
    return count;
}

static void add_window(evaluator *e, const float *scores, int y0, int x0, int h, int w, int width) {
    const size_t c = (size_t)e->classes;
    for (int y = 0; y < h; y++) {
        const size_t at = (size_t)(y0 + y) * (size_t)width + (size_t)x0;
        const float *from = scores + (size_t)y * (size_t)w * c;
        for (size_t i = 0; i < (size_t)w * c; i++) e->tile.data[at * c + i] += from[i];
        for (int x = 0; x < w; x++) e->count.data[at + (size_t)x] += 1.0f;
    }
}

/* Sliding windows over the scaled image (sh,sw) in e->pixels: logits averaged where windows overlap, then resized to (h,w). */
static entrain_status slide(evaluator *e, int sh, int sw, int h, int w, float *to, entrain_error *err) {
    const int wh = e->c->data.crop[0] < sh ? e->c->data.crop[0] : sh, ww = e->c->data.crop[1] < sw ? e->c->data.crop[1] : sw;
    const size_t area = (size_t)sh * (size_t)sw, c = (size_t)e->classes;
    entrain_status status = grow(&e->tile, area * c, err);
    if (status == ENTRAIN_OK) status = grow(&e->count, area, err);
    if (status == ENTRAIN_OK) status = grow(&e->window, (size_t)wh * (size_t)ww * 3, err);
    if (status == ENTRAIN_OK) status = grow_device(e, &e->full, (area > (size_t)h * (size_t)w ? area : (size_t)h * (size_t)w) * c, err);
    if (status != ENTRAIN_OK) return status;
    memset(e->tile.data, 0, area * c * sizeof(float));
    memset(e->count.data, 0, area * sizeof(float));
    int y0 = 0, x0 = 0;
    for (int i = 0; i < window_starts(sh, wh, i, &y0); i++) {
        for (int j = 0; j < window_starts(sw, ww, j, &x0); j++) {
            for (int y = 0; y < wh; y++)
                memcpy(e->window.data + (size_t)y * (size_t)ww * 3, e->pixels.data + ((size_t)(y0 + y) * (size_t)sw + (size_t)x0) * 3,
                       (size_t)ww * 3 * sizeof(float));
            status = forward(e, e->window.data, wh, ww, wh, ww, to, err);
            if (status != ENTRAIN_OK) return status;
            add_window(e, to, y0, x0, wh, ww, sw);
        }
    }
    for (size_t i = 0; i < area; i++)
        for (size_t k = 0; k < c; k++) e->tile.data[i * c + k] /= e->count.data[i];
    float *device = e->be->ops->alloc(e->be, area * c * sizeof(float));
    if (device == NULL) return out_of_memory(area * c, err);
    e->be->ops->upload(e->be, device, e->tile.data, area * c * sizeof(float));
    const tensor small = {device, 1, sh, sw, e->classes, F32};
    tensor full = {e->full.data, 1, h, w, e->classes, F32};
    e->be->ops->resize_forward(e->be, &small, &full);
    e->be->ops->download(e->be, to, full.data, (size_t)h * (size_t)w * c * sizeof(float));
    e->be->ops->release(e->be, device);
    return ENTRAIN_OK;
}

/* sum += softmax(scores), mirrored back where the pass was flipped. */
static void add_softmax(const float *scores, int h, int w, int classes, bool flipped, float *sum) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const float *s = scores + ((size_t)y * (size_t)w + (size_t)(flipped ? w - 1 - x : x)) * (size_t)classes;
            float *to = sum + ((size_t)y * (size_t)w + (size_t)x) * (size_t)classes;
            float largest = s[0];
            double total = 0.0;
            for (int k = 1; k < classes; k++) largest = fmaxf(largest, s[k]);
            for (int k = 0; k < classes; k++) total += exp((double)(s[k] - largest));
            for (int k = 0; k < classes; k++) to[k] += (float)(exp((double)(s[k] - largest)) / total);
        }
    }
}

static void argmax(const float *scores, size_t pixels, int classes, uint8_t *labels) {
    for (size_t i = 0; i < pixels; i++) {
        const float *s = scores + i * (size_t)classes;
        int best = 0;
        for (int k = 1; k < classes; k++)
            if (s[k] > s[best]) best = k; // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): filled by download
        labels[i] = (uint8_t)best;
    }
}

/* One pass over the picture at one scale. */
static entrain_status pass(evaluator *e, const image *picture, double scale, bool flip, float *to, entrain_error *err) {
    const int sh = (int)fmax(1.0, round(scale * picture->height)), sw = (int)fmax(1.0, round(scale * picture->width));
    const entrain_status status = grow(&e->pixels, (size_t)sh * (size_t)sw * 3, err);
    if (status != ENTRAIN_OK) return status;
    augment_plain(&e->plain, picture, sh, sw, flip, e->pixels.data);
    if (e->c->eval.mode == EVAL_SLIDE && e->c->data.crop[0] > 0) return slide(e, sh, sw, picture->height, picture->width, to, err);
    return forward(e, e->pixels.data, sh, sw, picture->height, picture->width, to, err);
}

entrain_status evaluator_run(evaluator *e, const image *picture, const float **scores, uint8_t *labels, entrain_error *err) {
    const size_t pixels = (size_t)picture->height * (size_t)picture->width, count = pixels * (size_t)e->classes;
    const int passes = e->c->eval.scales.count * (e->c->eval.flip ? 2 : 1);
    entrain_status status = grow(&e->scores, count, err);
    if (status == ENTRAIN_OK && passes > 1) status = grow(&e->sum, count, err);
    if (status != ENTRAIN_OK) return status;
    if (passes > 1) memset(e->sum.data, 0, count * sizeof(float));
    for (int i = 0; i < passes; i++) {
        const bool flip = i >= e->c->eval.scales.count;
        const double scale = e->c->eval.scales.values[i % e->c->eval.scales.count];
        /* slide() uses the same memory for windows, which may be larger than the image at scales above 1. */
        const size_t window = (size_t)e->c->data.crop[0] * (size_t)e->c->data.crop[1] * (size_t)e->classes;
        status = grow(&e->scores, count > window ? count : window, err);
        if (status == ENTRAIN_OK) status = pass(e, picture, scale, flip, e->scores.data, err);
        if (status != ENTRAIN_OK) return status;
        if (passes > 1) add_softmax(e->scores.data, picture->height, picture->width, e->classes, flip, e->sum.data);
    }
    if (passes > 1)
        for (size_t i = 0; i < count; i++) e->scores.data[i] = e->sum.data[i] / (float)passes;
    if (labels != NULL) argmax(e->scores.data, pixels, e->classes, labels);
    if (scores != NULL) *scores = e->scores.data;
    return ENTRAIN_OK;
}

int evaluator_classes(const evaluator *e) {
    return e->classes;
}

const float *evaluator_raw_logits(evaluator *e, int *h, int *w, entrain_error *err) {
    const tensor logits = net_logits(e->last);
    if (grow(&e->raw, tensor_count(&logits), err) != ENTRAIN_OK) return NULL;
    e->be->ops->download(e->be, e->raw.data, logits.data, tensor_count(&logits) * sizeof(float));
    *h = logits.h;
    *w = logits.w;
    return e->raw.data;
}
