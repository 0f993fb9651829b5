/*
 * The coefficient step on the host: from an image's moments to its coefficients (a, b), and from (sum g, sum g (x - m)) back to the
 * gradients of the moments and of the parameters. There are two ways to mix K methods, and a table says which one a type takes:
 *   outputs:    Y = sum_k lambda_k (gamma_k xhat_k + beta_k); en, and with K = 1, lambda = 1 also bn, in, ln and gn
 *   statistics: M = sum_k a_k mu_k, V = sum_k a'_k var_k, then as one method; sn
 */
#include <math.h>
#include <string.h>

#include "base/simd.h"
#include "norm/step.h"

/* ---- rows over the channels ---- */

SIMD_CLONES static void centre_row(const float *m, const double *mu, const double *rsd, int c, double *ph) {
#pragma omp simd
    for (int i = 0; i < c; i++) ph[i] = ((double)m[i] - mu[i]) * rsd[i];
}

/* a += lambda gamma / sd, b += lambda gamma ph: about m, gamma (X - mu) / sd is gamma (X - m) / sd + gamma ph. */
SIMD_CLONES static void add_method(double lambda, const float *gamma, const double *rsd, const double *ph, int c, double *a, double *b) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        const double scale = lambda * (double)gamma[i];
        a[i] += scale * rsd[i];
        b[i] += scale * ph[i];
    }
}

SIMD_CLONES static void add_shift(double lambda, const float *beta, int c, double *b) {
#pragma omp simd
    for (int i = 0; i < c; i++) b[i] += lambda * (double)beta[i];
}

SIMD_CLONES static void round_rows(const double *x, const double *y, int c, float *to_x, float *to_y) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        to_x[i] = (float)x[i];
        to_y[i] = (float)y[i];
    }
}

/* T = sum g xhat. dgamma += lambda T; returns sum_c gamma T. */
SIMD_CLONES static double scale_backward(double lambda, const float *gamma, const double *rsd, const double *ph, const float *s1,
                                         const float *s2, int c, double *t, double *dgamma) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < c; i++) {
        const double value = (double)s2[i] * rsd[i] + ph[i] * (double)s1[i];
        t[i] = value;
        dgamma[i] += lambda * value;
        sum += (double)gamma[i] * value;
    }
    return sum;
}

/* dbeta += lambda sum g; returns sum_c beta sum g. */
SIMD_CLONES static double shift_backward(double lambda, const float *beta, const float *s1, int c, double *dbeta) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < c; i++) {
        dbeta[i] += lambda * (double)s1[i];
        sum += (double)beta[i] * (double)s1[i];
    }
    return sum;
}

/* Gradients of one method's statistics, from its part of the output and from ph; ph's reach the moments through the pooled m, too. */
SIMD_CLONES static void statistics_backward(double lambda, const float *gamma, const double *rsd, const double *ph, const double *t,
                                            const double *dph, const float *s1, int c, double *dmu, double *dvar, double *dm) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        const double scale = lambda * (double)gamma[i];
        dmu[i] = -(scale * (double)s1[i] + dph[i]) * rsd[i];
        dvar[i] = -0.5 * (scale * t[i] + dph[i] * ph[i]) * rsd[i] * rsd[i];
        dm[i] += dph[i] * rsd[i];
    }
}

/* ---- outputs ---- */

/* mu, var, rsd and ph of image n, all methods. */
static void image_statistics(const norm_step *s, int n) {
    const float *m = s->call->state->m + (size_t)n * (size_t)s->c;
    for (int k = 0; k < s->k; k++) {
        const int row = k * s->c;
        norm_method_statistics(s, s->call->spec->methods[k], n, s->mu + row, s->var + row, s->rsd + row);
        centre_row(m, s->mu + row, s->rsd + row, s->c, s->ph + row);
    }
}

static void outputs_forward(const norm_step *s, int n) {
    const norm_spec *spec = s->call->spec;
    const norm_params *p = s->call->params;
    double *lambda = s->lambda + n * s->k;
    image_statistics(s, n);
    if (spec->type == NORM_EN)
        norm_ratios_forward(s, n);
    else
        lambda[0] = 1.0;
    for (int k = 0; k < s->k; k++) {
        const int row = k * s->c;
        s->call->state->lambda[n * s->k + k] = (float)lambda[k];
        add_method(lambda[k], p->weight + k * s->weight_stride, s->rsd + row, s->ph + row, s->c, s->a, s->b);
        if (!spec->shift_outside) add_shift(lambda[k], p->bias + k * s->bias_stride, s->c, s->b);
    }
    if (spec->shift_outside) add_shift(1.0, p->bias, s->c, s->b);
}

