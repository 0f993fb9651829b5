/* What the tests of the normalisation engine share: a table of layers of every form, and a layer of the engine with its memory. */
#ifndef TEST_NORM_LAYER_H
#define TEST_NORM_LAYER_H

#include "norm/norm.h"
#include "norm_reference.h"

typedef struct norm_case {
    const char *name;
    norm_spec spec;
} norm_case;

/* Every type and every ablation. */
extern const norm_case NORM_CASES[];
extern const int NORM_CASE_COUNT;

/* A layer's tensors and maps on one side: the host's, or the device's. */
typedef struct norm_side {
    norm_params params, grads;
    float *x, *residual, *y, *dy, *dx, *dresidual; /* (N,P,C) */
} norm_side;

/*
 * One layer of the engine for n images of p pixels and c channels: on the host, where tests fill it and look at it, and on a device, where
 * the engine works. layer_send and layer_fetch copy all of it one way and the other.
 */
typedef struct norm_layer {
    const norm_spec *spec;
    norm_dims d;
    size_t elements; /* n p c */
    norm_tensor tensors[NORM_MAX_TENSORS];
    int count;
    backend *be;
    norm_side host, on;
    norm_state state;     /* device memory */
    float *v, *a;         /* host: (N,C) of the state, as layer_fetch found them */
    float *lambda;        /* likewise (N,K), en only */
    void *host_memory[4]; /* what layer_free gives back: tensors, maps, v and a, lambda */
    void *memory[4];      /* on the device: tensors, maps, the layer's own state, what all layers share */
} norm_layer;

norm_layer *layer_new(backend *be, const norm_spec *spec, norm_dims d);
void layer_free(norm_layer *l);
/* Everything but the state to the device; everything, the state's v, a and lambda too, to the host. */
void layer_send(norm_layer *l);
void layer_fetch(norm_layer *l);
/* Make NaN of what all layers share; and of the layer's own state. */
void layer_spoil_shared(norm_layer *l);
void layer_spoil_state(norm_layer *l);
/* Parameter or gradient of a tensor. */
float *layer_tensor(const norm_params *p, const norm_tensor *t);
/* Its tensor of this name, or NULL. */
const norm_tensor *layer_find(const norm_layer *l, const char *name);
norm_call layer_call(norm_layer *l, bool training);

/* Random parameters far from their initial values, so that every gradient flows; the same for the same seed. */
void layer_randomise(norm_layer *l, uint64_t seed);
/* x = mean + scale_c N(0,1), dy ~ N(0,1), residual ~ N(0,1) of the images whose positions in the global batch are first, first + 1, ... */
void layer_fill(norm_layer *l, uint64_t seed, int first, double mean);
/* The layer's parameters and running statistics into a reference; images are the reference's own matter. */
void layer_to_reference(const norm_layer *l, reference *r);

/* After layer_fetch: the size of dX's terms before they cancel, max a times max |dy|: where an image has one pixel its true dX may be 0. */
double layer_gradient_scale(const norm_layer *l);

/* Largest |got - want| divided by the larger of scale and the largest |want|; NAN where a number is not finite. */
double worst_error(const float *got, const double *want, size_t count, double scale);

#endif
