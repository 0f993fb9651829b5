/*
 * Runs each operation of the CUDA backend once in simulation, so that the file that CUSIM_TRAFFIC names tells what its kernels move
 * (../sim/traffic.cpp). Before an operation's launches stands a note: its name, its type, its shape in words and the number of elements
 * that figures are given for, separated by tabs; figures.py reads it. All memory is zero, for no kernel's accesses depend on values but
 * for labels that are ignored, and none is here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "comm/comm.h"
#include "host.h"
#include "norm/norm.h"

enum { MOST_AREAS = 16, PLACE = 64 /* bytes: where areas may begin */ };

typedef struct run {
    backend *be;
    comm *ranks;
    dtype type;
    size_t element; /* bytes of the type */
    void *areas[MOST_AREAS];
    int count;
} run;

static void fail(const char *why) {
    (void)fprintf(stderr, "figures_traffic: %s\n", why);
    exit(1);
}

/* Zeroed memory of the device, counted under this name until the operation ends. */
static void *area(run *r, const char *name, size_t bytes) {
    void *p = r->count < MOST_AREAS ? r->be->ops->alloc(r->be, bytes) : NULL;
    if (p == NULL) fail("out of memory");
    cusim_traffic_area(p, bytes, name);
    r->areas[r->count++] = p;
    return p;
}

static void *map(run *r, const char *name, size_t elements) {
    return area(r, name, elements * r->element);
}

static tensor tensor_of(void *data, int n, int h, int w, int c, dtype type) {
    return (tensor){data, n, h, w, c, type};
}

/* What is launched from here on belongs to this operation. */
static void begin(const run *r, const char *name, const char *shape, size_t elements) {
    char text[256];
    (void)snprintf(text, sizeof text, "%s\t%s\t%s\t%zu", name, r->type == BF16 ? "bfloat16" : "float32", shape, elements);
    r->be->ops->finish(r->be);
    cusim_traffic_note(text);
}

static void end(run *r) {
    entrain_error error;
    if (r->be->ops->status(r->be, &error) != ENTRAIN_OK) fail(error.text);
    r->be->ops->finish(r->be);
    cusim_traffic_forget_areas();
    while (r->count > 0) r->be->ops->release(r->be, r->areas[--r->count]);
}

/* ---- normalisation ---- */

#define METHODS(...) .methods = {__VA_ARGS__}
#define COMMON .sync = true, .groups = 32, .reduction = 32, .pi = 50, .conv = true, .eps = 1e-5, .momentum = 0.1

typedef struct layer {
    const char *name;
    norm_spec spec;
} layer;

static const layer LAYERS[] = {
    {"en (in, ln, bn)", {COMMON, .type = NORM_EN, .k = 3, METHODS(NORM_METHOD_IN, NORM_METHOD_LN, NORM_METHOD_BN)}},
    {"sn (in, ln, bn)", {COMMON, .type = NORM_SN, .k = 3, METHODS(NORM_METHOD_IN, NORM_METHOD_LN, NORM_METHOD_BN)}},
    {"bn", {COMMON, .type = NORM_BN, .k = 1, METHODS(NORM_METHOD_BN)}},
    {"gn", {COMMON, .type = NORM_GN, .k = 1, METHODS(NORM_METHOD_GN)}},
};

static size_t place(size_t bytes) {
    return (bytes + PLACE - 1) / PLACE * PLACE;
}

static size_t tensor_bytes(const norm_tensor *t) {
    return place((size_t)t->dims[0] * (size_t)(t->rank > 1 ? t->dims[1] : 1) * sizeof(float));
}

static void *place_params(const norm_tensor *tensors, int count, char *memory, norm_params *out) {
    memset(out, 0, sizeof *out);
    for (int i = 0; i < count; i++) {
        memcpy((char *)out + tensors[i].member, &memory, sizeof memory);
        memory += tensor_bytes(&tensors[i]);
    }
    return memory;
}

