/*
 * The parameters of a network: named tensors in one arena, with their gradients and momentum in two more of the same layout, and the
 * running statistics in a fourth. Names and shapes are those of checkpoints (torchvision's), values row-major in that shape.
 */
#ifndef MODEL_PARAMS_H
#define MODEL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "comm/comm.h"

enum { PARAM_NAME = 96, PARAM_MAX_DIMS = 4 };

typedef struct param {
    char name[PARAM_NAME]; /* "backbone.layer1.0.conv1.weight" */
    int rank;              /* number of dimensions */
    int dims[PARAM_MAX_DIMS];
    size_t count;       /* product of dims */
    size_t offset;      /* floats into value/momentum, or into stats when not learned */
    size_t grad_offset; /* floats into grad: offset, unless gradients are folded */
    bool learned;       /* false: running statistics */
    bool decay;         /* takes weight decay whatever optimizer.decay_norm says */
    bool head;          /* takes optimizer.head_lr_multiplier */
    char methods[32];   /* norm weights: the layer's methods, "bn,in,ln"; "" elsewhere */
} param;

typedef struct params {
    param *list;
    int count, capacity;
    size_t learned_floats, grad_floats, stat_floats; /* sizes of the arenas, in floats; grad_floats 0: as many as are learned */
    float *value, *momentum;                         /* (learned_floats), device memory of the backend */
    float *grad;                                     /* (grad_floats) */
    float *stats;                                    /* (stat_floats) */
    backend *be;                                     /* whose memory this is; not owned */
    comm *c;                                         /* whose memory the gradients are, NULL where they are the backend's; not owned */
} params;

/* Add a tensor before allocation; returns its index, -1 when out of memory. Offsets are aligned to 64 bytes. */
int params_add(params *p, const param *description);
/*
 * Before allocation: gradients of the parameters in [begin, end) of the arenas begin at grad, where those of other parts may lie as well.
 * The caller sees to it that grad_floats is as long as the longest part.
 */
void params_fold_gradients(params *p, size_t begin, size_t end);
/* Before allocation: put the gradients where the ranks can add them up fastest, if there is such a place. Collective. */
void params_share_gradients(params *p, const backend *be, comm *c);
/* Allocate the arenas, zeroed. training: gradients and momentum too. */
entrain_status params_allocate(params *p, backend *be, bool training, entrain_error *err);
void params_free(params *p);
/* What params_allocate allocated. */
size_t params_bytes(const params *p);
/* Index by name, -1 when absent. */
int params_find(const params *p, const char *name);
/* Pointers into the arenas; NULL for index -1 (and grad, momentum of running statistics). */
float *params_value(const params *p, int index);
float *params_grad(const params *p, int index);
float *params_momentum(const params *p, int index);

#endif
