/* What nccl.c (collectives, failures) and nccl_open.c (opening and closing) share. */
#ifndef COMM_NCCL_INTERNAL_H
#define COMM_NCCL_INTERNAL_H

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "comm/comm.h"

enum { NCCL_REMEMBERED = 1024 };
typedef enum lane { COMPUTE, BUCKETS, LANES } lane;

/* A collective that was queued, so that a message can name the one that did not end. */
typedef struct queued {
    cudaEvent_t done;
    const char *what;
    size_t count;
    comm_type type;
    uint64_t number; /* from 1; 0: none yet */
} queued;

typedef struct nccl_state {
    comm *host;
    ncclComm_t lane[LANES];
    cudaStream_t stream; /* of BUCKETS */
    cudaEvent_t ready, summed;
    queued queue[NCCL_REMEMBERED]; /* number k stands at k % NCCL_REMEMBERED */
    uint64_t count;
    bool pending; /* sums were started that nobody has waited for */
    double timeout;
} nccl_state;

/* Say what happened, unless something has been said before, and give up both communicators, so that no kernel of theirs keeps the device
 * waiting. */
entrain_status nccl_fail(comm *c, const char *reason);
/* NCCL's own words about a failure where it has any. */
const char *nccl_reason(ncclResult_t code, ncclComm_t from);
/* How the call that returned code is getting on: ncclSuccess, ncclInProgress or a failure. Does not wait. */
ncclResult_t nccl_state_of(ncclComm_t from, ncclResult_t code);
/* Between two looks. */
void nccl_pause(void);

extern const comm_ops nccl_ops;

/* nccl_open.c */
void nccl_close(comm *c);

#endif