/* Forward and backward of one layer as the engine strings them together; added: with a residual, as at the end of a block. */
static void norm_layer(run *r, const layer *l, bool added) {
    const norm_dims d = {2, 33 * 33, 512, r->type};
    const size_t elements = (size_t)d.n * (size_t)d.p * (size_t)d.c;
    const norm_spec *spec = &l->spec;
    norm_tensor tensors[NORM_MAX_TENSORS];
    const int count = norm_tensors(spec, d.c, tensors);
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += tensor_bytes(&tensors[i]);
    norm_params params, grads;
    (void)place_params(tensors, count, area(r, "parameters", bytes), &params);
    (void)place_params(tensors, count, area(r, "parameters", bytes), &grads);
    norm_state state;
    norm_state_carve(spec, d, area(r, "state", norm_state_bytes(spec, d)), area(r, "state", norm_shared_bytes(spec, d)), &state);
    const norm_call call = {.spec = spec, .dims = d, .training = true, .params = &params, .grads = &grads, .state = &state};
    void *x = map(r, "x", elements), *y = map(r, "y", elements), *dy = map(r, "dy", elements), *dx = map(r, "dx", elements);
    void *residual = added ? map(r, "residual", elements) : NULL, *dresidual = added ? map(r, "dresidual", elements) : NULL;
    char name[128];
    (void)snprintf(name, sizeof name, "%s forward, ReLU%s", l->name, added ? ", residual" : "");
    begin(r, name, "2x33x33x512", elements);
    if (norm_forward(r->be, r->ranks, &call, x, residual, true, y) != ENTRAIN_OK) fail(name);
    (void)snprintf(name, sizeof name, "%s backward, ReLU%s", l->name, added ? ", residual" : "");
    begin(r, name, "2x33x33x512", elements);
    if (norm_backward(r->be, r->ranks, &call, dy, true, added ? y : NULL, x, dx, dresidual) != ENTRAIN_OK) fail(name);
    end(r);
}

static void norm_layers(run *r) {
    norm_layer(r, &LAYERS[0], false);
    norm_layer(r, &LAYERS[0], true);
    for (size_t i = 1; i < sizeof LAYERS / sizeof LAYERS[0] && r->type == F32; i++) norm_layer(r, &LAYERS[i], false);
}

/* ---- element by element ---- */

enum { MAP_N = 2, MAP_SIDE = 33, MAP_C = 256, MAP_ELEMENTS = MAP_N * MAP_SIDE * MAP_SIDE * MAP_C };
static const char MAP_SHAPE[] = "2x33x33x256";

static void elementwise(run *r) {
    const backend_ops *ops = r->be->ops;
    const size_t count = MAP_ELEMENTS;
    void *x = map(r, "x", count), *y = map(r, "y", count), *dx = map(r, "dx", count);
    double *divisor = area(r, "divisor", sizeof *divisor);
    const void *const inputs[] = {x, dx};
    begin(r, "add of two", MAP_SHAPE, count);
    ops->add(r->be, inputs, 2, y, count, r->type);
    begin(r, "accumulate", MAP_SHAPE, count);
    ops->accumulate(r->be, x, y, count, r->type);
    begin(r, "relu_forward", MAP_SHAPE, count);
    ops->relu_forward(r->be, x, y, count, r->type);
    begin(r, "relu_backward", MAP_SHAPE, count);
    ops->relu_backward(r->be, x, y, dx, count, r->type);
    begin(r, "scale", MAP_SHAPE, count);
    ops->scale(r->be, x, 1.0, divisor, count, r->type);
    begin(r, "find_nonfinite", MAP_SHAPE, count);
    if (ops->find_nonfinite(r->be, x, count, r->type) != -1) fail("zeros are not finite");
    tensor from = tensor_of(x, MAP_N, MAP_SIDE, MAP_SIDE, MAP_C, r->type), to = tensor_of(y, MAP_N, MAP_SIDE, MAP_SIDE, MAP_C, r->type);
    begin(r, "dropout", MAP_SHAPE, count);
    ops->dropout(r->be, &from, 0.1, 1, 2, 3, &to);
    end(r);
}

static void convert(run *r) {
    const size_t count = MAP_ELEMENTS;
    void *x = area(r, "x", count * sizeof(float)), *y = area(r, "y", count * sizeof(float));
    begin(r, r->type == BF16 ? "convert to float32" : "convert to bfloat16", MAP_SHAPE, count);
    cuda_convert(r->be, x, r->type, y, r->type == BF16 ? F32 : BF16, count);
    end(r);
}

