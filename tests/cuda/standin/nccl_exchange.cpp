/*
 * How a collective gets on while its stream is asked again and again: first the ranks compare what they were called for, then they exchange
 * their contributions, and each joins all of them in the order of ranks. So the result has the same bits everywhere. Nothing here blocks,
 * so that a rank which never comes is left to the product's own time limit, as with the real NCCL.
 */
#include "nccl_comm.h"

#include <climits>
#include <cstdio>
#include <cstring>
#include <string>

namespace standin {

size_t type_bytes(ncclDataType_t type) {
    switch (type) {
    case ncclUint8:
    case ncclInt8:
        return 1;
    case ncclInt32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclFloat64:
        return 8;
    default:
        return 0;
    }
}

template <class T> static void join_as(const Header &header, int ranks, const char *all, char *result) {
    const size_t count = header.count;
    std::vector<T> sum(count), next(count);
    std::memcpy(sum.data(), all, count * sizeof(T));
    for (int r = 1; r < ranks; r++) {
        std::memcpy(next.data(), all + static_cast<size_t>(r) * count * sizeof(T), count * sizeof(T));
        for (size_t i = 0; i < count; i++) {
            if (header.op == ncclMax)
                sum[i] = next[i] > sum[i] ? next[i] : sum[i];
            else if (header.op == ncclMin)
                sum[i] = next[i] < sum[i] ? next[i] : sum[i];
            else
                sum[i] = static_cast<T>(sum[i] + next[i]);
        }
    }
    if (header.op == ncclAvg)
        for (T &value : sum) value = static_cast<T>(value / static_cast<T>(ranks));
    std::memcpy(result, sum.data(), count * sizeof(T));
}

void join(const Header &header, int ranks, const std::vector<char> &all, char *result) {
    if (header.count == 0) return;
    switch (header.type) {
    case ncclUint8:
        join_as<uint8_t>(header, ranks, all.data(), result);
        break;
    case ncclInt8:
        join_as<int8_t>(header, ranks, all.data(), result);
        break;
    case ncclInt32:
        join_as<int32_t>(header, ranks, all.data(), result);
        break;
    case ncclInt64:
        join_as<int64_t>(header, ranks, all.data(), result);
        break;
    case ncclFloat32:
        join_as<float>(header, ranks, all.data(), result);
        break;
    default:
        join_as<double>(header, ranks, all.data(), result);
        break;
    }
}

static std::string describe(const Header &header) {
    static const char *const kinds[] = {"AllReduce", "Broadcast", "Reduce"};
    static const char *const ops[] = {"sum", "product", "max", "min", "average"};
    const char *type = header.type == ncclUint8     ? "uint8"
                       : header.type == ncclInt8    ? "int8"
                       : header.type == ncclInt32   ? "int32"
                       : header.type == ncclInt64   ? "int64"
                       : header.type == ncclFloat32 ? "float32"
                                                    : "float64";
    char text[160];
    std::snprintf(text, sizeof text, "%s of %llu %s (%s, root %lld)", kinds[header.kind], static_cast<unsigned long long>(header.count),
                  type, ops[header.op], static_cast<long long>(header.root));
    return text;
}

static bool headers_agree(const Collective &c) {
    for (int r = 1; r < c.comm->ranks; r++) {
        const Header &first = c.headers[0], &other = c.headers[static_cast<size_t>(r)];
        if (std::memcmp(&first, &other, sizeof first) == 0) continue;
        cusim::fault("collective %lld of communicator %d: rank 0 calls %s, rank %d calls %s", static_cast<long long>(c.header.sequence),
                     c.comm->number, describe(first).c_str(), r, describe(other).c_str());
        return false;
    }
    return true;
}

static bool finished(MPI_Request *request) {
    int done = 0;
    MPI_Test(request, &done, MPI_STATUS_IGNORE);
    return done != 0;
}

static void stick(Collective &c, ncclResult_t error) {
    c.step = Collective::STUCK;
    if (error != ncclSuccess) c.comm->state = error;
}

static void begin(Collective &c) {
    if (c.call == cusim::setting("CUSIM_NCCL_STALL", 0)) return stick(c, ncclSuccess);
    if (c.call == cusim::setting("CUSIM_NCCL_ERROR", 0)) return stick(c, ncclRemoteError);
    const size_t bytes = c.header.count * type_bytes(static_cast<ncclDataType_t>(c.header.type));
    c.mine.resize(bytes);
    /* On ranks other than the root a broadcast's own contribution is not looked at, and may not be there. */
    if (bytes > 0 && (c.header.kind != BROADCAST || c.comm->rank == c.header.root)) std::memcpy(c.mine.data(), c.send, bytes);
    if (c.comm->ranks == 1) {
        c.all = c.mine;
        c.step = Collective::DONE;
        return;
    }
    c.headers.resize(static_cast<size_t>(c.comm->ranks));
    MPI_Iallgather(&c.header, sizeof c.header, MPI_BYTE, c.headers.data(), sizeof c.header, MPI_BYTE, c.comm->mpi, &c.request);
    c.step = Collective::COMPARING;
}

static void exchange(Collective &c) {
    const int bytes = static_cast<int>(c.mine.size());
    if (c.header.kind == BROADCAST) {
        MPI_Ibcast(c.mine.data(), bytes, MPI_BYTE, static_cast<int>(c.header.root), c.comm->mpi, &c.request);
    } else {
        c.all.resize(c.mine.size() * static_cast<size_t>(c.comm->ranks));
        MPI_Iallgather(c.mine.data(), bytes, MPI_BYTE, c.all.data(), bytes, MPI_BYTE, c.comm->mpi, &c.request);
    }
    c.step = Collective::EXCHANGING;
}

bool collective_step(Collective &c) {
    if (c.comm->aborted) return true;
    if (c.step == Collective::WAITING) {
        comm_step(c.comm);
        /* Collectives of one communicator take place in the order of their calls, on whatever streams. */
        if (c.comm->step != ncclComm::MADE || c.comm->completed + 1 != static_cast<uint64_t>(c.header.sequence)) return false;
        begin(c);
    }
    if (c.step == Collective::COMPARING && finished(&c.request)) {
        if (headers_agree(c))
            exchange(c);
        else
            stick(c, ncclInvalidUsage);
    }
    if (c.step == Collective::EXCHANGING && finished(&c.request)) {
        if (c.header.kind == BROADCAST) c.all = c.mine;
        c.step = Collective::DONE;
    }
    return c.step == Collective::DONE;
}

} // namespace standin