static void outputs_backward(const norm_step *s, int n) {
    const norm_spec *spec = s->call->spec;
    const norm_params *p = s->call->params;
    const size_t image = (size_t)n * (size_t)s->c;
    const float *s1 = s->call->state->s1 + image, *s2 = s->call->state->s2 + image;
    const double *lambda = s->lambda + n * s->k;
    double dlambda[NORM_MAX_METHODS];
    image_statistics(s, n);
    for (int k = 0; k < s->k; k++) {
        const int row = k * s->c, weight = k * s->weight_stride, bias = k * s->bias_stride;
        dlambda[k] =
            scale_backward(lambda[k], p->weight + weight, s->rsd + row, s->ph + row, s1, s2, s->c, s->t + row, s->sums.weight + weight);
        if (!spec->shift_outside) dlambda[k] += shift_backward(lambda[k], p->bias + bias, s1, s->c, s->sums.bias + bias);
    }
    if (spec->shift_outside) (void)shift_backward(1.0, p->bias, s1, s->c, s->sums.bias);
    if (spec->type == NORM_EN)
        norm_ratios_backward(s, n, dlambda);
    else
        memset(s->dph, 0, (size_t)s->c * sizeof(double));
    for (int k = 0; k < s->k; k++) {
        const int row = k * s->c;
        statistics_backward(lambda[k], p->weight + k * s->weight_stride, s->rsd + row, s->ph + row, s->t + row, s->dph + row, s1, s->c,
                            s->dmu, s->dvar, s->dm);
        norm_method_spread(s, spec->methods[k], n, s->mu + row, s->dmu, s->dvar);
    }
}

/* ---- statistics ---- */

SIMD_CLONES static void add_row(double factor, const double *x, int c, double *to) {
#pragma omp simd
    for (int i = 0; i < c; i++) to[i] += factor * x[i];
}

SIMD_CLONES static void scale_row(double factor, const double *x, int c, double *to) {
#pragma omp simd
    for (int i = 0; i < c; i++) to[i] = factor * x[i];
}

SIMD_CLONES static double dot(const double *a, const double *b, int c) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < c; i++) sum += a[i] * b[i];
    return sum;
}

/* M, V and 1/sd of image n's mixture in s->mixed, its ph in the first row of s->ph. */
static void image_mixture(const norm_step *s, int n) {
    const int c = s->c;
    double *mean = s->mixed, *var = s->mixed + c, *rsd = s->mixed + 2 * c;
    image_statistics(s, n);
    memset(s->mixed, 0, 2 * (size_t)c * sizeof(double));
    for (int k = 0; k < s->k; k++) {
        add_row(s->mean_mix[k], s->mu + k * c, c, mean);
        add_row(s->var_mix[k], s->var + k * c, c, var);
    }
    for (int i = 0; i < c; i++) rsd[i] = 1.0 / sqrt(var[i] + s->call->spec->eps);
    centre_row(s->call->state->m + (size_t)n * (size_t)c, mean, rsd, c, s->ph);
}

static void mixture_forward(const norm_step *s, int n) {
    const norm_params *p = s->call->params;
    image_mixture(s, n);
    add_method(1.0, p->weight, s->mixed + 2 * s->c, s->ph, s->c, s->a, s->b);
    add_shift(1.0, p->bias, s->c, s->b);
}

static void mixture_backward(const norm_step *s, int n) {
    const norm_params *p = s->call->params;
    const int c = s->c;
    const size_t image = (size_t)n * (size_t)c;
    const float *s1 = s->call->state->s1 + image, *s2 = s->call->state->s2 + image;
    const double *rsd = s->mixed + 2 * c;
    double *dmean = s->a, *dvar = s->b; /* of the mixture; the coefficients' rows are free here */
    image_mixture(s, n);
    (void)scale_backward(1.0, p->weight, rsd, s->ph, s1, s2, c, s->t, s->sums.weight);
    (void)shift_backward(1.0, p->bias, s1, c, s->sums.bias);
    memset(s->dph, 0, (size_t)c * sizeof(double));
    statistics_backward(1.0, p->weight, rsd, s->ph, s->t, s->dph, s1, c, dmean, dvar, s->dm);
    for (int k = 0; k < s->k; k++) {
        s->mean_dmix[k] += dot(dmean, s->mu + k * c, c);
        s->var_dmix[k] += dot(dvar, s->var + k * c, c);
        scale_row(s->mean_mix[k], dmean, c, s->dmu);
        scale_row(s->var_mix[k], dvar, c, s->dvar);
        norm_method_spread(s, s->call->spec->methods[k], n, s->mu + k * c, s->dmu, s->dvar);
    }
}

