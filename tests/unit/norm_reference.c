#include "norm_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const REF_NAMES[REF_PARAMS] = {"weight",           "bias",           "ratio.conv.weight", "ratio.fc1.weight", "ratio.fc1.bias",
                                           "ratio.fc2.weight", "ratio.fc2.bias", "mean_weight",       "var_weight"};

size_t reference_count(const norm_spec *spec, int c, int param) {
    const bool en = spec->type == NORM_EN, sn = spec->type == NORM_SN;
    const size_t k = (size_t)spec->k, hidden = (size_t)spec->pi * k, sets = en && !spec->affine_single ? k : 1;
    switch (param) {
    case REF_WEIGHT:
        return sets * (size_t)c;
    case REF_BIAS:
        return (spec->shift_outside ? 1 : sets) * (size_t)c;
    case REF_CONV:
        return en && spec->conv ? (size_t)c : 0;
    case REF_FC1_WEIGHT:
        return en ? hidden * k * k : 0;
    case REF_FC1_BIAS:
        return en ? hidden : 0;
    case REF_FC2_WEIGHT:
        return en ? k * hidden : 0;
    case REF_FC2_BIAS:
        return en ? k : 0;
    default:
        return sn ? k : 0;
    }
}

static double *zeros(size_t count) {
    double *p = calloc(count > 0 ? count : 1, sizeof *p);
    if (p == NULL) abort();
    return p;
}

static int divisor_up_to(int c, int limit) {
    int best = 1;
    for (int i = 1; i <= c && i <= limit; i++)
        if (c % i == 0) best = i;
    return best;
}

reference *reference_new(const norm_spec *spec, int n, int c, const int *pixels) {
    reference *r = calloc(1, sizeof *r);
    if (r == NULL) abort();
    const size_t k = (size_t)spec->k, images = (size_t)n, channels = (size_t)c;
    *r = (reference){.spec = spec, .n = n, .c = c, .pixels = pixels, .training = true};
    for (int i = 0; i < n; i++) r->elements += (size_t)pixels[i] * channels;
    r->groups = divisor_up_to(c, spec->groups);
    r->r = spec->conv ? divisor_up_to(c, spec->reduction) : 1;
    r->blocks = c / r->r;
    r->hidden = spec->pi * spec->k;
    r->x = zeros(r->elements), r->y = zeros(r->elements), r->g = zeros(r->elements), r->dx = zeros(r->elements);
    for (int i = 0; i < REF_PARAMS; i++) {
        r->param[i] = zeros(reference_count(spec, c, i));
        r->grad[i] = zeros(reference_count(spec, c, i));
    }
    r->running_mean = zeros(channels), r->running_var = zeros(channels);
    for (int i = 0; i < c; i++) r->running_var[i] = 1.0;
    const size_t sets = k * (images > 0 ? images : 1) * channels;
    r->mu = zeros(sets), r->var = zeros(sets), r->rsd = zeros(sets), r->size = zeros(sets);
    r->lambda = zeros(images * k), r->ph = zeros(images * k * channels), r->z = zeros(images * k * (size_t)r->blocks);
    r->v = zeros(images * k * k), r->h = zeros(images * (size_t)r->hidden);
    return r;
}

void reference_free(reference *r) {
    if (r == NULL) return;
    double *const owned[] = {r->x,  r->y, r->g, r->dx, r->running_mean, r->running_var, r->mu, r->var, r->rsd, r->size, r->lambda,
                             r->ph, r->z, r->v, r->h};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    for (int i = 0; i < REF_PARAMS; i++) {
        free(r->param[i]);
        free(r->grad[i]);
    }
    free(r);
}

/* Which set of its method an element of (image n, channel c) belongs to, as an index of mu, var and size. */
static int set_of(const reference *r, int k, int n, int c) {
    const int base = k * (r->n > 0 ? r->n : 1) * r->c;
    switch (r->spec->methods[k]) {
    case NORM_METHOD_IN:
        return base + n * r->c + c;
    case NORM_METHOD_LN:
        return base + n;
    case NORM_METHOD_GN:
        return base + n * r->groups + c / (r->c / r->groups);
    case NORM_METHOD_BN:
    default:
        return base + c;
    }
}

/* Walk all elements: `index` counts them as x, y, g and dx are laid out. */
#define EACH_ELEMENT(r, n, c, index)                                                                                                       \
    for (size_t index = 0, once_ = 1; once_; once_ = 0)                                                                                    \
        for (int n = 0; n < (r)->n; n++)                                                                                                   \
            for (int pixel_ = 0; pixel_ < (r)->pixels[n]; pixel_++)                                                                        \
                for (int c = 0; c < (r)->c; c++, index++)

