/*
 * The memory plan: every buffer of a step gets a lifetime on the schedule and an offset in one arena, before step 0. Buffers whose
 * lifetimes do not overlap share memory.
 */
#ifndef MODEL_PLAN_H
#define MODEL_PLAN_H

#include <stddef.h>

typedef enum plan_kind { PLAN_ACTIVATION, PLAN_RECOMPUTED, PLAN_GRADIENT, PLAN_INDEX, PLAN_WORKSPACE, PLAN_KINDS } plan_kind;

typedef struct plan_buffer {
    size_t bytes;
    int first, last; /* steps between which the contents must stay, both included; first -1: not used yet */
    size_t offset;   /* in the arena, set by plan_assign */
    plan_kind kind;
} plan_buffer;

typedef struct plan {
    plan_buffer *buffers;
    int count, capacity;
    size_t arena_bytes;            /* of the shared arena */
    size_t kind_bytes[PLAN_KINDS]; /* sum of the buffers' sizes by kind, as if nothing were shared */
    size_t peak_bytes[PLAN_KINDS]; /* the same of the buffers alive at the step that needs most: together the least that any arena has */
    int peak_step;
} plan;

/* A new buffer of that size; returns its number, -1 when out of memory. */
int plan_add(plan *p, size_t bytes, plan_kind kind);
/* The buffer is written or read at this step. */
void plan_touch(plan *p, int buffer, int step);
/*
 * Give every used buffer an offset: largest first, each at the lowest place that no buffer alive at the same time holds. Returns 0, or -1
 * when out of memory.
 */
int plan_assign(plan *p);
void plan_free(plan *p);

#endif
