/* What a normalisation layer is: the choice that a configuration makes, without any tensors. */
#ifndef NORM_SPEC_H
#define NORM_SPEC_H

#include <stdbool.h>

/* The statistics that a layer can use. Their order here is not the order of the K methods of a layer: that is norm_spec.methods. */
typedef enum norm_method { NORM_METHOD_IN, NORM_METHOD_LN, NORM_METHOD_GN, NORM_METHOD_BN } norm_method;

typedef enum norm_type { NORM_BN, NORM_IN, NORM_LN, NORM_GN, NORM_SN, NORM_EN } norm_type;

typedef enum norm_activation { NORM_TANH, NORM_RELU } norm_activation;

enum { NORM_MAX_METHODS = 4 };

typedef struct norm_spec {
    norm_type type;
    int k;                                 /* number of methods: 1 for bn, in, ln, gn; the length of norm.methods for sn and en */
    norm_method methods[NORM_MAX_METHODS]; /* in the order of norm.methods */
    bool sync;                             /* bn statistics over all ranks in training */
    int groups;                            /* gn: groups = largest divisor of C not above this */
    int reduction;                         /* en: r = largest divisor of C not above this */
    int pi;                                /* en: width of the hidden layer is pi * K */
    norm_activation activation;            /* en */
    bool conv;                             /* en: false means z = ph (r = 1, w = 1, no ratio.conv.weight) */
    bool affine_single;                    /* en: one gamma and beta (C) for all methods instead of (K,C) */
    bool shift_outside;                    /* en: B = beta - ..., one beta (C) not mixed by lambda */
    double eps;                            /* 1e-5 */
    double momentum;                       /* 0.1: running = 0.9 running + 0.1 batch */
} norm_spec;

#endif
