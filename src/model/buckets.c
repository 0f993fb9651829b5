#include "model/buckets.h"

#include <stdlib.h>

#include "base/error.h"

/* The lowest place in the arenas that a node's parameters take; SIZE_MAX for a node without any. */
static size_t lowest_offset(const graph *g, const node *q) {
    const param *list = g->params->list;
    size_t lowest = SIZE_MAX;
    if (q->weight >= 0 && list[q->weight].offset < lowest) lowest = list[q->weight].offset;
    if (q->bias >= 0 && list[q->bias].offset < lowest) lowest = list[q->bias].offset;
    for (int i = 0; i < q->tensor_count; i++)
        if (list[q->tensors[i]].learned && list[q->tensors[i]].offset < lowest) lowest = list[q->tensors[i]].offset;
    return lowest;
}

entrain_status buckets_make(const graph *g, size_t part_bytes, buckets *out, entrain_error *err) {
    *out = (buckets){.list = calloc((size_t)g->count + 1, sizeof(bucket))};
    if (out->list == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the gradients' buckets");
    size_t end = g->params->learned_floats;
    for (int i = g->count - 1; i >= 0; i--) {
        const size_t begin = lowest_offset(g, &g->nodes[i]);
        if (begin >= end) continue; /* no parameters */
        if (begin > 0 && (end - begin) * sizeof(float) < part_bytes) continue;
        out->list[out->count++] = (bucket){begin, end, i};
        if (end - begin > out->longest) out->longest = end - begin;
        end = begin;
    }
    return ENTRAIN_OK;
}

void buckets_free(buckets *b) {
    free(b->list);
    *b = (buckets){NULL, 0, 0, 0};
}

void buckets_restart(buckets *b) {
    b->next = 0;
}

const bucket *buckets_next(buckets *b, int id) {
    if (b->next == b->count || b->list[b->next].node < id) return NULL;
    return &b->list[b->next++];
}
