/*
 * The statistics, one row of a table a method: how an image's mean and variance come from its moments (m, v), and how their gradients
 * go back to the moments. `in` averages over nothing but the map, `ln` and `gn` over groups of channels, `bn` over images and ranks.
 */
#include <math.h>
#include <string.h>

#include "base/simd.h"
#include "norm/step.h"

/* ---- in ---- */

SIMD_CLONES static void in_rows(const float *m, const float *v, double eps, int c, double *mu, double *var, double *rsd) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        mu[i] = (double)m[i];
        var[i] = (double)v[i];
        rsd[i] = 1.0 / sqrt((double)v[i] + eps);
    }
}

static void in_statistics(const norm_step *s, int n, double *mu, double *var, double *rsd) {
    const size_t row = (size_t)n * (size_t)s->c;
    in_rows(s->call->state->m + row, s->call->state->v + row, s->call->spec->eps, s->c, mu, var, rsd);
}

SIMD_CLONES static void add_row(const double *x, int c, double *to) {
#pragma omp simd
    for (int i = 0; i < c; i++) to[i] += x[i];
}

static void in_spread(const norm_step *s, int n, const double *mu, const double *dmu, const double *dvar) {
    (void)n, (void)mu; /* m - mu is 0 */
    add_row(dmu, s->c, s->dm);
    add_row(dvar, s->c, s->dv);
}

/* ---- ln and gn: groups of consecutive channels ---- */

SIMD_CLONES static double mean_of(const float *m, int count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += (double)m[i];
    return sum / count;
}

/* Mean over channels of v + (m - mu)^2. */
SIMD_CLONES static double variance_of(const float *m, const float *v, double mu, int count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) {
        const double d = (double)m[i] - mu;
        sum += (double)v[i] + d * d;
    }
    return sum / count;
}

static void fill(double value, int count, double *to) {
    for (int i = 0; i < count; i++) to[i] = value;
}

static void group_statistics(const norm_step *s, int n, int groups, double *mu, double *var, double *rsd) {
    const int size = s->c / groups;
    const size_t row = (size_t)n * (size_t)s->c;
    for (int first = 0; first < s->c; first += size) {
        const float *m = s->call->state->m + row + first, *v = s->call->state->v + row + first;
        const double mean = mean_of(m, size), variance = variance_of(m, v, mean, size);
        fill(mean, size, mu + first);
        fill(variance, size, var + first);
        fill(1.0 / sqrt(variance + s->call->spec->eps), size, rsd + first);
    }
}

SIMD_CLONES static double sum_of(const double *x, int count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += x[i];
    return sum;
}

/* dm += (s1 + 2 (m - mu) s2) / M, dv += s2 / M, with mu, s1, s2 the same for all channels. */
SIMD_CLONES static void spread_group(const float *m, double mu, double s1, double s2, int count, double *dm, double *dv) {
    const double share1 = s1 / count, share2 = s2 / count;
#pragma omp simd
    for (int i = 0; i < count; i++) {
        dm[i] += share1 + 2.0 * ((double)m[i] - mu) * share2;
        dv[i] += share2;
    }
}

static void group_spread(const norm_step *s, int n, int groups, const double *mu, const double *dmu, const double *dvar) {
    const int size = s->c / groups;
    const float *m = s->call->state->m + (size_t)n * (size_t)s->c;
    for (int first = 0; first < s->c; first += size) {
        const double s1 = sum_of(dmu + first, size), s2 = sum_of(dvar + first, size);
        spread_group(m + first, mu[first], s1, s2, size, s->dm + first, s->dv + first);
    }
}

static void ln_statistics(const norm_step *s, int n, double *mu, double *var, double *rsd) {
    group_statistics(s, n, 1, mu, var, rsd);
}

static void ln_spread(const norm_step *s, int n, const double *mu, const double *dmu, const double *dvar) {
    group_spread(s, n, 1, mu, dmu, dvar);
}

static void gn_statistics(const norm_step *s, int n, double *mu, double *var, double *rsd) {
    group_statistics(s, n, norm_groups(s->call->spec, s->c), mu, var, rsd);
}

static void gn_spread(const norm_step *s, int n, const double *mu, const double *dmu, const double *dvar) {
    group_spread(s, n, norm_groups(s->call->spec, s->c), mu, dmu, dvar);
}

/* ---- bn: over the images of one rank or all, an image weighing by its pixels ---- */

SIMD_CLONES static void add_bn_sums(const float *m, const float *v, double p, int c, double *sum, double *square) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        const double mean = (double)m[i];
        sum[i] += p * mean;
        square[i] += p * ((double)v[i] + mean * mean);
    }
}

