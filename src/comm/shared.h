/*
 * Sums over the ranks of one host, straight from each other's memory. comm.c chooses them for data that comm_alloc_shared gave out; nothing
 * here knows MPI.
 */
#ifndef COMM_SHARED_H
#define COMM_SHARED_H

#include "comm/comm.h"

enum { SHARED_MAX_PENDING = 256 };

/* A part of the region that is to be summed. */
typedef struct shared_sum {
    size_t offset, count; /* floats */
} shared_sum;

/*
 * A region: as many bytes on each rank, every rank's mapped by all. Sums are numbered from 1 in the order in which all ranks start them.
 * Each rank adds up one slice of each sum, in the order of ranks, and writes it to every rank's memory.
 */
typedef struct shared {
    struct shared *next;
    char **ranks; /* (size) start of each rank's mapping: its flags, then its data */
    char *mine;   /* this rank's data */
    size_t bytes, mapped;
    shared_sum sums[SHARED_MAX_PENDING]; /* number k stands at k % SHARED_MAX_PENDING */
    uint64_t started, sliced;            /* how many this rank has started, and has done its slice of */
} shared;

/* The region in which all of these bytes lie, or NULL. */
shared *shared_find(const comm *c, const void *data, size_t bytes);
/* Say that this rank's data is ready. */
entrain_status shared_start(comm *c, shared *region, float *data, size_t count);
/* Do this rank's slices of the sums for which every rank is ready. */
void shared_progress(const comm *c, shared *region);
/* Until every rank has done its slices of all sums that were started. */
entrain_status shared_wait(comm *c, shared *region);

#endif
