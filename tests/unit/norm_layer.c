#include "norm_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { MAPS = 6, ALIGN_FLOATS = 16 }; /* every tensor and map begins where the program's own do: at 64 bytes */

#define I NORM_METHOD_IN
#define L NORM_METHOD_LN
#define G NORM_METHOD_GN
#define B NORM_METHOD_BN
#define SIZES(g, r, p) .sync = true, .groups = g, .reduction = r, .pi = p, .eps = 1e-5, .momentum = 0.1
#define COMMON SIZES(32, 32, 50), .conv = true

const norm_case NORM_CASES[] = {
    {"bn", {COMMON, .type = NORM_BN, .k = 1, .methods = {B}}},
    {"in", {COMMON, .type = NORM_IN, .k = 1, .methods = {I}}},
    {"ln", {COMMON, .type = NORM_LN, .k = 1, .methods = {L}}},
    {"gn", {COMMON, .type = NORM_GN, .k = 1, .methods = {G}}},
    {"sn in ln bn", {COMMON, .type = NORM_SN, .k = 3, .methods = {I, L, B}}},
    {"sn bn gn", {COMMON, .type = NORM_SN, .k = 2, .methods = {B, G}}},
    {"en in ln bn", {COMMON, .type = NORM_EN, .k = 3, .methods = {I, L, B}}},
    {"en bn in ln gn", {COMMON, .type = NORM_EN, .k = 4, .methods = {B, I, L, G}}},
    {"en gn bn", {SIZES(5, 32, 50), .conv = true, .type = NORM_EN, .k = 2, .methods = {G, B}}},
    {"en in ln", {COMMON, .type = NORM_EN, .k = 2, .methods = {I, L}}},
    {"en bn alone", {COMMON, .type = NORM_EN, .k = 1, .methods = {B}}},
    {"en no conv", {SIZES(32, 32, 50), .conv = false, .type = NORM_EN, .k = 3, .methods = {I, L, B}}},
    {"en relu", {COMMON, .type = NORM_EN, .k = 3, .methods = {I, L, B}, .activation = NORM_RELU}},
    {"en single", {COMMON, .type = NORM_EN, .k = 3, .methods = {I, L, B}, .affine_single = true}},
    {"en outside", {COMMON, .type = NORM_EN, .k = 3, .methods = {I, L, B}, .shift_outside = true}},
    {"en single outside", {COMMON, .type = NORM_EN, .k = 3, .methods = {I, L, B}, .affine_single = true, .shift_outside = true}},
    {"en pi 7 r 2", {SIZES(32, 2, 7), .conv = true, .type = NORM_EN, .k = 3, .methods = {L, B, I}}},
    {"en r C", {SIZES(32, 1 << 20, 50), .conv = true, .type = NORM_EN, .k = 3, .methods = {I, L, B}}},
};
const int NORM_CASE_COUNT = sizeof NORM_CASES / sizeof NORM_CASES[0];

static void *must(void *p) {
    if (p == NULL) abort();
    return p;
}

static size_t tensor_size(const norm_tensor *t) {
    return (size_t)t->dims[0] * (size_t)(t->rank > 1 ? t->dims[1] : 1);
}

static size_t aligned(size_t floats) {
    return (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

float *layer_tensor(const norm_params *p, const norm_tensor *t) {
    float *at;
    memcpy(&at, (const char *)p + t->member, sizeof at);
    return at;
}

static float *place_tensors(const norm_layer *l, float *memory, norm_params *p) {
    for (int i = 0; i < l->count; i++) {
        memcpy((char *)p + l->tensors[i].member, &memory, sizeof memory);
        memory += aligned(tensor_size(&l->tensors[i]));
    }
    return memory;
}

static void place_side(const norm_layer *l, float *tensors, float *maps, norm_side *side) {
    (void)place_tensors(l, place_tensors(l, tensors, &side->params), &side->grads);
    float **const names[] = {&side->x, &side->residual, &side->y, &side->dy, &side->dx, &side->dresidual};
    for (size_t i = 0; i < MAPS; i++) *names[i] = maps + i * aligned(l->elements);
}

static size_t tensor_bytes(const norm_layer *l) {
    size_t floats = 0;
    for (int i = 0; i < l->count; i++) floats += aligned(tensor_size(&l->tensors[i]));
    return 2 * floats * sizeof(float);
}

static size_t map_bytes(const norm_layer *l) {
    return MAPS * aligned(l->elements) * sizeof(float);
}

norm_layer *layer_new(backend *be, const norm_spec *spec, norm_dims d) {
    norm_layer *l = must(calloc(1, sizeof *l));
    l->be = be;
    l->spec = spec;
    l->d = d;
    l->elements = (size_t)d.n * (size_t)d.p * (size_t)d.c;
    l->count = norm_tensors(spec, d.c, l->tensors);
    const size_t rows = (size_t)d.n * (size_t)d.c, mixture = (size_t)d.n * (size_t)spec->k;
    const size_t host[4] = {tensor_bytes(l), map_bytes(l), 2 * rows * sizeof(float), mixture * sizeof(float)};
    const size_t device[4] = {host[0], host[1], norm_state_bytes(spec, d), norm_shared_bytes(spec, d)};
    for (int i = 0; i < 4; i++) {
        l->host_memory[i] = must(calloc(1, host[i] + 1));
        l->memory[i] = must(be->ops->alloc(be, device[i]));
    }
    place_side(l, l->host_memory[0], l->host_memory[1], &l->host);
    place_side(l, l->memory[0], l->memory[1], &l->on);
    norm_state_carve(spec, d, l->memory[2], l->memory[3], &l->state);
    l->v = l->host_memory[2];
    l->a = l->v + rows;
    l->lambda = l->host_memory[3];
    for (int i = 0; i < l->count; i++)
        norm_init_tensor(spec, d.c, &l->tensors[i], 1, (uint64_t)i, layer_tensor(&l->host.params, &l->tensors[i]));
    return l;
}

void layer_free(norm_layer *l) {
    for (size_t i = 0; i < 4; i++) {
        l->be->ops->release(l->be, l->memory[i]);
        free(l->host_memory[i]);
    }
    free(l);
}

void layer_send(norm_layer *l) {
    l->be->ops->upload(l->be, l->memory[0], l->host_memory[0], tensor_bytes(l));
    l->be->ops->upload(l->be, l->memory[1], l->host_memory[1], map_bytes(l));
}

void layer_fetch(norm_layer *l) {
    const size_t rows = (size_t)l->d.n * (size_t)l->d.c * sizeof(float);
    l->be->ops->download(l->be, l->host_memory[0], l->memory[0], tensor_bytes(l));
    l->be->ops->download(l->be, l->host_memory[1], l->memory[1], map_bytes(l));
    l->be->ops->download(l->be, l->v, l->state.v, rows);
    l->be->ops->download(l->be, l->a, l->state.a, rows);
    if (l->spec->type == NORM_EN)
        l->be->ops->download(l->be, l->lambda, l->state.lambda, (size_t)l->d.n * (size_t)l->spec->k * sizeof(float));
}

static void spoil(backend *be, void *memory, size_t bytes) {
    void *host = must(malloc(bytes + 1));
    memset(host, 0xFF, bytes);
    be->ops->upload(be, memory, host, bytes);
    free(host);
}

void layer_spoil_shared(norm_layer *l) {
    spoil(l->be, l->memory[3], norm_shared_bytes(l->spec, l->d));
}

void layer_spoil_state(norm_layer *l) {
    spoil(l->be, l->memory[2], norm_state_bytes(l->spec, l->d));
}

const norm_tensor *layer_find(const norm_layer *l, const char *name) {
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->tensors[i].name, name) == 0) return &l->tensors[i];
    return NULL;
}

