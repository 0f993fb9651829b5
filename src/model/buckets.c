#include "model/buckets.h"

#include <stdlib.h>

#include "base/error.h"

/* Earlier finished first; of those finished by one step, the later part of the arena first. */
static int compare(const void *one, const void *other) {
    const bucket *a = one, *b = other;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    return a->begin > b->begin ? -1 : a->begin < b->begin;
}

entrain_status buckets_make(const params *p, const int *final, size_t part_bytes, buckets *out, entrain_error *err) {
    *out = (buckets){.list = calloc((size_t)p->count + 1, sizeof(bucket))};
    if (out->list == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the gradients' buckets");
    bucket now = {p->learned_floats, p->learned_floats, 0};
    /* Backward goes through the arena from its end, so a bucket's tensors are finished shortly after each other. */
    for (int i = p->count - 1; i >= 0; i--) {
        if (!p->list[i].learned) continue;
        now.begin = p->list[i].offset;
        if (final[i] > now.step) now.step = final[i];
        if (now.begin > 0 && (now.end - now.begin) * sizeof(float) < part_bytes) continue;
        out->list[out->count++] = now;
        now = (bucket){now.begin, now.begin, 0};
    }
    qsort(out->list, (size_t)out->count, sizeof(bucket), compare);
    return ENTRAIN_OK;
}

void buckets_free(buckets *b) {
    free(b->list);
    *b = (buckets){NULL, 0, 0};
}

void buckets_restart(buckets *b) {
    b->next = 0;
}

entrain_status buckets_after(buckets *b, comm *c, const params *p, int step) {
    entrain_status status = ENTRAIN_OK;
    for (; b->next < b->count && b->list[b->next].step <= step && status == ENTRAIN_OK; b->next++) {
        const bucket *now = &b->list[b->next];
        status = comm_allreduce_start(c, p->grad + now->begin, now->end - now->begin, COMM_F32, p->be->stream);
    }
    return status == ENTRAIN_OK ? comm_progress(c) : status;
}
