/*
 * A training sample drawn in one pass over the output: every output pixel is sampled straight from the decoded picture, so the scaled
 * picture never exists. Pixels are rounded to bytes: a quarter of what floats would be to carry to the device, which normalises them.
 *
 * A row goes through memory that stays in the processor's nearest cache: two source rows blended into three planes, columns sampled from
 * these, colours distorted, and all three rounded into the output. Planes, because then every step is the same for neighbouring numbers.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/simd.h"
#include "data/augment_internal.h"

/* Memory for a row. */
typedef struct row_memory {
    float *source[RGB];    /* (reach) columns that are sampled from */
    float *out[RGB];       /* (count) output columns that show the picture */
    int32_t *left, *right; /* (count) index into source */
    float *weight;         /* (count) of right */
    int32_t *label;        /* (count) column of the label map */
    int reach, count;
    int first; /* source's first column, in the decoded part */
} row_memory;

void augment_scratch_free(augment_scratch *s) {
    memory_free(s->memory);
    *s = (augment_scratch){0};
}

static entrain_status scratch_reserve(augment_scratch *s, size_t bytes, entrain_error *err) {
    if (s->capacity >= bytes) return ENTRAIN_OK;
    augment_scratch_free(s);
    s->memory = memory_alloc(bytes);
    if (s->memory == NULL) return error_set(err, ENTRAIN_DEVICE, "Out of memory: %zu bytes for augmentation.", bytes);
    s->capacity = bytes;
    return ENTRAIN_OK;
}

static entrain_status row_make(const augment_plan *p, const augment_input *in, augment_scratch *scratch, row_memory *m,
                               entrain_error *err) {
    const axis *a = &p->columns;
    m->reach = p->picture.width;
    m->count = a->end - a->begin;
    m->first = p->picture.left - in->picture_part.left;
    const size_t reach = memory_round((size_t)m->reach * sizeof(float)), count = memory_round((size_t)m->count * sizeof(float));
    const entrain_status status = scratch_reserve(scratch, RGB * reach + (RGB + 4) * count, err);
    if (status != ENTRAIN_OK) return status;
    char *at = scratch->memory;
    for (int c = 0; c < RGB; c++, at += reach) m->source[c] = (float *)(void *)at;
    for (int c = 0; c < RGB; c++, at += count) m->out[c] = (float *)(void *)at;
    m->left = (int32_t *)(void *)at;
    m->right = (int32_t *)(void *)(at + count);
    m->weight = (float *)(void *)(at + 2 * count);
    m->label = (int32_t *)(void *)(at + 3 * count);
    for (int i = 0; i < m->count; i++) {
        int first, second;
        axis_taps(a, a->begin + i, &first, &second, &m->weight[i]);
        m->left[i] = first - p->picture.left;
        m->right[i] = second - p->picture.left;
        m->label[i] = axis_nearest(a, a->begin + i) - in->label_part.left;
    }
    return ENTRAIN_OK;
}

/* upper, lower (n,3) */
SIMD_CLONES static void blend_rows(const uint8_t *restrict upper, const uint8_t *restrict lower, float down, int n, float *restrict r,
                                   float *restrict g, float *restrict b) {
    for (int i = 0; i < n; i++) {
        const float r0 = upper[3 * i], g0 = upper[3 * i + 1], b0 = upper[3 * i + 2];
        r[i] = r0 + ((float)lower[3 * i] - r0) * down;
        g[i] = g0 + ((float)lower[3 * i + 1] - g0) * down;
        b[i] = b0 + ((float)lower[3 * i + 2] - b0) * down;
    }
}

SIMD_CLONES static void sample_plane(const float *restrict plane, const int32_t *restrict left, const int32_t *restrict right,
                                     const float *restrict weight, int n, float *restrict out) {
    for (int i = 0; i < n; i++) {
        const float a = plane[left[i]], b = plane[right[i]];
        out[i] = a + (b - a) * weight[i];
    }
}

/* out (n,3) */
SIMD_CLONES static void round_planes(const float *restrict r, const float *restrict g, const float *restrict b, int n,
                                     uint8_t *restrict out) {
    for (int i = 0; i < n; i++) {
        out[3 * i] = (uint8_t)(int)(r[i] + 0.5f);
        out[3 * i + 1] = (uint8_t)(int)(g[i] + 0.5f);
        out[3 * i + 2] = (uint8_t)(int)(b[i] + 0.5f);
    }
}

static const uint8_t *source_row(const augment_input *in, int y, int column) {
    const size_t row = (size_t)(y - in->picture_part.top);
    return in->picture->data + (row * (size_t)in->picture->width + (size_t)column) * RGB;
}

/* Every row that the picture reaches. */
static void render_pixels(const augment_plan *p, const augment_input *in, const row_memory *m, uint8_t *pixels) {
    const int n = m->count;
    for (int y = p->rows.begin; y < p->rows.end; y++) {
        int upper, lower;
        float down;
        axis_taps(&p->rows, y, &upper, &lower, &down);
        blend_rows(source_row(in, upper, m->first), source_row(in, lower, m->first), down, m->reach, m->source[0], m->source[1],
                   m->source[2]);
        for (int c = 0; c < RGB; c++) sample_plane(m->source[c], m->left, m->right, m->weight, n, m->out[c]);
        if (p->distort) photometric_row(&p->distortion, m->out[0], m->out[1], m->out[2], n);
        round_planes(m->out[0], m->out[1], m->out[2], n, pixels + ((size_t)y * (size_t)p->columns.out + (size_t)p->columns.begin) * RGB);
    }
}

/* Where two output rows show the same row of the map, the second is a copy. */
static void render_labels(const augment_plan *p, const augment_input *in, const row_memory *m, uint8_t *labels) {
    const size_t out = (size_t)p->columns.out, n = (size_t)m->count;
    int before = -1;
    for (int y = p->rows.begin; y < p->rows.end; y++) {
        const int at = axis_nearest(&p->rows, y);
        uint8_t *row = labels + (size_t)y * out + (size_t)p->columns.begin;
        const uint8_t *source = in->label->data + (size_t)(at - in->label_part.top) * (size_t)in->label->width;
        if (at == before) memcpy(row, row - out, n);
        for (size_t i = 0; at != before && i < n; i++) row[i] = source[m->label[i]];
        before = at;
    }
}

/* The mean, and labels that are ignored, all over the output. */
static void fill(const augment_options *o, size_t rows, size_t columns, uint8_t *pixels, uint8_t *labels) {
    for (size_t i = 0; i < columns; i++)
        for (size_t c = 0; c < RGB; c++) pixels[RGB * i + c] = (uint8_t)(255.0 * o->mean[c] + 0.5);
    for (size_t y = 1; y < rows; y++) memcpy(pixels + y * columns * RGB, pixels, columns * RGB);
    memset(labels, SHARD_IGNORE, rows * columns);
}

entrain_status augment_render(const augment_options *o, const augment_plan *plan, const augment_input *in, uint8_t *pixels, uint8_t *labels,
                              augment_scratch *scratch, entrain_error *err) {
    const axis *rows = &plan->rows, *columns = &plan->columns;
    row_memory m;
    const entrain_status status = row_make(plan, in, scratch, &m, err);
    if (status != ENTRAIN_OK) return status;
    if (rows->end - rows->begin < rows->out || columns->end - columns->begin < columns->out)
        fill(o, (size_t)rows->out, (size_t)columns->out, pixels, labels);
    render_pixels(plan, in, &m, pixels);
    render_labels(plan, in, &m, labels);
    return ENTRAIN_OK;
}
