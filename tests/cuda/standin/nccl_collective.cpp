/* The collective calls: judged at the call, queued in their stream, kept back while a group is open. */
#include "nccl_comm.h"

#include <climits>

namespace standin {

static int group_depth;
static int64_t calls;
static std::vector<std::shared_ptr<Collective>> group;

static void finish(Collective &c) {
    c.comm->completed++;
    if (c.comm->aborted) return;
    char *result = static_cast<char *>(c.receive);
    if (c.header.kind == BROADCAST) {
        std::copy(c.all.begin(), c.all.end(), result);
    } else if (c.header.kind == ALL_REDUCE || c.comm->rank == c.header.root) {
        join(c.header, c.comm->ranks, c.all, result);
    }
}

static void queue(const std::shared_ptr<Collective> &c) {
    c->header.sequence = static_cast<int64_t>(++c->comm->issued);
    c->call = ++calls;
    c->comm->last_stream = c->stream;
    cusim::submit_when(
        c->stream, [c] { return collective_step(*c); }, [c] { finish(*c); });
}

ncclResult_t issue(std::shared_ptr<Collective> c) {
    if (group_depth > 0)
        group.push_back(std::move(c));
    else
        queue(c);
    return ncclSuccess;
}

static ncclResult_t call(const char *function, Kind kind, const void *send, void *receive, size_t count, ncclDataType_t type,
                         ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
    if (comm == nullptr || comm->aborted || root < 0 || root >= comm->ranks) return ncclInvalidArgument;
    if (comm->state != ncclSuccess && comm->state != ncclInProgress) return comm->state;
    const size_t bytes = count * type_bytes(type);
    const bool whole = type != ncclFloat32 && type != ncclFloat64;
    if (type_bytes(type) == 0 || (op != ncclSum && op != ncclMax && op != ncclMin && (op != ncclAvg || whole)) || bytes > INT_MAX) {
        cusim::fault("%s: the stand-in does not serve type %d, operation %d, %zu bytes", function, type, op, bytes);
        return ncclInvalidArgument;
    }
    const bool sends = kind != BROADCAST || comm->rank == root, receives = kind != REDUCE || comm->rank == root;
    if (bytes > 0 && ((sends && !cusim::on_device(send, bytes)) || (receives && !cusim::on_device(receive, bytes)))) {
        cusim::fault("%s: %zu bytes from %p to %p are not memory of the device", function, bytes, send, receive);
        return ncclInvalidArgument;
    }
    std::shared_ptr<Collective> c = std::make_shared<Collective>();
    c->comm = comm;
    c->header = Header{0, kind, type, op, root, count};
    c->send = send;
    c->receive = receive;
    c->stream = stream;
    return issue(c);
}

} // namespace standin

using namespace standin;

ncclResult_t ncclGroupStart(void) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclInternalError);
    if (group_depth == 0) return ncclInvalidUsage;
    if (--group_depth > 0) return ncclSuccess;
    for (const std::shared_ptr<Collective> &c : group) queue(c);
    group.clear();
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return call(__func__, ALL_REDUCE, sendbuff, recvbuff, count, datatype, op, 0, comm, stream);
}

ncclResult_t ncclReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return call(__func__, REDUCE, sendbuff, recvbuff, count, datatype, op, root, comm, stream);
}

ncclResult_t ncclBroadcast(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                           cudaStream_t stream) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return call(__func__, BROADCAST, sendbuff, recvbuff, count, datatype, ncclSum, root, comm, stream);
}

ncclResult_t ncclBcast(void *buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm, cudaStream_t stream) {
    cusim::Guard guard;
    CUSIM_INJECT(ncclResult_t, ncclUnhandledCudaError);
    return call(__func__, BROADCAST, buff, buff, count, datatype, ncclSum, root, comm, stream);
}
