/* What the sums (shared.c) and the memory (shared_memory.c) of ranks on one host share. */
#ifndef COMM_SHARED_INTERNAL_H
#define COMM_SHARED_INTERNAL_H

#include <stdatomic.h>

#include "comm/shared.h"

/* The head of a rank's mapping: how far it is. Written by that rank, read by all; each on a cache line of its own. */
typedef struct shared_flags {
    _Alignas(64) _Atomic uint64_t ready; /* sums started: this rank's data may be read */
    _Alignas(64) _Atomic uint64_t done;  /* sums of which it has written its slice */
    _Alignas(64) uint64_t owner;         /* shows that the others have mapped what was meant */
} shared_flags;

enum { SHARED_HEAD = 4096 }; /* bytes before the data: the flags, on a page of their own */
_Static_assert(sizeof(shared_flags) <= SHARED_HEAD, "the flags fit their page");

static inline float *shared_data(const shared *s, int rank) {
    return (float *)(void *)(s->ranks[rank] + SHARED_HEAD);
}

#endif
