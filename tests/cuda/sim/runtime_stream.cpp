/* The CUDA runtime: streams and events. */
#include "queue.h"
#include "runtime.h"

using namespace cusim;

static cudaError_t create(cudaStream_t *handle, unsigned flags, int priority) {
    if (flags != cudaStreamDefault && flags != cudaStreamNonBlocking) return set_error(cudaErrorInvalidValue);
    *handle = reinterpret_cast<cudaStream_t>(stream_create(flags == cudaStreamDefault, priority));
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *pStream) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    return create(pStream, cudaStreamDefault, 0);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    return create(pStream, flags, 0);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *pStream, unsigned int flags, int priority) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    return create(pStream, flags, priority);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *leastPriority, int *greatestPriority) {
    CUSIM_ENTER(cudaErrorUnknown);
    if (leastPriority != nullptr) *leastPriority = 0;
    if (greatestPriority != nullptr) *greatestPriority = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorInvalidResourceHandle);
    Stream *s = stream != nullptr ? find_stream(stream) : nullptr;
    if (s == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    /* The real one returns at once and frees the stream when its work is done. */
    wait_for([=] { return s->queue.empty(); }, s);
    stream_destroy(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorLaunchFailure);
    Stream *s = find_stream(stream);
    if (s == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    wait_for([=] { return s->queue.empty(); }, s);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorLaunchFailure);
    Stream *s = find_stream(stream);
    if (s == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    if (!s->queue.empty()) progress(s);
    return s->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
    CUSIM_ENTER(cudaErrorInvalidResourceHandle);
    Stream *s = find_stream(stream);
    std::shared_ptr<Event> e = find_event(event);
    if (s == nullptr || e == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    stream_wait_event(s, e);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    *event = event_create((flags & cudaEventDisableTiming) == 0);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    CUSIM_ENTER(cudaErrorMemoryAllocation);
    *event = event_create(true);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    CUSIM_ENTER(cudaErrorInvalidResourceHandle);
    if (find_event(event) == nullptr || !event_destroy(event)) return set_error(cudaErrorInvalidResourceHandle);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    CUSIM_ENTER(cudaErrorInvalidResourceHandle);
    Stream *s = find_stream(stream);
    std::shared_ptr<Event> e = find_event(event);
    if (s == nullptr || e == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    event_record(e, s);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    CUSIM_ENTER(cudaErrorLaunchFailure);
    std::shared_ptr<Event> e = find_event(event);
    if (e == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    if (e->reached < e->recorded) progress(e->stream);
    return e->reached < e->recorded ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    CUSIM_ENTER(cudaErrorLaunchFailure);
    std::shared_ptr<Event> e = find_event(event);
    if (e == nullptr) return set_error(cudaErrorInvalidResourceHandle);
    const uint64_t value = e->recorded;
    wait_for([=] { return e->reached >= value; }, e->stream);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
    CUSIM_ENTER(cudaErrorInvalidResourceHandle);
    std::shared_ptr<Event> a = find_event(start), b = find_event(end);
    if (a == nullptr || b == nullptr || !a->timing || !b->timing || a->recorded == 0 || b->recorded == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    if (a->reached < a->recorded || b->reached < b->recorded) return set_error(cudaErrorNotReady);
    *ms = static_cast<float>((b->seconds - a->seconds) * 1e3);
    return cudaSuccess;
}
