/* The stand-in's communicators and collectives. */
#ifndef STANDIN_NCCL_COMM_H
#define STANDIN_NCCL_COMM_H

#include "host.h"

#include <mpi.h>
#include <nccl.h>

#include <cstdint>
#include <memory>
#include <vector>

struct ncclComm {
    MPI_Comm mpi = MPI_COMM_NULL; /* a duplicate of its own; none for a single rank */
    int ranks = 1, rank = 0, device = 0;
    int number = 0;      /* of the communicator, the same on all ranks */
    uint64_t issued = 0; /* collectives called */
    uint64_t completed = 0;
    bool aborted = false;
    ncclResult_t state = ncclSuccess; /* what ncclCommGetAsyncError says */
    cudaStream_t last_stream = nullptr;
    /* being made, one step after the other, by ncclCommGetAsyncError where the caller does not want to block */
    enum { DUPLICATING, COMPARING, MADE } step = MADE;
    MPI_Request request = MPI_REQUEST_NULL;
    ncclUniqueId id = {};
    std::vector<char> ids;
};

namespace standin {

enum Kind { ALL_REDUCE, BROADCAST, REDUCE };

/* What must be the same on all ranks. */
struct Header {
    int64_t sequence, kind, type, op, root;
    uint64_t count;
};

struct Collective {
    ncclComm_t comm;
    Header header;
    const void *send;
    void *receive;
    cudaStream_t stream;
    int64_t call = 0; /* number among all collectives of this process */
    /* on its way */
    enum { WAITING, COMPARING, EXCHANGING, DONE, STUCK } step = WAITING;
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<Header> headers;
    std::vector<char> mine, all;
};

size_t type_bytes(ncclDataType_t type); /* 0: not served */
/* Takes the collective a step further; true once it is done, or its communicator was aborted. */
bool collective_step(Collective &collective);
/* result = the ranks' contributions, one after the other in all, joined in the order of ranks. */
void join(const Header &header, int ranks, const std::vector<char> &all, char *result);

/* Takes a communicator that is being made a step further. */
void comm_step(ncclComm_t comm);

/* Queues a collective, or keeps it until the group ends. */
ncclResult_t issue(std::shared_ptr<Collective> collective);

} // namespace standin

#endif
