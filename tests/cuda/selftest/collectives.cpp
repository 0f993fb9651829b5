/*
 * The NCCL stand-in: collectives NAME, alone or under mpirun. "right" computes; the others make a mistake that must be found, or meet a
 * failure made on purpose, and watch it as the product does: by asking the stream, the communicator and the clock.
 */
#include "host.h"

#include <mpi.h>
#include <nccl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

static int failed, rank, ranks = 1;

static void expect(bool right, const char *what) {
    if (right) return;
    std::printf("WRONG: rank %d: %s\n", rank, what);
    failed = 1;
}

static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

static ncclComm_t make_comm(bool blocking, bool same_id = true) {
    ncclUniqueId id;
    ncclGetUniqueId(&id);
    if (ranks > 1 && same_id) MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
    ncclComm_t comm = nullptr;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking;
    ncclResult_t state = blocking ? ncclCommInitRank(&comm, ranks, id, rank) : ncclCommInitRankConfig(&comm, ranks, id, rank, &config);
    while (state == ncclInProgress) ncclCommGetAsyncError(comm, &state);
    expect(!same_id || state == ncclSuccess, "communicator");
    return state == ncclSuccess ? comm : nullptr;
}

/* cudaSuccess, or cudaErrorNotReady with the communicator's error (ncclSuccess: time ran out). */
static cudaError_t wait(cudaStream_t stream, ncclComm_t comm, double seconds, ncclResult_t *error) {
    const double end = now() + seconds;
    cudaError_t status;
    *error = ncclSuccess;
    while ((status = cudaStreamQuery(stream)) == cudaErrorNotReady && now() < end) {
        ncclCommGetAsyncError(comm, error);
        if (*error != ncclSuccess) break;
    }
    return status;
}