static double *gamma_of(const reference *r, double *const *from, int k, int c) {
    return from[REF_WEIGHT] + (r->spec->type == NORM_EN && !r->spec->affine_single ? k * r->c : 0) + c;
}

static double *beta_of(const reference *r, double *const *from, int k, int c) {
    const bool own = r->spec->type == NORM_EN && !r->spec->affine_single && !r->spec->shift_outside;
    return from[REF_BIAS] + (own ? k * r->c : 0) + c;
}

static void softmax(const double *x, int k, double *out) {
    double largest = x[0], sum = 0.0;
    for (int i = 1; i < k; i++) largest = fmax(largest, x[i]);
    for (int i = 0; i < k; i++) sum += exp(x[i] - largest);
    for (int i = 0; i < k; i++) out[i] = exp(x[i] - largest) / sum;
}

static void softmax_gradient(const double *out, const double *dout, int k, double *dx) {
    for (int i = 0; i < k; i++) {
        dx[i] = 0.0;
        for (int j = 0; j < k; j++) dx[i] += dout[j] * out[j] * ((i == j ? 1.0 : 0.0) - out[i]);
    }
}

/* ---- forward ---- */

static void method_statistics(reference *r, int k) {
    const int first = set_of(r, k, 0, 0), all = (r->n > 0 ? r->n : 1) * r->c;
    for (int i = first; i < first + all; i++) r->mu[i] = r->var[i] = r->size[i] = 0.0;
    EACH_ELEMENT(r, n, c, e) {
        r->mu[set_of(r, k, n, c)] += r->x[e];
        r->size[set_of(r, k, n, c)] += 1.0;
    }
    for (int i = first; i < first + all; i++)
        if (r->size[i] > 0.0) r->mu[i] /= r->size[i];
    EACH_ELEMENT(r, n, c, e) {
        const int set = set_of(r, k, n, c);
        r->var[set] += (r->x[e] - r->mu[set]) * (r->x[e] - r->mu[set]) / r->size[set];
    }
}

static void batch_statistics(reference *r, int k) {
    for (int c = 0; c < r->c; c++) {
        const int set = set_of(r, k, 0, c);
        if (!r->training) {
            r->mu[set] = r->running_mean[c];
            r->var[set] = r->running_var[c];
            continue;
        }
        const double momentum = r->spec->momentum, size = r->size[set];
        r->running_mean[c] = (1.0 - momentum) * r->running_mean[c] + momentum * r->mu[set];
        r->running_var[c] = (1.0 - momentum) * r->running_var[c] + momentum * r->var[set] * size / (size > 1.0 ? size - 1.0 : 1.0);
    }
}

static void image_ratios(reference *r, int n) {
    const int k = r->spec->k, j = r->blocks;
    double *ph = r->ph + n * k * r->c, *z = r->z + n * k * j, *v = r->v + n * k * k, *h = r->h + n * r->hidden;
    double logits[NORM_MAX_METHODS];
    for (int a = 0; a < k; a++)
        for (int b = 0; b < j; b++) {
            z[a * j + b] = 0.0;
            for (int c = b * r->r; c < (b + 1) * r->r; c++)
                z[a * j + b] += (r->spec->conv ? r->param[REF_CONV][c] : 1.0) * ph[a * r->c + c];
        }
    for (int a = 0; a < k; a++)
        for (int b = 0; b < k; b++) {
            v[a * k + b] = 0.0;
            for (int i = 0; i < j; i++) v[a * k + b] += z[a * j + i] * z[b * j + i];
        }
    for (int i = 0; i < r->hidden; i++) {
        double u = r->param[REF_FC1_BIAS][i];
        for (int a = 0; a < k * k; a++) u += r->param[REF_FC1_WEIGHT][i * k * k + a] * v[a];
        h[i] = r->spec->activation == NORM_TANH ? tanh(u) : (u > 0.0 ? u : 0.0);
    }
    for (int a = 0; a < k; a++) {
        logits[a] = r->param[REF_FC2_BIAS][a];
        for (int i = 0; i < r->hidden; i++) logits[a] += r->param[REF_FC2_WEIGHT][a * r->hidden + i] * h[i];
    }
    softmax(logits, k, r->lambda + n * k);
}

