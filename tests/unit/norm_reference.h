/*
 * A normalisation layer in float64, written as plainly as its definition: every xhat_k of every element is computed, and outputs (or
 * statistics) are mixed as the formulas say. Nothing is shared with the engine but norm_spec. Images of one batch may differ in size,
 * so that a reference can hold what several ranks hold together. The tests prove its gradients by finite differences.
 */
#ifndef TEST_NORM_REFERENCE_H
#define TEST_NORM_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "norm/spec.h"

enum {
    REF_WEIGHT,
    REF_BIAS,
    REF_CONV,
    REF_FC1_WEIGHT,
    REF_FC1_BIAS,
    REF_FC2_WEIGHT,
    REF_FC2_BIAS,
    REF_MEAN_WEIGHT,
    REF_VAR_WEIGHT,
    REF_PARAMS
};
/* Checkpoint names of these. */
extern const char *const REF_NAMES[REF_PARAMS];
/* How many numbers one of them has; 0 where the layer has none of it. */
size_t reference_count(const norm_spec *spec, int c, int param);

typedef struct reference {
    const norm_spec *spec;
    int n, c;
    const int *pixels; /* (N) P of each image; the caller's */
    bool training;
    size_t elements; /* sum of P times C */
    double *x, *y;   /* images one after the other, each (P,C) */
    double *g, *dx;  /* gradient of y (after any mask), of x */
    double *param[REF_PARAMS], *grad[REF_PARAMS];
    double *running_mean, *running_var; /* (C) */
    double *lambda;                     /* (N,K) */
    /* between forward and backward */
    int groups, r, blocks, hidden;
    double *mu, *var, *rsd, *size; /* (K,N C) mean, variance, 1/sd of each method's sets and how many elements a set has */
    double mean_mix[NORM_MAX_METHODS], var_mix[NORM_MAX_METHODS]; /* sn: softmax of the control vectors */
    double *ph;                                                   /* (N,K,C) */
    double *z;                                                    /* (N,K,C/r) */
    double *v, *h;                                                /* (N,K,K), (N,pi K) */
} reference;

/* Zeroed, but for running_var (1). */
reference *reference_new(const norm_spec *spec, int n, int c, const int *pixels);
void reference_free(reference *r);
/* y and lambda from x; in training also the running statistics. */
void reference_forward(reference *r);
/* dx and grad from g, after a forward pass in training. */
void reference_backward(reference *r);

#endif
