/*
 * The CUDA runtime: memory and copies. What is asynchronous in CUDA goes through the stream's queue; a copy from ordinary host memory takes
 * the bytes at the call and one to it returns when all is done, while a copy of pinned memory touches it when its turn comes, not earlier.
 */
#include "memory.h"
#include "queue.h"
#include "runtime.h"

#include <cstring>
#include <vector>

using namespace cusim;

cudaError_t cudaMalloc(void **devPtr, size_t size) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    *devPtr = nullptr;
    if (size == 0) return cudaSuccess;
    *devPtr = device_alloc(size);
    return *devPtr != nullptr ? cudaSuccess : set_error(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *devPtr) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    if (devPtr == nullptr) return cudaSuccess;
    wait_for(all_streams_idle, nullptr); /* as the real one does */
    if (device_free(devPtr)) return cudaSuccess;
    fault("cudaFree of %p, which is no allocation of the device, or was freed already", devPtr);
    return set_error(cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void **ptr, size_t size) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    *ptr = pinned_alloc(size);
    return *ptr != nullptr ? cudaSuccess : set_error(cudaErrorMemoryAllocation);
}

cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    *pHost = pinned_alloc(size);
    return *pHost != nullptr ? cudaSuccess : set_error(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *ptr) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    if (ptr == nullptr) return cudaSuccess;
    wait_for(all_streams_idle, nullptr);
    if (pinned_free(ptr)) return cudaSuccess;
    fault("cudaFreeHost of %p, which is no pinned memory, or was freed already", ptr);
    return set_error(cudaErrorInvalidValue);
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    CUSIM_ENTER(cudaErrorUnknown);
    *total = device_limit();
    *free = device_limit() - device_used();
    return cudaSuccess;
}

/* Which of the two ends are the device's; refuses what does not fit the memory it names. */
static cudaError_t check_copy(const char *function, const void *dst, const void *src, size_t count, cudaMemcpyKind kind, bool *to_device,
                              bool *from_device) {
    const bool dst_fits = on_device(dst, count), src_fits = on_device(src, count);
    *to_device = kind == cudaMemcpyDefault ? dst_fits : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    *from_device = kind == cudaMemcpyDefault ? src_fits : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (count == 0) return cudaSuccess;
    if (*to_device != dst_fits) {
        fault("%s: %zu bytes to %p %s memory of the device, but the kind of copy says otherwise", function, count, dst,
              dst_fits ? "are" : "are not");
        return cudaErrorInvalidValue;
    }
    if (*from_device != src_fits) {
        fault("%s: %zu bytes from %p %s memory of the device, but the kind of copy says otherwise", function, count, src,
              src_fits ? "are" : "are not");
        return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

static cudaError_t copy(const char *function, void *dst, const void *src, size_t count, cudaMemcpyKind kind, Stream *stream, bool wait) {
    bool to_device, from_device;
    const cudaError_t error = check_copy(function, dst, src, count, kind, &to_device, &from_device);
    if (error != cudaSuccess) return set_error(error);
    if (count == 0) return cudaSuccess;
    const cudaStream_t handle = reinterpret_cast<cudaStream_t>(stream);
    std::shared_ptr<bool> done = std::make_shared<bool>(false);
    if (!from_device && !is_pinned(src, count)) {
        const char *bytes = static_cast<const char *>(src);
        std::shared_ptr<std::vector<char>> staged = std::make_shared<std::vector<char>>(bytes, bytes + count);
        submit(handle, [=] {
            std::memcpy(dst, staged->data(), count);
            *done = true;
        });
    } else {
        submit(handle, [=] {
            std::memmove(dst, src, count);
            *done = true;
        });
        if (!to_device && !is_pinned(dst, count)) wait = true;
    }
    if (wait) wait_for([=] { return *done; }, find_stream(handle));
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    return copy(__func__, dst, src, count, kind, nullptr, true);
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind, cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    if (find_stream(stream) == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    return copy(__func__, dst, src, count, kind, stream == nullptr ? nullptr : find_stream(stream), false);
}

static cudaError_t set(const char *function, void *devPtr, int value, size_t count, cudaStream_t stream) {
    if (find_stream(stream) == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    if (count == 0) return cudaSuccess;
    if (!on_device(devPtr, count)) {
        fault("%s: %zu bytes at %p are not (all) device memory", function, count, devPtr);
        return set_error(cudaErrorInvalidValue);
    }
    submit(stream, [=] { std::memset(devPtr, value, count); });
    return cudaSuccess;
}

cudaError_t cudaMemset(void *devPtr, int value, size_t count) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    return set(__func__, devPtr, value, count, nullptr);
}

cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorInvalidValue);
    return set(__func__, devPtr, value, count, stream);
}
