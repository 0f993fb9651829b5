/* What the runtime refuses, and what it is made to refuse by CUSIM_FAIL, CUSIM_MEMORY and CUSIM_DEVICES. failures NAME. */
#include "host.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

static int failed;

static void expect(bool right, const char *what) {
    if (right) return;
    std::printf("WRONG: %s\n", what);
    failed = 1;
}

/* with CUSIM_FAIL=cudaMalloc:3,cudaStreamSynchronize:2:700 */
static void injected() {
    void *p[4] = {};
    for (int i = 0; i < 4; i++) {
        const cudaError_t wanted = i == 2 ? cudaErrorMemoryAllocation : cudaSuccess;
        expect(cudaMalloc(&p[i], 100) == wanted, "the third cudaMalloc");
        expect(cudaGetLastError() == wanted, "cudaGetLastError");
    }
    for (void *q : p) cudaFree(q);
    expect(cudaStreamSynchronize(nullptr) == cudaSuccess, "the first cudaStreamSynchronize");
    expect(cudaStreamSynchronize(nullptr) == cudaErrorIllegalAddress, "the second cudaStreamSynchronize");
    expect(cudaGetLastError() == cudaErrorIllegalAddress && cudaGetLastError() == cudaErrorIllegalAddress, "an error that stays");
    expect(cudaDeviceSynchronize() == cudaErrorIllegalAddress, "a device that does nothing any more");
}

/* with CUSIM_MEMORY=1000000 */
static void memory() {
    void *p, *q;
    size_t free_bytes, total;
    expect(cudaMalloc(&p, 600000) == cudaSuccess, "the first allocation");
    expect(cudaMalloc(&q, 600000) == cudaErrorMemoryAllocation && q == nullptr, "one too many");
    expect(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess, "an error that is read once");
    expect(cudaMemGetInfo(&free_bytes, &total) == cudaSuccess && total == 1000000 && free_bytes == 400000, "cudaMemGetInfo");
    expect(cudaFree(p) == cudaSuccess, "cudaFree");
    expect(cudaMalloc(&q, 600000) == cudaSuccess, "after it was freed");
    cudaFree(q);
}

/* with CUSIM_DEVICES=0 */
static void no_device() {
    int count = -1;
    void *p;
    expect(cudaGetDeviceCount(&count) == cudaErrorNoDevice, "cudaGetDeviceCount");
    expect(cudaMalloc(&p, 1) == cudaErrorNoDevice, "cudaMalloc");
}

static void device() {
    int count = 0, value = 0, device = -1;
    cudaDeviceProp prop;
    char bus[16];
    expect(cudaGetDeviceCount(&count) == cudaSuccess && count == 8, "cudaGetDeviceCount");
    expect(cudaSetDevice(8) == cudaErrorInvalidDevice && cudaGetLastError() == cudaErrorInvalidDevice, "no ninth device");
    expect(cudaSetDevice(7) == cudaSuccess && cudaGetDevice(&device) == cudaSuccess && device == 7, "cudaSetDevice");
    expect(cudaGetDeviceProperties(&prop, 7) == cudaSuccess && prop.warpSize == 32 && prop.major == 9, "cudaGetDeviceProperties");
    expect(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess && value == 227 << 10, "attribute");
    expect(cudaDeviceGetPCIBusId(bus, sizeof bus, 1) == cudaSuccess && std::strcmp(bus, "0000:02:00.0") == 0, "cudaDeviceGetPCIBusId");
    expect(std::strcmp(cudaGetErrorName(cudaErrorNotReady), "cudaErrorNotReady") == 0, "cudaGetErrorName");
}

/* Misuse that is reported besides being refused; the process ends with status 86 if it is not forgotten. */
static void misuse(bool forget) {
    char host[8];
    void *p;
    cudaMalloc(&p, 4);
    expect(cudaMemcpy(p, host, 8, cudaMemcpyHostToDevice) == cudaErrorInvalidValue, "a copy past the end");
    expect(cudaMemcpy(host, host, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue, "a copy of the wrong kind");
    expect(cudaMemsetAsync(host, 0, 8, nullptr) == cudaErrorInvalidValue, "the host's memory");
    expect(cudaFree(host) == cudaErrorInvalidValue, "cudaFree of the host's memory");
    expect(cudaFree(p) == cudaSuccess && cudaFree(p) == cudaErrorInvalidValue, "freed twice");
    expect(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(host)) == cudaErrorInvalidResourceHandle, "no stream");
    expect(cusim_errors() == 6, "cusim_errors");
    if (forget) cusim_forget_errors();
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *name = argv[1];
    if (std::strcmp(name, "injected") == 0) injected();
    if (std::strcmp(name, "memory") == 0) memory();
    if (std::strcmp(name, "no_device") == 0) no_device();
    if (std::strcmp(name, "device") == 0) device();
    if (std::strcmp(name, "misuse") == 0) misuse(true);
    if (std::strcmp(name, "misuse_kept") == 0) misuse(false);
    std::printf(failed ? "failed\n" : "right\n");
    return failed;
}
