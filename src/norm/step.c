/*
 * Memory of a layer: the state that the planner provides, and how the coefficient step on the host divides its scratch. One function
 * lays out the scratch, both to measure it and to open it, so that the two cannot disagree.
 */
#include "norm/step.h"

#include <string.h>

#include "base/memory.h"

enum { LINE = MEMORY_ALIGNMENT / sizeof(double) };

/* Hands out pieces of doubles, each on its own line; with base NULL it only counts. */
typedef struct carver {
    double *base;
    size_t used;
} carver;

static double *take(carver *from, size_t count) {
    double *piece = from->base != NULL ? from->base + from->used : NULL;
    from->used += (count + LINE - 1) / LINE * LINE;
    return piece;
}

_Static_assert(sizeof(norm_sums) == sizeof(norm_params), "norm_sums mirrors norm_params: norm_tensor.member is valid in both");

/* One sum a learned parameter, in the order of norm_tensors. */
static void take_sums(const norm_spec *spec, int c, carver *from, norm_step *s) {
    norm_tensor tensors[NORM_MAX_TENSORS];
    const int count = norm_tensors(spec, c, tensors);
    const size_t begin = from->used;
    s->sums_begin = take(from, 0);
    for (int i = 0; i < count; i++) {
        if (!tensors[i].learned) continue;
        double *piece = take(from, (size_t)tensors[i].dims[0] * (size_t)tensors[i].dims[1]);
        memcpy((char *)&s->sums + tensors[i].member, &piece, sizeof piece);
    }
    s->sums_count = from->used - begin;
}

static void take_ratios(size_t n, carver *from, norm_step *s) {
    const size_t k = (size_t)s->k;
    s->z = take(from, k * (size_t)s->blocks);
    s->dz = take(from, k * (size_t)s->blocks);
    s->outer = take(from, n * k * k);
    s->h = take(from, n * (size_t)s->hidden);
}

/* Fill out with pieces of base (NULL: only count). Returns how many doubles that makes. */
static size_t layout(const norm_spec *spec, norm_dims d, double *base, norm_step *out) {
    carver from = {.base = base};
    const size_t c = (size_t)d.c, rows = (size_t)spec->k * c;
    norm_step s = {.k = spec->k, .c = d.c, .r = norm_reduction(spec, d.c), .hidden = spec->pi * spec->k};
    const bool own_affine = spec->type == NORM_EN && !spec->affine_single;
    s.blocks = d.c / s.r;
    s.lambda = take(&from, (size_t)d.n * (size_t)spec->k);
    s.weight_stride = own_affine ? d.c : 0;
    s.bias_stride = own_affine && !spec->shift_outside ? d.c : 0;
    double **const method_rows[] = {&s.mu, &s.var, &s.rsd, &s.ph, &s.t, &s.dph};
    for (size_t i = 0; i < sizeof method_rows / sizeof method_rows[0]; i++) *method_rows[i] = take(&from, rows);
    double **const channel_rows[] = {&s.a, &s.b, &s.dmu, &s.dvar, &s.dm, &s.dv, &s.bn_rsd};
    for (size_t i = 0; i < sizeof channel_rows / sizeof channel_rows[0]; i++) *channel_rows[i] = take(&from, c);
    double **const mixes[] = {&s.mean_mix, &s.var_mix, &s.mean_dmix, &s.var_dmix};
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) *mixes[i] = take(&from, (size_t)spec->k);
    if (spec->type == NORM_SN) s.mixed = take(&from, 3 * c);
    if (spec->type == NORM_EN) take_ratios((size_t)d.n, &from, &s);
    take_sums(spec, d.c, &from, &s);
    *out = s;
    return from.used;
}

void norm_step_open(const norm_call *call, norm_step *out) {
    (void)layout(call->spec, call->dims, call->state->scratch, out);
    out->call = call;
}

void norm_step_clear_sums(const norm_step *s) {
    memset(s->sums_begin, 0, s->sums_count * sizeof(double));
    memset(s->mean_dmix, 0, (size_t)s->k * sizeof(double));
    memset(s->var_dmix, 0, (size_t)s->k * sizeof(double));
}

void norm_step_store_sums(const norm_step *s) {
    norm_tensor tensors[NORM_MAX_TENSORS];
    const int count = norm_tensors(s->call->spec, s->c, tensors);
    for (int i = 0; i < count; i++) {
        if (!tensors[i].learned) continue;
        const double *sum;
        float *gradient;
        memcpy(&sum, (const char *)&s->sums + tensors[i].member, sizeof sum);
        memcpy(&gradient, (const char *)s->call->grads + tensors[i].member, sizeof gradient);
        const size_t elements = (size_t)tensors[i].dims[0] * (size_t)tensors[i].dims[1];
        for (size_t e = 0; e < elements; e++) gradient[e] = (float)sum[e];
    }
}

/* ---- the state as a whole ---- */

static void *take_bytes(unsigned char *base, size_t *used, size_t bytes) {
    void *piece = base != NULL ? base + *used : NULL;
    *used += memory_round(bytes);
    return piece;
}

static size_t carve(const norm_spec *spec, norm_dims d, unsigned char *base, norm_state *out) {
    const size_t maps = (size_t)d.n * (size_t)d.c * sizeof(float);
    size_t used = 0;
    norm_step unused;
    float **const channel_maps[] = {&out->m, &out->v, &out->a, &out->b, &out->s1, &out->s2, &out->dm, &out->dv};
    for (size_t i = 0; i < sizeof channel_maps / sizeof channel_maps[0]; i++) *channel_maps[i] = take_bytes(base, &used, maps);
    out->lambda = take_bytes(base, &used, (size_t)d.n * (size_t)spec->k * sizeof(float));
    out->bn = take_bytes(base, &used, (2 * (size_t)d.c + 1) * sizeof(double));
    out->bn_grad = take_bytes(base, &used, 2 * (size_t)d.c * sizeof(double));
    out->scratch = take_bytes(base, &used, layout(spec, d, NULL, &unused) * sizeof(double));
    return used;
}

size_t norm_state_bytes(const norm_spec *spec, norm_dims d) {
    norm_state unused;
    return carve(spec, d, NULL, &unused);
}

void norm_state_carve(const norm_spec *spec, norm_dims d, void *memory, norm_state *out) {
    (void)carve(spec, d, memory, out);
}
