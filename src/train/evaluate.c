#include "train/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "train/evaluate_internal.h"

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
    for (int i = 0; i < EVALUATE_NETS; i++) net_free(e->nets[i].net);
    buffer *const host[] = {&e->pixels, &e->scores, &e->raw};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) memory_free(host[i]->data);
    if (e->images.data != NULL) e->be->ops->release(e->be, e->images.data);
    fuse_memory_free(&e->fusing);
    comm_close(e->self);
    free(e);
}

static entrain_status grow(buffer *b, size_t floats, entrain_error *err) {
    if (floats <= b->floats) return ENTRAIN_OK;
    memory_free(b->data);
    b->data = memory_reserve(floats * sizeof(float));
    b->floats = b->data == NULL ? 0 : floats;
    return b->data == NULL ? fuse_out_of_memory(floats, err) : ENTRAIN_OK;
}

static entrain_status grow_device(evaluator *e, buffer *b, size_t floats, entrain_error *err) {
    if (floats <= b->floats) return ENTRAIN_OK;
    if (b->data != NULL) e->be->ops->release(e->be, b->data);
    b->data = e->be->ops->alloc(e->be, floats * sizeof(float));
    b->floats = b->data == NULL ? 0 : floats;
    return b->data == NULL ? fuse_out_of_memory(floats, err) : ENTRAIN_OK;
}

/* ---- networks ---- */

/* A place for one more network: free, or of the one unused for longest. All beyond EVALUATE_KEPT_BYTES go, the longest unused first. */
static int make_room(evaluator *e) {
    for (;;) {
        int oldest = -1, vacant = -1;
        size_t bytes = 0;
        for (int i = 0; i < EVALUATE_NETS; i++) {
            if (e->nets[i].net == NULL) {
                vacant = i;
                continue;
            }
            const net_memory m = net_get_memory(e->nets[i].net);
            bytes += m.arena + m.norm_state;
            if (oldest < 0 || e->nets[i].used < e->nets[oldest].used) oldest = i;
        }
        if (vacant >= 0 && bytes <= EVALUATE_KEPT_BYTES) return vacant;
        net_free(e->nets[oldest].net);
        e->nets[oldest].net = NULL;
    }
}

net_options evaluator_net_options(const evaluator *e, int h, int w) {
    return (net_options){.n = 1, .h = h, .w = w, .training = false, .type = e->type, .tf32 = e->c->train.tf32};
}

/* The network for windows of this size: kept from before, or made. */
static entrain_status network_for(evaluator *e, int h, int w, net **out, entrain_error *err) {
    for (int i = 0; i < EVALUATE_NETS; i++) {
        if (e->nets[i].net != NULL && e->nets[i].h == h && e->nets[i].w == w) {
            e->nets[i].used = ++e->clock;
            *out = e->nets[i].net;
            return ENTRAIN_OK;
        }
    }
    const int place = make_room(e);
    const net_options o = evaluator_net_options(e, h, w);
    const entrain_status status = net_create(e->g, e->be, e->self, &o, &e->nets[place].net, err);
    if (status != ENTRAIN_OK) return status;
    e->nets[place].h = h;
    e->nets[place].w = w;
    e->nets[place].used = ++e->clock;
    *out = e->nets[place].net;
    return ENTRAIN_OK;
}

/* ---- an image ---- */

typedef struct picture_source {
    evaluator *e;
    const image *picture;
} picture_source;

/* The network on one window: its logits to host memory. */
static entrain_status run_window(void *context, const fuse_window *window, float *logits, entrain_error *err) {
    const picture_source *s = context;
    evaluator *e = s->e;
    const backend_ops *ops = e->be->ops;
    const fuse_pass *p = window->pass;
    const augment_place place = {p->h, p->w, p->flip, window->y, window->x, p->window_h, p->window_w};
    const size_t inputs = (size_t)p->window_h * (size_t)p->window_w * 3;
    net *n = NULL;
    entrain_status status = network_for(e, p->window_h, p->window_w, &n, err);
    if (status == ENTRAIN_OK) status = grow(&e->pixels, inputs, err);
    if (status == ENTRAIN_OK) status = grow_device(e, &e->images, inputs, err);
    if (status != ENTRAIN_OK) return status;
    augment_window(&e->plain, s->picture, &place, e->be->threads, e->pixels.data);
    ops->upload_floats(e->be, e->images.data, e->type, e->pixels.data, inputs);
    status = net_forward(n, e->images.data, 0);
    if (status == ENTRAIN_OK) status = ops->status(e->be, err);
    if (status != ENTRAIN_OK) return status;
    const tensor out = net_logits(n);
    if (out.h != p->logits_h || out.w != p->logits_w || out.c != e->classes)
        return error_set(err, ENTRAIN_DEVICE, "the network's logits of %dx%d pixels are %dx%dx%d; expected %dx%dx%d", p->window_h,
                         p->window_w, out.h, out.w, out.c, p->logits_h, p->logits_w, e->classes);
    ops->download(e->be, logits, out.data, tensor_count(&out) * sizeof(float));
    e->last = n;
    return ops->status(e->be, err);
}

entrain_status evaluator_run_at(evaluator *e, const image *picture, int height, int width, const float **scores, uint8_t *labels,
                                entrain_error *err) {
    picture_source from = {e, picture};
    const fuse_source source = {run_window, &from};
    fuse_plan how;
    fuse_plan_make(e->c, e->classes, picture->height, picture->width, height, width, &how);
    if (scores != NULL) {
        const entrain_status status = grow(&e->scores, (size_t)height * (size_t)width * (size_t)e->classes, err);
        if (status != ENTRAIN_OK) return status;
        *scores = e->scores.data;
    }
    return fuse_run(&how, &source, e->be->threads, &e->fusing, labels, scores == NULL ? NULL : e->scores.data, err);
}

entrain_status evaluator_run(evaluator *e, const image *picture, const float **scores, uint8_t *labels, entrain_error *err) {
    return evaluator_run_at(e, picture, picture->height, picture->width, scores, labels, err);
}

int evaluator_classes(const evaluator *e) {
    return e->classes;
}

bool evaluator_single_pass(const evaluator *e) {
    int crop[2], stride[2];
    const int sizes = e->c->eval.short_sides.count > 0 ? e->c->eval.short_sides.count : e->c->eval.scales.count;
    return !config_windows(e->c, crop, stride) && sizes == 1 && !e->c->eval.flip;
}

const float *evaluator_raw_logits(evaluator *e, int *h, int *w, entrain_error *err) {
    const tensor logits = net_logits(e->last);
    if (grow(&e->raw, tensor_count(&logits), err) != ENTRAIN_OK) return NULL;
    e->be->ops->download(e->be, e->raw.data, logits.data, tensor_count(&logits) * sizeof(float));
    *h = logits.h;
    *w = logits.w;
    return e->raw.data;
}
