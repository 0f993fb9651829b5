#include "model/plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int plan_add(plan *p, size_t bytes, plan_kind kind) {
    if (p->count == p->capacity) {
        const int capacity = p->capacity > 0 ? 2 * p->capacity : 256;
        plan_buffer *buffers = realloc(p->buffers, (size_t)capacity * sizeof *buffers);
        if (buffers == NULL) return -1;
        p->buffers = buffers;
        p->capacity = capacity;
    }
    p->buffers[p->count] = (plan_buffer){.bytes = memory_round(bytes), .first = -1, .last = -1, .kind = kind};
    return p->count++;
}

void plan_touch(plan *p, int buffer, int step) {
    plan_buffer *b = &p->buffers[buffer];
    if (b->first < 0 || step < b->first) b->first = step;
    if (step > b->last) b->last = step;
}

static bool alive_together(const plan_buffer *a, const plan_buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* Larger first; among equals the one used earlier, so that the plan does not depend on the sort's whims. */
static int by_size(const void *x, const void *y) {
    const plan_buffer *a = *(const plan_buffer *const *)x, *b = *(const plan_buffer *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return (a > b) - (a < b);
}

/* placed: sorted by offset, as long as `count`. Finds the lowest gap for b and inserts it there. */
static void place(plan_buffer **placed, int count, plan_buffer *b) {
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const plan_buffer *q = placed[i];
        if (!alive_together(q, b)) continue;
        if (offset + b->bytes <= q->offset) break;
        if (q->offset + q->bytes > offset) offset = q->offset + q->bytes;
    }
    b->offset = offset;
    int at = count;
    while (at > 0 && placed[at - 1]->offset > offset) {
        placed[at] = placed[at - 1];
        at--;
    }
    placed[at] = b;
}

/* The step at which the buffers alive need most, and what they are. */
static void find_peak(plan *p, int steps) {
    size_t most = 0;
    for (int step = 0; step < steps; step++) {
        size_t kinds[PLAN_KINDS] = {0}, sum = 0;
        for (int i = 0; i < p->count; i++) {
            const plan_buffer *b = &p->buffers[i];
            if (b->first < 0 || b->first > step || b->last < step) continue;
            kinds[b->kind] += b->bytes;
            sum += b->bytes;
        }
        if (sum <= most) continue;
        most = sum;
        p->peak_step = step;
        memcpy(p->peak_bytes, kinds, sizeof kinds);
    }
}

int plan_assign(plan *p) {
    plan_buffer **order = malloc(2 * (size_t)(p->count + 1) * sizeof(plan_buffer *));
    if (order == NULL) return -1;
    plan_buffer **placed = order + p->count + 1;
    int used = 0, steps = 0;
    memset(p->kind_bytes, 0, sizeof p->kind_bytes);
    memset(p->peak_bytes, 0, sizeof p->peak_bytes);
    for (int i = 0; i < p->count; i++) {
        if (p->buffers[i].first < 0) continue;
        order[used++] = &p->buffers[i];
        if (p->buffers[i].last >= steps) steps = p->buffers[i].last + 1;
    }
    find_peak(p, steps);
    qsort(order, (size_t)used, sizeof *order, by_size);
    p->arena_bytes = 0;
    for (int i = 0; i < used; i++) {
        place(placed, i, order[i]);
        const size_t end = order[i]->offset + order[i]->bytes;
        if (end > p->arena_bytes) p->arena_bytes = end;
        p->kind_bytes[order[i]->kind] += order[i]->bytes;
    }
    free(order);
    return 0;
}

void plan_free(plan *p) {
    free(p->buffers);
    memset(p, 0, sizeof *p);
}
