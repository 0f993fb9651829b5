/* Sums over the ranks of one host: see shared.h. The memory itself is shared_memory.c's. */
#include "comm/shared.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/simd.h"
#include "comm/shared_internal.h"

enum { BLOCK = 2048, LINE = 16 }; /* floats: a block stays in the first cache; slices begin on cache lines */

shared *shared_find(const comm *c, const void *data, size_t bytes) {
    const uintptr_t at = (uintptr_t)data;
    for (shared *s = c->shared; s != NULL; s = s->next) {
        const uintptr_t begin = (uintptr_t)s->mine;
        if (at >= begin && at - begin <= s->bytes && bytes <= s->bytes - (at - begin)) return s;
    }
    return NULL;
}

/* Whether every rank has started, or done its slice of, sum number `number`. */
static bool all_have(const comm *c, const shared *s, bool done, uint64_t number) {
    for (int rank = 0; rank < c->size; rank++) {
        shared_flags *flags = (shared_flags *)(void *)s->ranks[rank];
        if (atomic_load_explicit(done ? &flags->done : &flags->ready, memory_order_acquire) < number) return false;
    }
    return true;
}

SIMD_CLONES static void add_to(float *restrict sum, const float *restrict x, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] += x[i];
}

SIMD_CLONES static void add_pair(float *restrict a, float *restrict b, size_t count) {
    for (size_t i = 0; i < count; i++) a[i] = b[i] = a[i] + b[i];
}

/* Add up count floats of every rank, in the order of ranks, and give every rank the result. */
static void sum_block(const comm *c, const shared *s, size_t offset, size_t count) {
    if (c->size == 2) {
        add_pair(shared_data(s, 0) + offset, shared_data(s, 1) + offset, count);
        return;
    }
    float sum[BLOCK];
    memcpy(sum, shared_data(s, 0) + offset, count * sizeof *sum);
    for (int rank = 1; rank < c->size; rank++) add_to(sum, shared_data(s, rank) + offset, count);
    for (int rank = 0; rank < c->size; rank++) memcpy(shared_data(s, rank) + offset, sum, count * sizeof *sum);
}

static void sum_slice(const comm *c, const shared *s, const shared_sum *sum) {
    int64_t begin, end;
    comm_share((int64_t)((sum->count + LINE - 1) / LINE), c->rank, c->size, &begin, &end);
    const size_t first = (size_t)begin * LINE, last = (size_t)end * LINE < sum->count ? (size_t)end * LINE : sum->count;
    if (first >= last) return;
    const size_t blocks = (last - first + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 16)
    for (size_t b = 0; b < blocks; b++) {
        const size_t at = first + b * BLOCK;
        sum_block(c, s, sum->offset + at, last - at < BLOCK ? last - at : BLOCK);
    }
}

void shared_progress(const comm *c, shared *s) {
    shared_flags *flags = (shared_flags *)(void *)s->ranks[c->rank];
    while (s->sliced < s->started && all_have(c, s, false, s->sliced + 1)) {
        s->sliced++;
        sum_slice(c, s, &s->sums[s->sliced % SHARED_MAX_PENDING]);
        atomic_store_explicit(&flags->done, s->sliced, memory_order_release);
    }
}

entrain_status shared_wait(comm *c, shared *s) {
    enum { PATIENCE = 200 }; /* looks before leaving the core to somebody else: there may be more ranks than cores */
    for (int looks = 1; s->sliced < s->started || !all_have(c, s, true, s->started); looks++) {
        shared_progress(c, s);
        if (looks % PATIENCE != 0) continue;
        /* The rank waited for may itself wait for a message that this one has not got rid of. */
        const entrain_status status = c->ops->progress(c);
        if (status != ENTRAIN_OK) return status;
        (void)sched_yield();
    }
    return ENTRAIN_OK;
}

entrain_status shared_start(comm *c, shared *s, float *data, size_t count) {
    if (s->started - s->sliced == SHARED_MAX_PENDING) {
        const entrain_status status = shared_wait(c, s);
        if (status != ENTRAIN_OK) return status;
    }
    shared_flags *flags = (shared_flags *)(void *)s->ranks[c->rank];
    s->started++;
    s->sums[s->started % SHARED_MAX_PENDING] = (shared_sum){(size_t)(data - shared_data(s, c->rank)), count};
    atomic_store_explicit(&flags->ready, s->started, memory_order_release);
    shared_progress(c, s);
    return ENTRAIN_OK;
}