static void images(run *r) {
    const double mean[3] = {0.5, 0.5, 0.5}, std[3] = {0.25, 0.25, 0.25};
    const size_t count = (size_t)2 * 257 * 257 * 3;
    uint8_t *x = area(r, "x", count);
    tensor y = tensor_of(map(r, "y", count), 2, 257, 257, 3, r->type);
    begin(r, "normalise", "2x257x257x3", count);
    r->be->ops->normalise(r->be, x, mean, std, &y);
    end(r);
}

/* ---- parameters ---- */

static void parameters(run *r) {
    const size_t count = 1 << 19;
    if (r->type != F32) return;
    float *w = area(r, "w", count * sizeof *w), *g = area(r, "g", count * sizeof *g), *v = area(r, "v", count * sizeof *v);
    double *squares = area(r, "squares", sizeof *squares);
    sgd_segment host[8];
    for (size_t i = 0; i < 8; i++) host[i] = (sgd_segment){i * (count / 8), count / 8, 1.0f, 1e-4f};
    sgd_segment *segments = area(r, "segments", sizeof host);
    r->be->ops->upload(r->be, segments, host, sizeof host);
    begin(r, "sum_squares", "524288", count);
    r->be->ops->sum_squares(r->be, g, count, squares);
    const sgd_rule rule = {.lr = 0.01, .momentum = 0.9, .clip_norm = 1.0, .squares = squares};
    begin(r, "sgd", "524288, 8 segments", count);
    r->be->ops->sgd(r->be, w, g, v, count, segments, 8, &rule);
    end(r);
}

static void weights_of(run *r, const char *shape, int c_out, int c_in, int taps) {
    const size_t count = (size_t)c_out * (size_t)c_in * (size_t)taps;
    float *w = area(r, "w", count * sizeof *w);
    void *packed = map(r, "packed", count);
    char name[64];
    (void)snprintf(name, sizeof name, "weights_pack, %dx%d", taps == 49 ? 7 : 3, taps == 49 ? 7 : 3);
    begin(r, name, shape, count);
    cuda_weights_pack(r->be, w, c_out, c_in, taps, r->type, packed);
    (void)snprintf(name, sizeof name, "weights_unpack, %dx%d", taps == 49 ? 7 : 3, taps == 49 ? 7 : 3);
    begin(r, name, shape, count);
    cuda_weights_unpack(r->be, packed, c_out, c_in, taps, r->type, w);
    end(r);
}

static void weights(run *r) {
    weights_of(r, "256x256x3x3", 256, 256, 9);
    weights_of(r, "64x3x7x7", 64, 3, 49);
}

static void bias(run *r) {
    const size_t rows = (size_t)MAP_N * MAP_SIDE * MAP_SIDE, count = MAP_ELEMENTS;
    void *y = map(r, "y", count);
    float *b = area(r, "bias", MAP_C * sizeof *b);
    begin(r, "bias of a convolution", MAP_SHAPE, count);
    cuda_bias_add(r->be, y, rows, MAP_C, r->type, b);
    begin(r, "bias' gradient", MAP_SHAPE, count);
    cuda_bias_sum(r->be, y, rows, MAP_C, r->type, b);
    end(r);
}

/* ---- pooling and resizing ---- */

static void max_pooling(run *r) {
    const size_t large = (size_t)2 * 65 * 65 * 64, small = (size_t)2 * 33 * 33 * 64;
    tensor x = tensor_of(map(r, "x", large), 2, 65, 65, 64, r->type), y = tensor_of(map(r, "y", small), 2, 33, 33, 64, r->type);
    uint8_t *winners = area(r, "argmax", small);
    begin(r, "maxpool_forward, 3x3, stride 2", "2x65x65x64 to 2x33x33x64", large);
    r->be->ops->maxpool_forward(r->be, &x, 3, 2, 1, &y, winners);
    begin(r, "maxpool_backward, 3x3, stride 2", "2x33x33x64 to 2x65x65x64", large);
    r->be->ops->maxpool_backward(r->be, &y, winners, 3, 2, 1, &x);
    end(r);
}

