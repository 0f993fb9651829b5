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

/* Pieces of both kinds of memory: what is kept from forward to backward, and what a pass alone needs. */
typedef struct carvers {
    carver kept, passing;
} carvers;

static void take_ratios(size_t n, carvers *from, norm_step *s) {
    const size_t k = (size_t)s->k;
    s->z = take(&from->passing, k * (size_t)s->blocks);
    s->dz = take(&from->passing, k * (size_t)s->blocks);
    s->outer = take(&from->kept, n * k * k);
    s->h = take(&from->kept, n * (size_t)s->hidden);
}

/* Fill out with pieces of from's memory (NULL: only count). */
static void layout(const norm_spec *spec, norm_dims d, carvers *from, norm_step *out) {
    const size_t c = (size_t)d.c, rows = (size_t)spec->k * c;
    norm_step s = {.k = spec->k, .c = d.c, .r = norm_reduction(spec, d.c), .hidden = spec->pi * spec->k};
    const bool own_affine = spec->type == NORM_EN && !spec->affine_single;
    s.blocks = d.c / s.r;
    s.lambda = take(&from->kept, (size_t)d.n * (size_t)spec->k);
    s.bn_rsd = take(&from->kept, c);
    s.weight_stride = own_affine ? d.c : 0;
    s.bias_stride = own_affine && !spec->shift_outside ? d.c : 0;
    double **const mixes[] = {&s.mean_mix, &s.var_mix, &s.mean_dmix, &s.var_dmix};
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) *mixes[i] = take(&from->kept, (size_t)spec->k);
    double **const method_rows[] = {&s.mu, &s.var, &s.rsd, &s.ph, &s.t, &s.dph};
    for (size_t i = 0; i < sizeof method_rows / sizeof method_rows[0]; i++) *method_rows[i] = take(&from->passing, rows);
    double **const channel_rows[] = {&s.a, &s.b, &s.dmu, &s.dvar, &s.dm, &s.dv};
    for (size_t i = 0; i < sizeof channel_rows / sizeof channel_rows[0]; i++) *channel_rows[i] = take(&from->passing, c);
    if (spec->type == NORM_SN) s.mixed = take(&from->passing, 3 * c);
    if (spec->type == NORM_EN) take_ratios((size_t)d.n, from, &s);
    take_sums(spec, d.c, &from->passing, &s);
    *out = s;
}

void norm_step_open(const norm_call *call, norm_step *out) {
    carvers from = {{call->state->kept, 0}, {call->state->scratch, 0}};
    layout(call->spec, call->dims, &from, out);
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

/* Bytes taken from each of the two. */
typedef struct taken {
    size_t kept, shared;
} taken;

static taken carve(const norm_spec *spec, norm_dims d, unsigned char *kept, unsigned char *shared, norm_state *out) {
    const size_t maps = (size_t)d.n * (size_t)d.c * sizeof(float);
    taken used = {0, 0};
    carvers counted = {{NULL, 0}, {NULL, 0}};
    norm_step unused;
    layout(spec, d, &counted, &unused);
    float **const kept_maps[] = {&out->m, &out->v, &out->a, &out->b}, **const shared_maps[] = {&out->s1, &out->s2, &out->dm, &out->dv};
    for (size_t i = 0; i < 4; i++) {
        *kept_maps[i] = take_bytes(kept, &used.kept, maps);
        *shared_maps[i] = take_bytes(shared, &used.shared, maps);
    }
    out->lambda = take_bytes(kept, &used.kept, (size_t)d.n * (size_t)spec->k * sizeof(float));
    out->bn = take_bytes(kept, &used.kept, (2 * (size_t)d.c + 1) * sizeof(double));
    out->kept = take_bytes(kept, &used.kept, counted.kept.used * sizeof(double));
    out->bn_grad = take_bytes(shared, &used.shared, 2 * (size_t)d.c * sizeof(double));
    out->scratch = take_bytes(shared, &used.shared, counted.passing.used * sizeof(double));
    return used;
}

size_t norm_state_bytes(const norm_spec *spec, norm_dims d) {
    norm_state unused;
    return carve(spec, d, NULL, NULL, &unused).kept;
}

size_t norm_shared_bytes(const norm_spec *spec, norm_dims d) {
    norm_state unused;
    return carve(spec, d, NULL, NULL, &unused).shared;
}

void norm_state_carve(const norm_spec *spec, norm_dims d, void *memory, void *shared, norm_state *out) {
    (void)carve(spec, d, memory, shared, out);
}
