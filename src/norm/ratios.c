/*
 * EN's mixing ratios of one image, from the normalised pooled features ph (K,C):
 *   z_kj = sum over block j of w_c ph_kc;  V = z z^T;  h = act(W1 flatten(V) + b1);  lambda = softmax(W2 h + b2)
 * and back. V and h are kept from forward to backward; z is computed again.
 */
#include <math.h>
#include <string.h>

#include "base/simd.h"
#include "norm/step.h"

void norm_softmax(const double *x, int k, double *out) {
    double top = x[0], sum = 0.0; // NOLINT(clang-analyzer-core.uninitialized.Assign): k is at least 1
    for (int i = 1; i < k; i++) top = fmax(top, x[i]);
    for (int i = 0; i < k; i++) sum += out[i] = exp(x[i] - top);
    for (int i = 0; i < k; i++) out[i] /= sum;
}

void norm_softmax_backward(const double *out, const double *dout, int k, double *dx) {
    double mean = 0.0;
    for (int i = 0; i < k; i++) mean += out[i] * dout[i];
    for (int i = 0; i < k; i++) dx[i] = out[i] * (dout[i] - mean);
}

SIMD_CLONES static double dot(const double *a, const double *b, int count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

SIMD_CLONES static double dot_mixed(const float *a, const double *b, int count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* ---- grouped convolution: each block of r channels to one number ---- */

SIMD_CLONES static void reduce_blocks(const float *w, const double *ph, int blocks, int r, double *z) {
    for (int j = 0; j < blocks; j++) {
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int i = j * r; i < (j + 1) * r; i++) sum += (double)w[i] * ph[i];
        z[j] = sum;
    }
}

static void features(const norm_step *s) {
    const float *w = s->call->params->conv_weight;
    if (!s->call->spec->conv) { /* r = 1, w = 1 */
        memcpy(s->z, s->ph, (size_t)s->k * (size_t)s->c * sizeof(double));
        return;
    }
    for (int k = 0; k < s->k; k++) reduce_blocks(w, s->ph + k * s->c, s->blocks, s->r, s->z + k * s->blocks);
}

/* dw_c += dz_j(c) ph_c, dph_c = dz_j(c) w_c. */
SIMD_CLONES static void expand_blocks(const float *w, const double *ph, const double *dz, int blocks, int r, double *dw, double *dph) {
    for (int j = 0; j < blocks; j++) {
#pragma omp simd
        for (int i = j * r; i < (j + 1) * r; i++) {
            dw[i] += dz[j] * ph[i];
            dph[i] = dz[j] * (double)w[i];
        }
    }
}

static void features_backward(const norm_step *s) {
    const float *w = s->call->params->conv_weight;
    if (!s->call->spec->conv) {
        memcpy(s->dph, s->dz, (size_t)s->k * (size_t)s->c * sizeof(double));
        return;
    }
    for (int k = 0; k < s->k; k++)
        expand_blocks(w, s->ph + k * s->c, s->dz + k * s->blocks, s->blocks, s->r, s->sums.conv_weight, s->dph + k * s->c);
}

/* ---- V = z z^T ---- */

static void outer_product(const norm_step *s, double *v) {
    for (int i = 0; i < s->k; i++)
        for (int j = i; j < s->k; j++) v[i * s->k + j] = v[j * s->k + i] = dot(s->z + i * s->blocks, s->z + j * s->blocks, s->blocks);
}

SIMD_CLONES static void add_scaled(double factor, const double *x, int count, double *to) {
#pragma omp simd
    for (int i = 0; i < count; i++) to[i] += factor * x[i];
}

/* dz = (dV + dV^T) z */
static void outer_product_backward(const norm_step *s, const double *dv) {
    memset(s->dz, 0, (size_t)s->k * (size_t)s->blocks * sizeof(double));
    for (int i = 0; i < s->k; i++)
        for (int j = 0; j < s->k; j++)
            add_scaled(dv[i * s->k + j] + dv[j * s->k + i], s->z + j * s->blocks, s->blocks, s->dz + i * s->blocks);
}

/* ---- the network of two layers ---- */

static double activate(norm_activation activation, double x) {
    return activation == NORM_TANH ? tanh(x) : fmax(x, 0.0);
}

/* The activation's slope, from its value. */
static double slope(norm_activation activation, double h) {
    if (activation == NORM_TANH) return 1.0 - h * h;
    return h > 0.0 ? 1.0 : 0.0;
}

void norm_ratios_forward(const norm_step *s, int n) {
    const norm_params *p = s->call->params;
    const int k = s->k, inputs = k * k;
    double *v = s->outer + n * inputs, *h = s->h + n * s->hidden;
    double logits[NORM_MAX_METHODS];
    features(s);
    outer_product(s, v);
    for (int i = 0; i < s->hidden; i++)
        h[i] = activate(s->call->spec->activation, dot_mixed(p->fc1_weight + i * inputs, v, inputs) + (double)p->fc1_bias[i]);
    for (int i = 0; i < k; i++) logits[i] = dot_mixed(p->fc2_weight + i * s->hidden, h, s->hidden) + (double)p->fc2_bias[i];
    norm_softmax(logits, k, s->lambda + n * k);
}

/* From the logits' gradient to V's, adding to the sums of both layers. */
static void network_backward(const norm_step *s, int n, const double *dlogits, double *dv) {
    const norm_params *p = s->call->params;
    const int k = s->k, inputs = k * k;
    const double *v = s->outer + n * inputs, *h = s->h + n * s->hidden;
    for (int i = 0; i < k; i++) {
        s->sums.fc2_bias[i] += dlogits[i];
        add_scaled(dlogits[i], h, s->hidden, s->sums.fc2_weight + i * s->hidden);
    }
    memset(dv, 0, (size_t)inputs * sizeof(double));
    for (int i = 0; i < s->hidden; i++) {
        double dh = 0.0;
        for (int j = 0; j < k; j++) dh += (double)p->fc2_weight[j * s->hidden + i] * dlogits[j];
        const double du = dh * slope(s->call->spec->activation, h[i]);
        const float *w = p->fc1_weight + i * inputs;
        double *dw = s->sums.fc1_weight + i * inputs;
        s->sums.fc1_bias[i] += du;
        for (int j = 0; j < inputs; j++) {
            dw[j] += du * v[j];
            dv[j] += du * (double)w[j];
        }
    }
}

void norm_ratios_backward(const norm_step *s, int n, const double *dlambda) {
    double dlogits[NORM_MAX_METHODS], dv[NORM_MAX_METHODS * NORM_MAX_METHODS];
    norm_softmax_backward(s->lambda + n * s->k, dlambda, s->k, dlogits);
    network_backward(s, n, dlogits, dv);
    features(s);
    outer_product_backward(s, dv);
    features_backward(s);
}
