/*
 * Communicators. A unique id is random; making a communicator compares the ids of all ranks, so that ranks which were given different ones
 * do not silently come together. Only communicators of all ranks of the MPI job, or of one, can be made.
 */
#include "nccl_comm.h"

#include <cstdio>
#include <cstring>

#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

namespace standin {

static const char MARK[] = "entrain stand-in for NCCL"; /* begins every id */

static bool mpi_is_up() {
    int begun = 0, ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    return begun && !ended;
}

static bool finished(MPI_Request *request) {
    int done = 0;
    MPI_Test(request, &done, MPI_STATUS_IGNORE);
    return done != 0;
}

static void compare_ids(ncclComm_t comm) {
    comm->state = ncclSuccess;
    for (int r = 0; r < comm->ranks; r++)
        if (std::memcmp(&comm->ids[static_cast<size_t>(r) * sizeof comm->id], comm->ids.data(), sizeof comm->id) != 0) {
            cusim::fault("ncclCommInitRank: ranks 0 and %d were given different unique ids", r);
            comm->state = ncclInvalidUsage;
        }
}

void comm_step(ncclComm_t comm) {
    if (comm->step == ncclComm::DUPLICATING && finished(&comm->request)) {
        comm->ids.resize(sizeof comm->id * static_cast<size_t>(comm->ranks));
        MPI_Iallgather(&comm->id, sizeof comm->id, MPI_BYTE, comm->ids.data(), sizeof comm->id, MPI_BYTE, comm->mpi, &comm->request);
        comm->step = ncclComm::COMPARING;
    }
    if (comm->step == ncclComm::COMPARING && finished(&comm->request)) {
        comm->step = ncclComm::MADE;
        compare_ids(comm);
    }
}

static ncclResult_t check_world(int ranks, int rank) {
    if (ranks == 1) return ncclSuccess;
    if (!mpi_is_up()) {
        cusim::fault("ncclCommInitRank: the stand-in needs MPI to be initialised for %d ranks", ranks);
        return ncclSystemError;
    }
    int size, me;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    if (size == ranks && me == rank) return ncclSuccess;
    cusim::fault("ncclCommInitRank: rank %d of %d, but the stand-in serves communicators of all ranks alone, and this is rank %d of %d",
                 rank, ranks, me, size);
    return ncclInvalidArgument;
}

static ncclResult_t make(ncclComm_t *comm, int ranks, const ncclUniqueId &id, int rank, bool blocking) {
    static int made;
    *comm = nullptr;
    if (ranks < 1 || rank < 0 || rank >= ranks) return ncclInvalidArgument;
    if (std::memcmp(id.internal, MARK, sizeof MARK) != 0) {
        cusim::fault("ncclCommInitRank: the unique id was not made by ncclGetUniqueId");
        return ncclInvalidArgument;
    }
    const ncclResult_t error = check_world(ranks, rank);
    if (error != ncclSuccess) return error;
    ncclComm_t c = new ncclComm;
    c->ranks = ranks;
    c->rank = rank;
    c->id = id;
    c->number = ++made;
    cudaGetDevice(&c->device);
    if (ranks > 1) {
        c->step = ncclComm::DUPLICATING;
        c->state = ncclInProgress;
        MPI_Comm_idup(MPI_COMM_WORLD, &c->mpi, &c->request);
        while (blocking && c->step != ncclComm::MADE) comm_step(c);
    }
    if (c->state != ncclSuccess && c->state != ncclInProgress) {
        const ncclResult_t state = c->state;
        delete c;
        return state;
    }
    *comm = c;
    return c->state;
}

/* While the host waits in MPI a GPU gets on with its collectives, and the other ranks may need that. */
template <class Start> static int wait_in_mpi(Start start) {
    MPI_Request request = MPI_REQUEST_NULL;
    int done = 0, code = start(&request);
    while (code == MPI_SUCCESS && !done) {
        code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) break;
        cusim::Guard guard;
        cusim::make_progress(nullptr);
        sched_yield();
    }
    return code;
}

} // namespace standin

