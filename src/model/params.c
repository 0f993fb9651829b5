#include "model/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { ALIGN_FLOATS = 16 };

int params_add(params *p, const param *description) {
    if (p->count == p->capacity) {
        const int capacity = p->capacity > 0 ? 2 * p->capacity : 64;
        param *list = realloc(p->list, (size_t)capacity * sizeof *list);
        if (list == NULL) return -1;
        p->list = list;
        p->capacity = capacity;
    }
    param *q = &p->list[p->count];
    *q = *description;
    q->count = 1;
    for (int i = 0; i < q->rank; i++) q->count *= (size_t)q->dims[i];
    size_t *total = q->learned ? &p->learned_floats : &p->stat_floats;
    q->offset = *total;
    *total += (q->count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    return p->count++;
}

void params_share_gradients(params *p, const backend *be, comm *c) {
    if (be->host_memory) p->grad = comm_alloc_shared(c, p->learned_floats * sizeof(float));
    if (p->grad != NULL) p->c = c;
}

entrain_status params_allocate(params *p, backend *be, bool training, entrain_error *err) {
    const size_t bytes = p->learned_floats * sizeof(float);
    p->be = be;
    p->value = be->ops->alloc(be, bytes);
    p->stats = be->ops->alloc(be, p->stat_floats * sizeof(float));
    if (training) {
        if (p->grad == NULL) p->grad = be->ops->alloc(be, bytes);
        p->momentum = be->ops->alloc(be, bytes);
    }
    if (p->value == NULL || p->stats == NULL || (training && (p->grad == NULL || p->momentum == NULL)))
        return error_set(err, ENTRAIN_DEVICE, "not enough memory for the parameters: %.1f MiB%s are needed. Choose a smaller network.",
                         (double)bytes / 1048576.0, training ? " three times (values, gradients, momentum)" : "");
    return ENTRAIN_OK;
}

void params_free(params *p) {
    if (p->c != NULL) {
        comm_release_shared(p->c, p->grad);
        p->grad = NULL;
    }
    float *const arenas[] = {p->value, p->grad, p->momentum, p->stats};
    for (size_t i = 0; p->be != NULL && i < sizeof arenas / sizeof arenas[0]; i++)
        if (arenas[i] != NULL) p->be->ops->release(p->be, arenas[i]);
    free(p->list);
    memset(p, 0, sizeof *p);
}

int params_find(const params *p, const char *name) {
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->list[i].name, name) == 0) return i;
    return -1;
}

float *params_value(const params *p, int index) {
    if (index < 0) return NULL;
    const param *q = &p->list[index];
    float *arena = q->learned ? p->value : p->stats;
    return arena == NULL ? NULL : arena + q->offset;
}

float *params_grad(const params *p, int index) {
    return index < 0 || !p->list[index].learned || p->grad == NULL ? NULL : p->grad + p->list[index].offset;
}

float *params_momentum(const params *p, int index) {
    return index < 0 || !p->list[index].learned || p->momentum == NULL ? NULL : p->momentum + p->list[index].offset;
}
