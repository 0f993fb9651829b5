/* The CUDA runtime: devices, their properties, errors. CUSIM_DEVICES, CUSIM_CAPABILITY and CUSIM_SMS say what there is. */
#include "memory.h"
#include "queue.h"
#include "runtime.h"

#include <cstdio>
#include <cstring>

namespace cusim {

static cudaError_t last_error, failure;
static int current_device;

static int devices() {
    return static_cast<int>(setting("CUSIM_DEVICES", 8));
}
static int capability() {
    return static_cast<int>(setting("CUSIM_CAPABILITY", 90));
}
static int multiprocessors() {
    return static_cast<int>(setting("CUSIM_SMS", 4));
}

cudaError_t device_error() {
    return devices() > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t pending_failure() {
    return failure;
}

cudaError_t set_error(cudaError_t error) {
    last_error = error;
    switch (error) { /* those that the real runtime does not recover from */
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorMisalignedAddress:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorECCUncorrectable:
        failure = error;
        break;
    default:
        break;
    }
    return error;
}

} // namespace cusim

using namespace cusim;

cudaError_t cudaGetLastError(void) {
    Guard guard;
    if (failure != cudaSuccess) return failure;
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void) {
    Guard guard;
    return failure != cudaSuccess ? failure : last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const char *cudaGetErrorString(cudaError_t error) {
    for (const auto &entry : error_texts)
        if (entry.error == error) return entry.text;
    return "an error that the simulator has no text for";
}

const char *cudaGetErrorName(cudaError_t error) {
    for (const auto &entry : error_texts)
        if (entry.error == error) return entry.name;
    return "unrecognized error code";
}

cudaError_t cudaGetDeviceCount(int *count) {
    CUSIM_ENTER(cudaErrorInsufficientDriver);
    *count = devices();
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    CUSIM_ENTER(cudaErrorInvalidDevice);
    if (device < 0 || device >= devices()) return set_error(cudaErrorInvalidDevice);
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    CUSIM_ENTER(cudaErrorInvalidDevice);
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    CUSIM_ENTER(cudaErrorInvalidDevice);
    if (device < 0 || device >= devices()) return set_error(cudaErrorInvalidDevice);
    std::memset(prop, 0, sizeof *prop);
    std::snprintf(prop->name, sizeof prop->name, "simulated device");
    std::memset(&prop->uuid, 0, sizeof prop->uuid);
    prop->uuid.bytes[0] = static_cast<char>(device + 1);
    prop->totalGlobalMem = device_limit();
    prop->sharedMemPerBlock = 48 << 10;
    prop->sharedMemPerBlockOptin = SHARED_MOST;
    prop->sharedMemPerMultiprocessor = 228 << 10;
    prop->regsPerBlock = prop->regsPerMultiprocessor = 65536;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = prop->maxThreadsDim[0] = prop->maxThreadsDim[1] = 1024;
    prop->maxThreadsDim[2] = 64;
    prop->maxGridSize[0] = 0x7fffffff;
    prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
    prop->major = capability() / 10;
    prop->minor = capability() % 10;
    prop->multiProcessorCount = multiprocessors();
    prop->maxThreadsPerMultiProcessor = 2048;
    prop->maxBlocksPerMultiProcessor = 32;
    prop->l2CacheSize = 50 << 20;
    prop->concurrentKernels = prop->unifiedAddressing = prop->streamPrioritiesSupported = 1;
    prop->asyncEngineCount = 2;
    prop->pciBusID = device + 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    cudaDeviceProp prop;
    const cudaError_t error = cudaGetDeviceProperties(&prop, device);
    CUSIM_ENTER(cudaErrorInvalidValue);
    if (error != cudaSuccess) return error;
    switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = prop.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = static_cast<int>(prop.sharedMemPerBlock);
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(prop.sharedMemPerBlockOptin);
        break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = static_cast<int>(prop.sharedMemPerMultiprocessor);
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = prop.multiProcessorCount;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = prop.maxThreadsPerMultiProcessor;
        break;
    case cudaDevAttrWarpSize:
        *value = prop.warpSize;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = prop.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = prop.minor;
        break;
    case cudaDevAttrL2CacheSize:
        *value = prop.l2CacheSize;
        break;
    case cudaDevAttrMaxRegistersPerBlock:
        *value = prop.regsPerBlock;
        break;
    case cudaDevAttrClockRate:
        *value = 1000000;
        break;
    case cudaDevAttrMemoryClockRate:
        *value = 1000000;
        break;
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = 512;
        break;
    case cudaDevAttrMaxGridDimX:
        *value = prop.maxGridSize[0];
        break;
    case cudaDevAttrMaxGridDimY:
        *value = prop.maxGridSize[1];
        break;
    default:
        return set_error(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *pciBusId, int len, int device) {
    CUSIM_ENTER(cudaErrorInvalidDevice);
    if (device < 0 || device >= devices()) return set_error(cudaErrorInvalidDevice);
    if (pciBusId == nullptr || len < 13) return set_error(cudaErrorInvalidValue);
    std::snprintf(pciBusId, static_cast<size_t>(len), "0000:%02x:00.0", static_cast<unsigned>(device + 1) & 0xffu);
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = devices() > 0 ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
    CUSIM_ENTER(cudaErrorLaunchFailure);
    wait_for(all_streams_idle, nullptr);
    return cudaSuccess;
}

cudaError_t cudaDeviceReset(void) {
    CUSIM_ENTER(cudaErrorUnknown);
    wait_for(all_streams_idle, nullptr);
    return cudaSuccess;
}
