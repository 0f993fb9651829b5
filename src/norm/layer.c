/* What a layer is made of: the names of methods, the divisors of its channels, its tensors in checkpoint order and their initial values. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "norm/norm.h"

static const char *const METHOD_NAMES[] = {
    [NORM_METHOD_IN] = "in", [NORM_METHOD_LN] = "ln", [NORM_METHOD_GN] = "gn", [NORM_METHOD_BN] = "bn"};

const char *norm_method_name(norm_method m) {
    const size_t index = (size_t)m, count = sizeof METHOD_NAMES / sizeof METHOD_NAMES[0];
    return index < count ? METHOD_NAMES[index] : NULL;
}

bool norm_uses_bn(const norm_spec *spec) {
    for (int k = 0; k < spec->k; k++)
        if (spec->methods[k] == NORM_METHOD_BN) return true;
    return false;
}

static int largest_divisor(int c, int limit) {
    int d = limit < c ? limit : c;
    while (d > 1 && c % d != 0) d--;
    return d > 1 ? d : 1;
}

int norm_reduction(const norm_spec *spec, int c) {
    return spec->conv ? largest_divisor(c, spec->reduction) : 1;
}

int norm_groups(const norm_spec *spec, int c) {
    return largest_divisor(c, spec->groups);
}

static norm_tensor vector_tensor(const char *name, int length, bool learned, size_t member) {
    return (norm_tensor){.name = name, .rank = 1, .dims = {length, 1}, .learned = learned, .member = member};
}

static norm_tensor matrix_tensor(const char *name, int rows, int columns, size_t member) {
    return (norm_tensor){.name = name, .rank = 2, .dims = {rows, columns}, .learned = true, .member = member};
}

/* gamma or beta: (K,C) where each method of en has its own, else (C). */
static norm_tensor affine_tensor(const norm_spec *spec, const char *name, bool per_method, int c, size_t member) {
    return spec->type == NORM_EN && per_method ? matrix_tensor(name, spec->k, c, member) : vector_tensor(name, c, true, member);
}

int norm_tensors(const norm_spec *spec, int c, norm_tensor out[NORM_MAX_TENSORS]) {
    const int k = spec->k, hidden = spec->pi * spec->k;
    int count = 0;
    out[count++] = affine_tensor(spec, "weight", !spec->affine_single, c, offsetof(norm_params, weight));
    out[count++] = affine_tensor(spec, "bias", !spec->affine_single && !spec->shift_outside, c, offsetof(norm_params, bias));
    if (norm_uses_bn(spec)) {
        out[count++] = vector_tensor("running_mean", c, false, offsetof(norm_params, running_mean));
        out[count++] = vector_tensor("running_var", c, false, offsetof(norm_params, running_var));
    }
    if (spec->type == NORM_EN) {
        if (spec->conv) out[count++] = vector_tensor("ratio.conv.weight", c, true, offsetof(norm_params, conv_weight));
        out[count++] = matrix_tensor("ratio.fc1.weight", hidden, k * k, offsetof(norm_params, fc1_weight));
        out[count++] = vector_tensor("ratio.fc1.bias", hidden, true, offsetof(norm_params, fc1_bias));
        out[count++] = matrix_tensor("ratio.fc2.weight", k, hidden, offsetof(norm_params, fc2_weight));
        out[count++] = vector_tensor("ratio.fc2.bias", k, true, offsetof(norm_params, fc2_bias));
    }
    if (spec->type == NORM_SN) {
        out[count++] = vector_tensor("mean_weight", k, true, offsetof(norm_params, mean_weight));
        out[count++] = vector_tensor("var_weight", k, true, offsetof(norm_params, var_weight));
    }
    return count;
}

/* A tensor's initial values: all `value`, or normal with mean 0 and this standard deviation. */
typedef struct initial {
    double value, deviation;
} initial;

static initial initial_of(const norm_spec *spec, int c, size_t member) {
    const double r = norm_reduction(spec, c);
    switch (member) {
    case offsetof(norm_params, weight):
    case offsetof(norm_params, running_var):
    case offsetof(norm_params, mean_weight):
    case offsetof(norm_params, var_weight):
        return (initial){.value = 1.0};
    case offsetof(norm_params, conv_weight):
        return (initial){.deviation = 1.0 / sqrt(r)};
    case offsetof(norm_params, fc1_weight):
        /* The entries of V grow like C/r, and the activation must not start saturated. */
        return (initial){.deviation = r / (sqrt(spec->k) * c)};
    default:
        return (initial){.value = 0.0};
    }
}

void norm_init_tensor(const norm_spec *spec, int c, const norm_tensor *t, uint64_t seed, uint64_t index, float *values) {
    const initial start = initial_of(spec, c, t->member);
    const size_t count = (size_t)t->dims[0] * (size_t)(t->rank > 1 ? t->dims[1] : 1);
    random_stream random = random_open(seed, RANDOM_INIT, index);
    for (size_t i = 0; i < count; i++) values[i] = (float)(start.deviation > 0.0 ? start.deviation * random_normal(&random) : start.value);
}