static void global_pooling(run *r) {
    tensor x = tensor_of(map(r, "x", MAP_ELEMENTS), MAP_N, MAP_SIDE, MAP_SIDE, MAP_C, r->type);
    tensor y = tensor_of(map(r, "y", MAP_N * MAP_C), MAP_N, 1, 1, MAP_C, r->type);
    begin(r, "global_pool_forward", MAP_SHAPE, MAP_ELEMENTS);
    r->be->ops->global_pool_forward(r->be, &x, &y);
    begin(r, "global_pool_backward", MAP_SHAPE, MAP_ELEMENTS);
    r->be->ops->global_pool_backward(r->be, &y, &x);
    end(r);
}

static void resizing_of(run *r, int from, int to, int c, const char *forward, const char *backward) {
    const size_t small = (size_t)2 * (size_t)from * (size_t)from * (size_t)c, large = (size_t)2 * (size_t)to * (size_t)to * (size_t)c;
    tensor x = tensor_of(map(r, "x", small), 2, from, from, c, F32), y = tensor_of(map(r, "y", large), 2, to, to, c, F32);
    char name[64];
    (void)snprintf(name, sizeof name, "resize_forward, %s", from == 1 ? "from 1x1" : c % 4 != 0 ? "19 channels" : "twice as large");
    begin(r, name, forward, large);
    r->be->ops->resize_forward(r->be, &x, &y);
    (void)snprintf(name, sizeof name, "resize_backward, %s", from == 1 ? "from 1x1" : c % 4 != 0 ? "19 channels" : "twice as large");
    begin(r, name, backward, large);
    r->be->ops->resize_backward(r->be, &y, &x);
    end(r);
}

static void resizing(run *r) {
    if (r->type != F32) return;
    resizing_of(r, 33, 65, 256, "2x33x33x256 to 2x65x65x256", "2x65x65x256 to 2x33x33x256");
    resizing_of(r, 1, 33, 256, "2x1x1x256 to 2x33x33x256", "2x33x33x256 to 2x1x1x256");
    resizing_of(r, 17, 65, 19, "2x17x17x19 to 2x65x65x19", "2x65x65x19 to 2x17x17x19");
}

/* ---- the loss ---- */

enum { CLASSES = 19 };

static void loss_of(run *r, const char *shape, int n, int side, bool gradient) {
    const int across = 8 * (side - 1) + 1;
    const size_t count = (size_t)n * (size_t)side * (size_t)side * CLASSES, pixels = (size_t)n * (size_t)across * (size_t)across;
    const tensor logits = tensor_of(area(r, "logits", count * sizeof(float)), n, side, side, CLASSES, F32);
    const tensor dlogits = tensor_of(map(r, "dlogits", count), n, side, side, CLASSES, r->type);
    uint8_t *labels = area(r, "labels", pixels);
    float *class_weights = area(r, "class weights", CLASSES * sizeof *class_weights);
    loss_sums *sums = area(r, "sums", sizeof *sums);
    void *workspace = area(r, "workspace", r->be->ops->upsample_loss_workspace(r->be, &logits, across, across));
    begin(r, gradient ? "upsample_loss with gradient" : "upsample_loss alone", shape, pixels);
    r->be->ops->upsample_loss(r->be, &logits, labels, across, across, class_weights, gradient ? &dlogits : NULL, sums, workspace);
    end(r);
}

/* Smaller maps are cut into shorter strips than those of training, whose ends are read twice; the loss alone has no such strips. */
static void loss(run *r) {
    loss_of(r, "8x33x33x19, labels 8x257x257", 8, 33, true);
    if (r->type == F32) loss_of(r, "2x17x17x19, labels 2x129x129", 2, 17, false);
}

int main(void) {
    static void (*const groups[])(run *) = {norm_layers, elementwise, convert,        images,   parameters, weights,
                                            bias,        max_pooling, global_pooling, resizing, loss};
    entrain_error error;
    run r = {0};
    if (backend_open_cuda(0, 1, &r.be, &error) != ENTRAIN_OK || comm_open_self(&r.ranks, &error) != ENTRAIN_OK) fail(error.text);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        for (int pass = 0; pass < 2; pass++) {
            r.type = pass == 0 ? F32 : BF16;
            r.element = dtype_size(r.type);
            groups[i](&r);
        }
    }
    comm_close(r.ranks);
    backend_close(r.be);
    return 0;
}