static void pooled_features(reference *r) {
    const int k = r->spec->k;
    double *pooled = zeros((size_t)r->n * (size_t)r->c);
    EACH_ELEMENT(r, n, c, e) pooled[n * r->c + c] += r->x[e] / r->pixels[n];
    for (int n = 0; n < r->n; n++)
        for (int a = 0; a < k; a++)
            for (int c = 0; c < r->c; c++) {
                const int set = set_of(r, a, n, c);
                r->ph[(n * k + a) * r->c + c] = (pooled[n * r->c + c] - r->mu[set]) * r->rsd[set];
            }
    free(pooled);
}

static void outputs_forward(reference *r) {
    const int k = r->spec->k;
    pooled_features(r);
    for (int n = 0; n < r->n; n++) {
        r->lambda[n * k] = 1.0;
        if (r->spec->type == NORM_EN) image_ratios(r, n);
    }
    EACH_ELEMENT(r, n, c, e) {
        double y = r->spec->shift_outside ? *beta_of(r, r->param, 0, c) : 0.0;
        for (int a = 0; a < k; a++) {
            const int set = set_of(r, a, n, c);
            const double xhat = (r->x[e] - r->mu[set]) * r->rsd[set];
            const double shift = r->spec->shift_outside ? 0.0 : *beta_of(r, r->param, a, c);
            y += r->lambda[n * k + a] * (*gamma_of(r, r->param, a, c) * xhat + shift);
        }
        r->y[e] = y;
    }
}

/* sn: mean and 1/sd of the mixture at (n,c). */
static void mixture(const reference *r, int n, int c, double *mean, double *rsd) {
    double var = 0.0;
    *mean = 0.0;
    for (int k = 0; k < r->spec->k; k++) {
        *mean += r->mean_mix[k] * r->mu[set_of(r, k, n, c)];
        var += r->var_mix[k] * r->var[set_of(r, k, n, c)];
    }
    *rsd = 1.0 / sqrt(var + r->spec->eps);
}

static void mixture_forward(reference *r) {
    softmax(r->param[REF_MEAN_WEIGHT], r->spec->k, r->mean_mix);
    softmax(r->param[REF_VAR_WEIGHT], r->spec->k, r->var_mix);
    EACH_ELEMENT(r, n, c, e) {
        double mean, rsd;
        mixture(r, n, c, &mean, &rsd);
        r->y[e] = r->param[REF_WEIGHT][c] * (r->x[e] - mean) * rsd + r->param[REF_BIAS][c];
    }
}

void reference_forward(reference *r) {
    for (int k = 0; k < r->spec->k; k++) {
        method_statistics(r, k);
        if (r->spec->methods[k] == NORM_METHOD_BN) batch_statistics(r, k);
        const int first = set_of(r, k, 0, 0), all = (r->n > 0 ? r->n : 1) * r->c;
        for (int i = first; i < first + all; i++) r->rsd[i] = 1.0 / sqrt(r->var[i] + r->spec->eps);
    }
    if (r->spec->type == NORM_SN)
        mixture_forward(r);
    else
        outputs_forward(r);
}

/* ---- backward: dmu and dvar are gradients of every set's statistics, dp (N,C) of the pooled features ---- */

typedef struct gradients {
    double *dmu, *dvar, *dp;
} gradients;

static void image_ratios_gradient(reference *r, int n, const double *dlambda, const gradients *to) {
    const int k = r->spec->k, j = r->blocks;
    const double *ph = r->ph + n * k * r->c, *z = r->z + n * k * j, *v = r->v + n * k * k, *h = r->h + n * r->hidden;
    double dlogits[NORM_MAX_METHODS], dv[NORM_MAX_METHODS * NORM_MAX_METHODS] = {0};
    softmax_gradient(r->lambda + n * k, dlambda, k, dlogits);
    for (int i = 0; i < r->hidden; i++) {
        double dh = 0.0;
        for (int a = 0; a < k; a++) {
            dh += dlogits[a] * r->param[REF_FC2_WEIGHT][a * r->hidden + i];
            r->grad[REF_FC2_WEIGHT][a * r->hidden + i] += dlogits[a] * h[i];
        }
        const double du = dh * (r->spec->activation == NORM_TANH ? 1.0 - h[i] * h[i] : (h[i] > 0.0 ? 1.0 : 0.0));
        r->grad[REF_FC1_BIAS][i] += du;
        for (int a = 0; a < k * k; a++) {
            r->grad[REF_FC1_WEIGHT][i * k * k + a] += du * v[a];
            dv[a] += du * r->param[REF_FC1_WEIGHT][i * k * k + a];
        }
    }
    for (int a = 0; a < k; a++) r->grad[REF_FC2_BIAS][a] += dlogits[a];
    for (int a = 0; a < k; a++)
        for (int c = 0; c < r->c; c++) {
            const int set = set_of(r, a, n, c), block = c / r->r;
            const double rsd = r->rsd[set], at = ph[a * r->c + c];
            double dz = 0.0;
            for (int b = 0; b < k; b++) dz += (dv[a * k + b] + dv[b * k + a]) * z[b * j + block];
            if (r->spec->conv) r->grad[REF_CONV][c] += dz * at;
            const double dph = dz * (r->spec->conv ? r->param[REF_CONV][c] : 1.0);
            to->dp[n * r->c + c] += dph * rsd;
            to->dmu[set] -= dph * rsd;
            to->dvar[set] -= 0.5 * dph * at * rsd * rsd;
        }
}