norm_call layer_call(norm_layer *l, bool training) {
    return (norm_call){
        .spec = l->spec, .dims = l->d, .training = training, .params = &l->on.params, .grads = &l->on.grads, .state = &l->state};
}

static void add_noise(float *values, size_t count, double deviation, random_stream *random) {
    for (size_t i = 0; i < count; i++) values[i] += (float)(deviation * random_normal(random));
}

void layer_randomise(norm_layer *l, uint64_t seed) {
    random_stream random = random_open(seed, RANDOM_TEST, 1000);
    for (int i = 0; i < l->count; i++) {
        const norm_tensor *t = &l->tensors[i];
        float *values = layer_tensor(&l->host.params, t);
        if (strcmp(t->name, "running_var") == 0)
            for (size_t e = 0; e < tensor_size(t); e++) values[e] = (float)random_range(&random, 0.5, 2.0);
        else
            add_noise(values, tensor_size(t), strcmp(t->name, "ratio.fc1.weight") == 0 ? 0.0 : 0.3, &random);
    }
}

void layer_fill(norm_layer *l, uint64_t seed, int first, double mean) {
    const size_t image = (size_t)l->d.p * (size_t)l->d.c;
    for (int n = 0; n < l->d.n; n++) {
        random_stream random = random_open(seed, RANDOM_TEST, (uint64_t)(first + n));
        const size_t begin = (size_t)n * image;
        /* Images and channels differ in mean and in spread, as the methods' statistics must. */
        for (size_t i = 0; i < image; i++) {
            const double c = (double)(i % (size_t)l->d.c), own = 0.3 * (first + n) + 0.5 * sin(c);
            l->host.x[begin + i] = (float)(mean + own + (1.0 + 0.5 * cos(c)) * random_normal(&random));
            l->host.dy[begin + i] = (float)random_normal(&random);
            l->host.residual[begin + i] = (float)random_normal(&random);
        }
    }
}

void layer_to_reference(const norm_layer *l, reference *r) {
    for (int i = 0; i < REF_PARAMS; i++) {
        const norm_tensor *t = layer_find(l, REF_NAMES[i]);
        const size_t count = reference_count(l->spec, l->d.c, i);
        if ((t != NULL ? tensor_size(t) : 0) != count) abort();
        for (size_t e = 0; e < count; e++) r->param[i][e] = (double)layer_tensor(&l->host.params, t)[e];
    }
    for (int c = 0; c < l->d.c && norm_uses_bn(l->spec); c++) {
        r->running_mean[c] = (double)l->host.params.running_mean[c];
        r->running_var[c] = (double)l->host.params.running_var[c];
    }
}

double layer_gradient_scale(const norm_layer *l) {
    double a = 0.0, g = 0.0;
    for (size_t i = 0; i < (size_t)l->d.n * (size_t)l->d.c; i++) a = fmax(a, fabs((double)l->a[i]));
    for (size_t i = 0; i < l->elements; i++) g = fmax(g, fabs((double)l->host.dy[i]));
    return a * g;
}

double worst_error(const float *got, const double *want, size_t count, double scale) {
    double largest = scale, worst = 0.0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(got[i]) || !isfinite(want[i])) return (double)NAN;
        largest = fmax(largest, fabs(want[i]));
        worst = fmax(worst, fabs((double)got[i] - want[i]));
    }
    return largest > 0.0 ? worst / largest : worst;
}