template <class T> struct Buffer {
    explicit Buffer(const std::vector<T> &values) : count(values.size()) {
        void *p = nullptr;
        if (cudaMalloc(&p, count * sizeof(T)) != cudaSuccess) std::exit(2);
        data = static_cast<T *>(p);
        cudaMemcpy(data, values.data(), count * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~Buffer() {
        cudaFree(data);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    std::vector<T> host() const {
        std::vector<T> values(count);
        cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost);
        return values;
    }
    T *data;
    size_t count;
};

template <class T> static void test_reduce(ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
    std::vector<T> values(1000), sums(1000), most(1000), least(1000);
    auto of_rank = [](int r, size_t i) { return static_cast<T>(static_cast<size_t>(r * 3) + i % 7); };
    for (size_t i = 0; i < values.size(); i++) {
        values[i] = of_rank(rank, i);
        for (int r = 0; r < ranks; r++) sums[i] = static_cast<T>(sums[i] + of_rank(r, i));
        most[i] = of_rank(ranks - 1, i);
        least[i] = of_rank(0, i);
    }
    Buffer<T> in(values), out(values), in_place(values), lowest(values), at_root(values);
    expect(ncclAllReduce(in.data, out.data, 1000, type, ncclMax, comm, stream) == ncclSuccess, "AllReduce");
    expect(ncclAllReduce(in_place.data, in_place.data, 1000, type, ncclSum, comm, stream) == ncclSuccess, "AllReduce in place");
    expect(ncclAllReduce(in.data, lowest.data, 1000, type, ncclMin, comm, stream) == ncclSuccess, "AllReduce");
    expect(ncclReduce(in.data, at_root.data, 1000, type, ncclSum, ranks - 1, comm, stream) == ncclSuccess, "Reduce");
    cudaStreamSynchronize(stream);
    expect(out.host() == most, "max");
    expect(in_place.host() == sums, "sum");
    expect(lowest.host() == least, "min");
    expect(at_root.host() == (rank == ranks - 1 ? sums : values), "sum at the root");
}

static void test_right() {
    ncclComm_t one = make_comm(true), two = make_comm(false);
    cudaStream_t stream, other;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    int count, me;
    expect(ncclCommCount(one, &count) == ncclSuccess && count == ranks && ncclCommUserRank(two, &me) == ncclSuccess && me == rank, "ranks");
    test_reduce<float>(ncclFloat32, one, stream);
    test_reduce<double>(ncclFloat64, two, stream);
    test_reduce<int64_t>(ncclInt64, one, other);
    test_reduce<uint8_t>(ncclUint8, two, other);

    Buffer<float> mean(std::vector<float>(5, static_cast<float>(rank))), seed(std::vector<float>(5, static_cast<float>(10 + rank)));
    ncclGroupStart();
    ncclAllReduce(mean.data, mean.data, 5, ncclFloat32, ncclAvg, one, stream);
    ncclBroadcast(seed.data, seed.data, 5, ncclFloat32, ranks - 1, one, stream);
    expect(seed.host()[0] == static_cast<float>(10 + rank), "nothing happens before the group ends");
    expect(ncclGroupEnd() == ncclSuccess, "GroupEnd");
    ncclResult_t error;
    expect(wait(stream, one, 30, &error) == cudaSuccess && error == ncclSuccess, "polling");
    expect(mean.host()[4] == static_cast<float>(ranks - 1) / 2, "average");
    expect(seed.host()[0] == static_cast<float>(9 + ranks), "broadcast");

    /* The same bits on all ranks where the order of sums matters, and every time. */
    std::vector<float> rough(777);
    for (size_t i = 0; i < rough.size(); i++) rough[i] = 1.0f / static_cast<float>(i * 3 + static_cast<size_t>(rank) * 5 + 1);
    Buffer<float> sum(rough), again(rough);
    ncclAllReduce(sum.data, sum.data, rough.size(), ncclFloat32, ncclSum, one, stream);
    ncclAllReduce(again.data, again.data, rough.size(), ncclFloat32, ncclSum, two, other);
    cudaDeviceSynchronize();
    std::vector<float> mine = sum.host(), first = mine;
    if (ranks > 1) MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_FLOAT, 0, MPI_COMM_WORLD);
    expect(mine == first && again.host() == mine, "the same bits");

    expect(ncclCommFinalize(one) == ncclSuccess && ncclCommDestroy(one) == ncclSuccess && ncclCommDestroy(two) == ncclSuccess, "destroy");
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
}

/* Ranks that do not call the same: the stream never gets done, the communicator says why. */
static void test_mismatch(const char *name) {
    ncclComm_t comm = make_comm(true);
    Buffer<double> buffer(std::vector<double>(6));
    const bool odd = rank == 1;
    if (std::strcmp(name, "order") == 0 && odd)
        ncclBroadcast(buffer.data, buffer.data, 5, ncclFloat32, 0, comm, nullptr);
    else
        ncclAllReduce(buffer.data, buffer.data, odd && std::strcmp(name, "count") == 0 ? 6 : 5,
                      odd && std::strcmp(name, "type") == 0 ? ncclFloat64 : ncclFloat32, ncclSum, comm, nullptr);
    ncclResult_t error;
    expect(wait(nullptr, comm, 30, &error) == cudaErrorNotReady && error == ncclInvalidUsage, "the mismatch is the communicator's error");
    expect(cusim_errors() == 1, "and a fault");
    ncclCommAbort(comm);
    expect(cudaStreamSynchronize(nullptr) == cudaSuccess, "after the abort the stream gets done");
}

/* with CUSIM_NCCL_STALL=2 or CUSIM_NCCL_ERROR=2 */
static void test_injected(bool error_wanted) {
    ncclComm_t comm = make_comm(true);
    Buffer<float> buffer(std::vector<float>(4, 1.0f));
    ncclResult_t error;
    ncclAllReduce(buffer.data, buffer.data, 4, ncclFloat32, ncclSum, comm, nullptr);
    expect(wait(nullptr, comm, 30, &error) == cudaSuccess, "the first collective");
    ncclAllReduce(buffer.data, buffer.data, 4, ncclFloat32, ncclSum, comm, nullptr);
    expect(wait(nullptr, comm, error_wanted ? 30 : 0.3, &error) == cudaErrorNotReady, "the second collective");
    expect(error == (error_wanted ? ncclRemoteError : ncclSuccess), "its error");
    ncclCommAbort(comm);
    expect(cudaStreamSynchronize(nullptr) == cudaSuccess, "after the abort the stream gets done");
    expect(buffer.host()[0] == static_cast<float>(ranks), "an aborted collective leaves its buffer");
}

/* One rank never calls: the other's time limit works, because nothing in the stand-in blocks. */
static void test_missing_rank() {
    ncclComm_t comm = make_comm(true);
    Buffer<float> buffer(std::vector<float>(4, 1.0f));
    ncclResult_t error;
    if (rank == 0) {
        ncclAllReduce(buffer.data, buffer.data, 4, ncclFloat32, ncclSum, comm, nullptr);
        expect(wait(nullptr, comm, 0.5, &error) == cudaErrorNotReady && error == ncclSuccess, "a rank that waits for another");
        ncclCommAbort(comm);
        cudaStreamSynchronize(nullptr);
        std::printf("time ran out\n");
        std::fflush(stdout);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank != 0) ncclCommAbort(comm);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "right";
    if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) { /* alone it must work without MPI */
        MPI_Init(&argc, &argv);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    }
    if (std::strcmp(name, "right") == 0)
        test_right();
    else if (std::strcmp(name, "ids") == 0)
        expect(make_comm(true, false) == nullptr, "different ids make no communicator");
    else if (std::strcmp(name, "stall") == 0 || std::strcmp(name, "error") == 0)
        test_injected(std::strcmp(name, "error") == 0);
    else if (std::strcmp(name, "missing_rank") == 0)
        test_missing_rank();
    else
        test_mismatch(name);
    int initialised;
    MPI_Initialized(&initialised);
    if (initialised) {
        std::fflush(stdout);
        MPI_Finalize();
    }
    if (failed) std::printf("failed\n");
    return failed;
}