static void outputs_backward(reference *r, const gradients *to) {
    const int k = r->spec->k;
    double *dlambda = zeros((size_t)(r->n * k));
    EACH_ELEMENT(r, n, c, e) {
        if (r->spec->shift_outside) *beta_of(r, r->grad, 0, c) += r->g[e];
        for (int a = 0; a < k; a++) {
            const int set = set_of(r, a, n, c);
            const double rsd = r->rsd[set], xhat = (r->x[e] - r->mu[set]) * rsd;
            const double gamma = *gamma_of(r, r->param, a, c), part = r->lambda[n * k + a] * r->g[e], dxhat = part * gamma;
            dlambda[n * k + a] += r->g[e] * (gamma * xhat + (r->spec->shift_outside ? 0.0 : *beta_of(r, r->param, a, c)));
            *gamma_of(r, r->grad, a, c) += part * xhat;
            if (!r->spec->shift_outside) *beta_of(r, r->grad, a, c) += part;
            r->dx[e] += dxhat * rsd;
            to->dmu[set] -= dxhat * rsd;
            to->dvar[set] -= 0.5 * dxhat * xhat * rsd * rsd;
        }
    }
    for (int n = 0; n < r->n && r->spec->type == NORM_EN; n++) image_ratios_gradient(r, n, dlambda + n * k, to);
    free(dlambda);
}

static void mixture_backward(reference *r, const gradients *to) {
    const int k = r->spec->k;
    const double *a = r->mean_mix, *b = r->var_mix;
    double da[NORM_MAX_METHODS] = {0}, db[NORM_MAX_METHODS] = {0};
    EACH_ELEMENT(r, n, c, e) {
        double mean, rsd;
        mixture(r, n, c, &mean, &rsd);
        const double xhat = (r->x[e] - mean) * rsd, dxhat = r->g[e] * r->param[REF_WEIGHT][c];
        r->grad[REF_WEIGHT][c] += r->g[e] * xhat;
        r->grad[REF_BIAS][c] += r->g[e];
        r->dx[e] += dxhat * rsd;
        const double dmean = -dxhat * rsd, dvariance = -0.5 * dxhat * xhat * rsd * rsd;
        for (int i = 0; i < k; i++) {
            const int set = set_of(r, i, n, c);
            da[i] += dmean * r->mu[set];
            db[i] += dvariance * r->var[set];
            to->dmu[set] += a[i] * dmean;
            to->dvar[set] += b[i] * dvariance;
        }
    }
    softmax_gradient(a, da, k, r->grad[REF_MEAN_WEIGHT]);
    softmax_gradient(b, db, k, r->grad[REF_VAR_WEIGHT]);
}

void reference_backward(reference *r) {
    const int k = r->spec->k;
    const size_t sets = (size_t)k * (size_t)(r->n > 0 ? r->n : 1) * (size_t)r->c;
    const gradients to = {zeros(sets), zeros(sets), zeros((size_t)r->n * (size_t)r->c)};
    memset(r->dx, 0, r->elements * sizeof *r->dx);
    for (int i = 0; i < REF_PARAMS; i++) memset(r->grad[i], 0, reference_count(r->spec, r->c, i) * sizeof(double));
    if (r->spec->type == NORM_SN)
        mixture_backward(r, &to);
    else
        outputs_backward(r, &to);
    EACH_ELEMENT(r, n, c, e) {
        r->dx[e] += to.dp[n * r->c + c] / r->pixels[n];
        for (int a = 0; a < k; a++) {
            const int set = set_of(r, a, n, c);
            r->dx[e] += (to.dmu[set] + 2.0 * to.dvar[set] * (r->x[e] - r->mu[set])) / r->size[set];
        }
    }
    free(to.dmu), free(to.dvar), free(to.dp);
}