static void control_softmax(const norm_step *s) {
    double mean[NORM_MAX_METHODS], var[NORM_MAX_METHODS];
    for (int k = 0; k < s->k; k++) {
        mean[k] = (double)s->call->params->mean_weight[k];
        var[k] = (double)s->call->params->var_weight[k];
    }
    norm_softmax(mean, s->k, s->mean_mix);
    norm_softmax(var, s->k, s->var_mix);
}

static void control_softmax_backward(const norm_step *s) {
    norm_softmax_backward(s->mean_mix, s->mean_dmix, s->k, s->sums.mean_weight);
    norm_softmax_backward(s->var_mix, s->var_dmix, s->k, s->sums.var_weight);
}

/* ---- the step ---- */

typedef struct mixing {
    void (*begin)(const norm_step *s);           /* before the first image of a forward pass */
    void (*forward)(const norm_step *s, int n);  /* adds to s->a and s->b */
    void (*backward)(const norm_step *s, int n); /* adds to s->dm, s->dv, the sums and bn_grad */
    void (*end)(const norm_step *s);             /* after the last image of a backward pass */
} mixing;

static void nothing(const norm_step *s) {
    (void)s;
}

static const mixing OUTPUTS = {nothing, outputs_forward, outputs_backward, nothing};
static const mixing STATISTICS = {control_softmax, mixture_forward, mixture_backward, control_softmax_backward};

static const mixing *const MIXINGS[] = {
    [NORM_BN] = &OUTPUTS, [NORM_IN] = &OUTPUTS, [NORM_LN] = &OUTPUTS, [NORM_GN] = &OUTPUTS, [NORM_SN] = &STATISTICS, [NORM_EN] = &OUTPUTS};

void norm_host_forward_sums(const norm_call *call) {
    if (call->training && norm_uses_bn(call->spec)) norm_bn_sums(call);
}

/* In evaluation a layer of type bn needs no moments of its input: its coefficients are about the running mean. */
static void pivot_on_running_mean(const norm_call *call) {
    for (int n = 0; n < call->dims.n; n++)
        memcpy(call->state->m + (size_t)n * (size_t)call->dims.c, call->params->running_mean, (size_t)call->dims.c * sizeof(float));
}

void norm_host_forward_coefficients(const norm_call *call) {
    const mixing *mix = MIXINGS[call->spec->type];
    norm_step s;
    norm_step_open(call, &s);
    if (norm_uses_bn(call->spec)) norm_bn_finish(&s);
    if (call->spec->type == NORM_BN && !call->training) pivot_on_running_mean(call);
    mix->begin(&s);
    const size_t c = (size_t)s.c;
    for (int n = 0; n < call->dims.n; n++) {
        memset(s.a, 0, c * sizeof(double));
        memset(s.b, 0, c * sizeof(double));
        mix->forward(&s, n);
        round_rows(s.a, s.b, s.c, call->state->a + (size_t)n * c, call->state->b + (size_t)n * c);
    }
}

void norm_host_backward_sums(const norm_call *call) {
    const mixing *mix = MIXINGS[call->spec->type];
    norm_step s;
    norm_step_open(call, &s);
    norm_step_clear_sums(&s);
    const size_t c = (size_t)s.c;
    memset(call->state->bn_grad, 0, 2 * c * sizeof(double));
    for (int n = 0; n < call->dims.n; n++) {
        memset(s.dm, 0, c * sizeof(double));
        memset(s.dv, 0, c * sizeof(double));
        mix->backward(&s, n);
        round_rows(s.dm, s.dv, s.c, call->state->dm + (size_t)n * c, call->state->dv + (size_t)n * c);
    }
    mix->end(&s);
    norm_step_store_sums(&s);
}

void norm_host_backward_coefficients(const norm_call *call) {
    if (norm_uses_bn(call->spec)) norm_bn_spread(call);
}