void norm_bn_sums(const norm_call *call) {
    const norm_dims d = call->dims;
    double *bn = call->state->bn;
    memset(bn, 0, (2 * (size_t)d.c + 1) * sizeof(double));
    for (int n = 0; n < d.n; n++) {
        const size_t row = (size_t)n * (size_t)d.c;
        add_bn_sums(call->state->m + row, call->state->v + row, d.p, d.c, bn, bn + d.c);
    }
    bn[2 * d.c] = (double)d.n * d.p;
}

/* From sums over `count` pixels to mean and variance in their place. */
static void sums_to_statistics(double count, int c, double *mean, double *var) {
    for (int i = 0; i < c; i++) {
        mean[i] /= count;
        const double difference = var[i] / count - mean[i] * mean[i];
        var[i] = difference > 0.0 ? difference : 0.0;
    }
}

static void move_running(const norm_call *call, double count, const double *mean, const double *var) {
    const double kept = 1.0 - call->spec->momentum, unbiased = count / (count > 2.0 ? count - 1.0 : 1.0);
    float *running_mean = call->params->running_mean, *running_var = call->params->running_var;
    for (int i = 0; i < call->dims.c; i++) {
        running_mean[i] = (float)(kept * (double)running_mean[i] + call->spec->momentum * mean[i]);
        running_var[i] = (float)(kept * (double)running_var[i] + call->spec->momentum * var[i] * unbiased);
    }
}

void norm_bn_finish(const norm_step *s) {
    const norm_call *call = s->call;
    double *mean = call->state->bn, *var = mean + s->c;
    if (call->training) {
        const double count = call->state->bn[2 * s->c];
        if (count < 1.0) return; /* no rank has an image */
        sums_to_statistics(count, s->c, mean, var);
        move_running(call, count, mean, var);
    } else {
        for (int i = 0; i < s->c; i++) {
            mean[i] = (double)call->params->running_mean[i];
            var[i] = (double)call->params->running_var[i];
        }
    }
    for (int i = 0; i < s->c; i++) s->bn_rsd[i] = 1.0 / sqrt(var[i] + call->spec->eps);
}

static void bn_statistics(const norm_step *s, int n, double *mu, double *var, double *rsd) {
    (void)n;
    const size_t bytes = (size_t)s->c * sizeof(double);
    memcpy(mu, s->call->state->bn, bytes);
    memcpy(var, s->call->state->bn + s->c, bytes);
    memcpy(rsd, s->bn_rsd, bytes);
}

static void bn_spread_later(const norm_step *s, int n, const double *mu, const double *dmu, const double *dvar) {
    (void)n, (void)mu;
    add_row(dmu, s->c, s->call->state->bn_grad);
    add_row(dvar, s->c, s->call->state->bn_grad + s->c);
}

SIMD_CLONES static void spread_bn(const float *m, const double *mu, const double *s1, const double *s2, double share, int c, float *dm,
                                  float *dv) {
#pragma omp simd
    for (int i = 0; i < c; i++) {
        dm[i] = (float)((double)dm[i] + share * (s1[i] + 2.0 * ((double)m[i] - mu[i]) * s2[i]));
        dv[i] = (float)((double)dv[i] + share * s2[i]);
    }
}

void norm_bn_spread(const norm_call *call) {
    const norm_dims d = call->dims;
    const norm_state *state = call->state;
    const double share = d.p / state->bn[2 * d.c]; /* 1/M weighed by pixels */
    for (int n = 0; n < d.n; n++) {
        const size_t row = (size_t)n * (size_t)d.c;
        spread_bn(state->m + row, state->bn, state->bn_grad, state->bn_grad + d.c, share, d.c, state->dm + row, state->dv + row);
    }
}

/* ---- the table ---- */

typedef struct method {
    void (*statistics)(const norm_step *s, int n, double *mu, double *var, double *rsd);
    void (*spread)(const norm_step *s, int n, const double *mu, const double *dmu, const double *dvar);
} method;

static const method METHODS[] = {
    [NORM_METHOD_IN] = {in_statistics, in_spread},
    [NORM_METHOD_LN] = {ln_statistics, ln_spread},
    [NORM_METHOD_GN] = {gn_statistics, gn_spread},
    [NORM_METHOD_BN] = {bn_statistics, bn_spread_later},
};

void norm_method_statistics(const norm_step *s, norm_method which, int n, double *mu, double *var, double *rsd) {
    METHODS[which].statistics(s, n, mu, var, rsd);
}

void norm_method_spread(const norm_step *s, norm_method which, int n, const double *mu, const double *dmu, const double *dvar) {
    METHODS[which].spread(s, n, mu, dmu, dvar);
}
