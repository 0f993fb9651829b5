/* Launching a kernel: checks what the device would refuse, then leaves the blocks to the stream. */
#include "block.h"
#include "host.h"
#include "memory.h"
#include "runtime.h"
#include "traffic.h"

#include <cstdlib>
#include <map>
#include <memory>

namespace cusim {

enum { SHARED_DEFAULT = 48 << 10, CANARY = 64 };

static unsigned long long threads;
static std::map<const void *, int> shared_limits; /* of kernels that asked for more than the default */

unsigned long long switch_count();

static unsigned long volume(dim3 d) {
    return static_cast<unsigned long>(d.x) * d.y * d.z;
}

static cudaError_t check_shape(dim3 grid, dim3 block, size_t shared, const void *kernel) {
    if (volume(grid) == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
    if (volume(block) == 0 || volume(block) > 1024 || block.z > 64) return cudaErrorInvalidConfiguration;
    auto it = shared_limits.find(kernel);
    if (shared > static_cast<size_t>(it != shared_limits.end() ? it->second : static_cast<int>(SHARED_DEFAULT)))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

/* Writing past dynamic shared memory: the sanitizer sees it at once, other builds when the block has ended. */
static unsigned char *dynamic_alloc(size_t bytes) {
    if (bytes == 0) return nullptr;
#if defined(__SANITIZE_ADDRESS__)
    return static_cast<unsigned char *>(std::malloc(bytes));
#else
    unsigned char *p = static_cast<unsigned char *>(std::malloc(bytes + CANARY));
    memset(p + bytes, 0xA5, CANARY);
    return p;
#endif
}

static void dynamic_check() {
#if !defined(__SANITIZE_ADDRESS__)
    Block &b = the_block;
    if (b.dynamic == nullptr) return;
    unsigned char *end = b.dynamic + b.dynamic_bytes;
    for (int i = 0; i < CANARY; i++) {
        if (end[i] == 0xA5) continue;
        fault("wrote past its %zu bytes of dynamic shared memory (at byte %zu)", b.dynamic_bytes, b.dynamic_bytes + static_cast<size_t>(i));
        memset(end, 0xA5, CANARY);
        return;
    }
#endif
}

static void run_now(const char *name, dim3 grid, dim3 block, size_t shared, const Call &call) {
    Block &b = the_block;
    b.kernel = name;
    b.call = &call;
    b.launch++;
    block_shape = block;
    grid_shape = grid;
    b.threads = static_cast<unsigned>(volume(block));
    if (b.order.size() != b.threads) {
        b.order.resize(b.threads);
        for (unsigned i = 0; i < b.threads; i++) b.order[i] = i;
    }
    b.warps.resize((b.threads + 31) / 32);
    b.dynamic_bytes = shared;
    b.dynamic = dynamic_alloc(shared);

    const unsigned long blocks = volume(grid);
    threads += blocks * b.threads;
    std::vector<unsigned> order;
    traffic_begin();
    if (shuffled) {
        order.resize(blocks);
        for (unsigned i = 0; i < blocks; i++) order[i] = i;
        shuffle_order(order);
    }
    for (unsigned long i = 0; i < blocks; i++) {
        block_run(shuffled ? order[i] : i);
        dynamic_check();
    }
    traffic_end(grid, block, shared);
    std::free(b.dynamic);
    b.dynamic = nullptr;
    b.dynamic_bytes = 0;
    b.kernel = nullptr;
    b.call = nullptr;
    self = nullptr;
}

void run(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, const Call &call) {
    Guard guard;
    std::shared_ptr<void> arguments(call.arguments, call.destroy);
    int code;
    if (injected("cudaLaunchKernel", cudaErrorLaunchOutOfResources, &code)) {
        set_error(static_cast<cudaError_t>(code));
        return;
    }
    if (pending_failure() != cudaSuccess) return;
    const cudaError_t error = check_shape(grid, block, shared, call.kernel);
    if (error != cudaSuccess) {
        fault("kernel %s cannot be launched: grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of dynamic shared memory", name, grid.x, grid.y,
              grid.z, block.x, block.y, block.z, shared);
        set_error(error);
        return;
    }
    submit(stream, [=] {
        run_now(name, grid, block, shared, call);
        (void)arguments;
    });
}

} // namespace cusim

using namespace cusim;

void cusim_counts(unsigned long long *thread_count, unsigned long long *switched) {
    *thread_count = threads;
    *switched = switch_count();
}

cudaError_t cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attr, int value) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    if (func == nullptr) return set_error(cudaErrorInvalidDeviceFunction);
    if (attr == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 || value > SHARED_MOST) return set_error(cudaErrorInvalidValue);
        shared_limits[func] = value;
    }
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attr, const void *func) {
    CUSIM_ENTER(cudaErrorInvalidDeviceFunction);
    if (func == nullptr) return set_error(cudaErrorInvalidDeviceFunction);
    *attr = cudaFuncAttributes();
    auto it = shared_limits.find(func);
    attr->maxDynamicSharedSizeBytes = it != shared_limits.end() ? it->second : static_cast<int>(SHARED_DEFAULT);
    attr->maxThreadsPerBlock = 1024;
    attr->numRegs = 32;
    attr->binaryVersion = attr->ptxVersion = 90;
    return cudaSuccess;
}