using namespace standin;

/*
 * Where these take place: a duplicate of their own, for a communicator that is being made has collectives under way in the world, and a
 * rank that failed to begin making it does not.
 */
static MPI_Comm place_of(MPI_Comm comm) {
    static MPI_Comm own = MPI_COMM_NULL;
    if (comm != MPI_COMM_WORLD) return comm;
    if (own == MPI_COMM_NULL && MPI_Comm_dup(MPI_COMM_WORLD, &own) != MPI_SUCCESS) return comm;
    return own;
}

/* In place of MPI's own, which go by these names with a P before them. */
extern "C" int MPI_Allreduce(const void *send, void *receive, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const MPI_Comm place = place_of(comm);
    return wait_in_mpi([=](MPI_Request *request) { return MPI_Iallreduce(send, receive, count, type, op, place, request); });
}

extern "C" int MPI_Bcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm) {
    const MPI_Comm place = place_of(comm);
    return wait_in_mpi([=](MPI_Request *request) { return MPI_Ibcast(data, count, type, root, place, request); });
}

extern "C" int MPI_Barrier(MPI_Comm comm) {
    const MPI_Comm place = place_of(comm);
    return wait_in_mpi([=](MPI_Request *request) { return MPI_Ibarrier(place, request); });
}

ncclResult_t ncclGetVersion(int *version) {
    if (version == nullptr) return ncclInvalidArgument;
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *uniqueId) {
    CUSIM_INJECT(ncclResult_t, ncclSystemError);
    std::memset(uniqueId, 0, sizeof *uniqueId);
    std::memcpy(uniqueId->internal, MARK, sizeof MARK);
    if (getrandom(uniqueId->internal + sizeof MARK, 32, 0) != 32) return ncclSystemError;
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return make(comm, nranks, commId, rank, true);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t *config) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return make(comm, nranks, commId, rank, config == nullptr || config->blocking != 0);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    if (comm == nullptr) return ncclInvalidArgument;
    if (comm->state == ncclSuccess) cusim::wait_until([comm] { return comm->completed == comm->issued; }, comm->last_stream);
    return comm->state;
}

/* Waits for what is under way, as the real one does; a communicator with an error must be aborted instead. */
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    if (comm == nullptr) return ncclSuccess;
    if (comm->state != ncclSuccess) {
        cusim::fault(
            "ncclCommDestroy of a communicator with an error or still being made: it would wait for ever, ncclCommAbort would not");
        return comm->state;
    }
    cusim::wait_until([comm] { return comm->completed == comm->issued; }, comm->last_stream);
    if (comm->mpi != MPI_COMM_NULL && mpi_is_up()) MPI_Comm_free(&comm->mpi);
    delete comm;
    return ncclSuccess;
}

/*
 * Its collectives end at once, undone. What MPI still has under way cannot be taken back, so the communicator's memory stays as it is.
 */
ncclResult_t ncclCommAbort(ncclComm_t comm) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    if (comm == nullptr) return ncclSuccess;
    comm->aborted = true;
    static std::vector<ncclComm_t> *kept = new std::vector<ncclComm_t>;
    kept->push_back(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
    *count = comm->ranks;
    return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
    *rank = comm->rank;
    return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device) {
    *device = comm->device;
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    if (comm == nullptr || asyncError == nullptr) return ncclInvalidArgument;
    comm_step(comm);
    *asyncError = comm->state;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    switch (result) {
    case ncclSuccess:
        return "no error";
    case ncclUnhandledCudaError:
        return "unhandled cuda error";
    case ncclSystemError:
        return "unhandled system error";
    case ncclInternalError:
        return "internal error";
    case ncclInvalidArgument:
        return "invalid argument";
    case ncclInvalidUsage:
        return "invalid usage";
    case ncclRemoteError:
        return "remote process exited or there was a network error";
    case ncclInProgress:
        return "NCCL operation in progress";
    default:
        return "unknown result code";
    }
}

const char *ncclGetLastError(ncclComm_t) {
    return "the stand-in keeps no messages";
}
