/* Which GPUs there are, and taking one. */
#include <stdio.h>

#include "backend/cuda/cuda.h"
#include "base/error.h"

/* What the kernels are compiled for begins here. */
enum { LEAST_MAJOR = 7, LEAST_MINOR = 5 };

int backend_cuda_devices(entrain_error *why) {
    int count = 0;
    const cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess && count > 0) return count;
    (void)cudaGetLastError();
    const bool none =
        code == cudaSuccess || code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver || code == cudaErrorStubLibrary;
    error_set(why, ENTRAIN_DEVICE, "no usable GPU: %s%s", code == cudaSuccess ? "the driver knows of no device" : cudaGetErrorString(code),
              none ? ". `nvidia-smi` should list one; CUDA_VISIBLE_DEVICES can hide it; in a container the driver must be let in." : "");
    return 0;
}

/* FNV-1a over the device's UUID. */
static uint64_t key_of(const struct cudaDeviceProp *p) {
    uint64_t key = 14695981039346656037u;
    for (size_t i = 0; i < sizeof p->uuid.bytes; i++) key = (key ^ (unsigned char)p->uuid.bytes[i]) * 1099511628211u;
    return key;
}

entrain_status cuda_device_take(int device, cuda_state *s, entrain_error *err) {
    struct cudaDeviceProp p;
    char place[32] = "";
    cudaError_t code = cudaSetDevice(device);
    if (code == cudaSuccess) code = cudaGetDeviceProperties(&p, device);
    if (code == cudaSuccess) code = cudaDeviceGetPCIBusId(place, sizeof place, device);
    if (code != cudaSuccess) return error_set(err, ENTRAIN_DEVICE, "GPU %d cannot be used: %s", device, cudaGetErrorString(code));
    (void)snprintf(s->name, sizeof s->name, "GPU %d, %s (sm_%d%d, %.0f GiB, %s)", device, p.name, p.major, p.minor,
                   (double)p.totalGlobalMem / 1073741824.0, place);
    s->device = device;
    s->major = p.major;
    s->key = key_of(&p);
    if (p.major > LEAST_MAJOR || (p.major == LEAST_MAJOR && p.minor >= LEAST_MINOR)) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DEVICE, "%s: too old: this build is for sm_%d%d and newer. Use --device cpu.", s->name, LEAST_MAJOR,
                     LEAST_MINOR);
}
