/*
 * What the files of the coefficient step share: the working memory of one layer's step on the host, all in float64, and its parts.
 * A step goes image by image and holds rows (K,C) of the image at hand; what must last from forward to backward is kept for all images.
 * (N,K,C are the images of this rank, the methods, the channels; J = C/r the blocks of the ratios' convolution.)
 */
#ifndef NORM_STEP_H
#define NORM_STEP_H

#include "norm/norm.h"

/* Sums over images of the parameters' gradients: the learned members of norm_params, in the same places. */
typedef struct norm_sums {
    double *weight, *bias;
    double *conv_weight, *fc1_weight, *fc1_bias, *fc2_weight, *fc2_bias;
    double *mean_weight, *var_weight;
    double *running_mean, *running_var; /* always NULL */
} norm_sums;

typedef struct norm_step {
    const norm_call *call;
    int k, c;
    int r, blocks, hidden;          /* ratios: channels a block, J, pi K */
    int weight_stride, bias_stride; /* from one method's gamma (beta) to the next one's: C, or 0 where they share one */

    /* one image */
    double *mu, *var, *rsd; /* (K,C) mean, variance, 1/sd of each method */
    double *ph;             /* (K,C) (m - mu) / sd */
    double *t, *dph;        /* (K,C) sum g xhat; gradient of ph */
    double *z, *dz;         /* (K,J) */
    double *mixed;          /* (3,C) sn: M, V and 1/sd of the mixture */
    double *a, *b;          /* (C) coefficients before rounding */
    double *dmu, *dvar;     /* (C) gradients of one method's statistics */
    double *dm, *dv;        /* (C) gradients of the moments */

    /* kept */
    double *bn_rsd;               /* (C) 1/sd of bn */
    double *lambda;               /* (N,K) mixture; state->lambda is its rounded copy for readers, too coarse where one ratio is nearly 1 */
    double *outer, *h;            /* (N,K,K) V = z z^T; (N,pi K) hidden layer */
    double *mean_mix, *var_mix;   /* (K) sn: softmax of the control vectors */
    double *mean_dmix, *var_dmix; /* (K) their gradients, summed over images */
    norm_sums sums;
    double *sums_begin; /* all of sums in one piece ... */
    size_t sums_count;  /* ... of so many numbers */
} norm_step;

/* The step's view of call->state->kept and scratch. */
void norm_step_open(const norm_call *call, norm_step *out);
/* Zero the sums before the first image of a backward pass; afterwards round them to call->grads. */
void norm_step_clear_sums(const norm_step *s);
void norm_step_store_sums(const norm_step *s);

/* methods.c: the statistics, one row of the table a method. */
/* mu, var, rsd (C) of image n. */
void norm_method_statistics(const norm_step *s, norm_method which, int n, double *mu, double *var, double *rsd);
/*
 * From the gradients (C) of image n's mu and var to those of its moments, which are added to s->dm and s->dv. For bn, whose set crosses
 * images and ranks, they are added to state->bn_grad, and norm_bn_spread does the rest after the collective.
 */
void norm_method_spread(const norm_step *s, norm_method which, int n, const double *mu, const double *dmu, const double *dvar);
/* state->bn: this rank's sums; from all ranks' sums (or the running statistics) to mean and variance, and the running statistics' update.
 */
void norm_bn_sums(const norm_call *call);
void norm_bn_finish(const norm_step *s);
void norm_bn_spread(const norm_call *call);

/* ratios.c: EN. forward: from s->ph of image n to its s->lambda. backward: from dlambda (K) to s->dph, adding to the ratio parameters'
 * sums.
 */
void norm_ratios_forward(const norm_step *s, int n);
void norm_ratios_backward(const norm_step *s, int n, const double *dlambda);

/* softmax of k values, and its gradient from that of its output. */
void norm_softmax(const double *x, int k, double *out);
void norm_softmax_backward(const double *out, const double *dout, int k, double *dx);

#endif
