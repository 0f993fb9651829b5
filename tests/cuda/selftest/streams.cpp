/*
 * Streams, events and copies in host code: the right programs, and two usual mistakes. streams NAME [good]. The mistakes show as wrong
 * numbers, and only where streams do not work at once (CUSIM_LAZY).
 */
#include "host.h"

#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

static int failed;

static void expect(bool right, const char *what) {
    if (right) return;
    std::printf("WRONG: %s\n", what);
    failed = 1;
}

enum { N = 1000 };

static float *device_floats() {
    void *p = nullptr;
    expect(cudaMalloc(&p, N * sizeof(float)) == cudaSuccess, "cudaMalloc");
    return static_cast<float *>(p);
}

/* Stands for a kernel. */
static void fill(float *to, float value, cudaStream_t stream) {
    cusim::submit(stream, [=] {
        for (int i = 0; i < N; i++) to[i] = value;
    });
}
static void copy_plus_one(float *to, const float *from, cudaStream_t stream) {
    cusim::submit(stream, [=] {
        for (int i = 0; i < N; i++) to[i] = from[i] + 1;
    });
}

/* One stream makes gradients, another takes them: without the event nothing puts them in order. */
static void missing_wait(bool good) {
    cudaStream_t compute, other;
    cudaEvent_t ready;
    cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&ready, cudaEventDisableTiming);
    float *gradient = device_floats(), *result = device_floats();
    fill(gradient, 41, compute);
    cudaEventRecord(ready, compute);
    if (good) cudaStreamWaitEvent(other, ready, 0);
    copy_plus_one(result, gradient, other);
    std::vector<float> host(N);
    cudaMemcpyAsync(host.data(), result, N * sizeof(float), cudaMemcpyDeviceToHost, other);
    cudaStreamSynchronize(other);
    expect(host[0] == 42 && host[N - 1] == 42, "gradient of another stream");
    cudaStreamDestroy(compute);
    cudaStreamDestroy(other);
    cudaEventDestroy(ready);
    cudaFree(gradient);
    cudaFree(result);
}

/* The next batch is put in the pinned buffer while the last one may still be on its way. */
static void pinned_reuse(bool good) {
    cudaStream_t stream;
    cudaEvent_t copied;
    cudaStreamCreate(&stream);
    cudaEventCreate(&copied);
    float *batch[2] = {device_floats(), device_floats()}, *staging = nullptr;
    cudaMallocHost(reinterpret_cast<void **>(&staging), N * sizeof(float));
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < N; i++) staging[i] = static_cast<float>(b + 1);
        cudaMemcpyAsync(batch[b], staging, N * sizeof(float), cudaMemcpyHostToDevice, stream);
        cudaEventRecord(copied, stream);
        if (good) cudaEventSynchronize(copied);
    }
    std::vector<float> first(N);
    cudaStreamSynchronize(stream);
    cudaMemcpy(first.data(), batch[0], N * sizeof(float), cudaMemcpyDeviceToHost);
    expect(first[0] == 1 && first[N - 1] == 1, "batch of a pinned buffer");
    cudaFreeHost(staging);
    cudaStreamDestroy(stream);
    cudaEventDestroy(copied);
    cudaFree(batch[0]);
    cudaFree(batch[1]);
}

/* Ordinary memory may be used again at once. */
static void pageable_reuse() {
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    float *device = device_floats();
    std::vector<float> host(N, 1.0f);
    cudaMemcpyAsync(device, host.data(), N * sizeof(float), cudaMemcpyHostToDevice, stream);
    for (float &x : host) x = 2;
    cudaMemcpyAsync(host.data(), device, N * sizeof(float), cudaMemcpyDeviceToHost, stream);
    expect(host[0] == 1, "copies of ordinary memory");
    cudaStreamDestroy(stream);
    cudaFree(device);
}

/* A loop that asks whether the work is done comes to an end. */
static void polling() {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    cudaStreamCreate(&stream);
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    float *a = device_floats(), *b = device_floats();
    expect(cudaEventQuery(end) == cudaSuccess, "an event never recorded");
    cudaEventRecord(begin, stream);
    for (int i = 0; i < 20; i++) fill(i % 2 ? a : b, 1, stream);
    cudaEventRecord(end, stream);
    int asked = 0;
    while (cudaEventQuery(end) == cudaErrorNotReady && asked < 100000) asked++;
    expect(cudaEventQuery(end) == cudaSuccess, "cudaEventQuery");
    while (cudaStreamQuery(stream) == cudaErrorNotReady && asked < 100000) asked++;
    expect(cudaStreamQuery(stream) == cudaSuccess, "cudaStreamQuery");
    expect(cusim::setting("CUSIM_LAZY", 0) == 0 || asked > 0, "work that is not done at once");
    float ms = -1;
    expect(cudaEventElapsedTime(&ms, begin, end) == cudaSuccess && ms >= 0, "cudaEventElapsedTime");
    expect(cudaGetLastError() == cudaSuccess, "cudaErrorNotReady is no error");
    cudaStreamDestroy(stream);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    cudaFree(a);
    cudaFree(b);
}

/* The default stream waits for ordinary streams and they for it; not so those that are made not to. */
static void default_stream() {
    cudaStream_t ordinary;
    cudaStreamCreate(&ordinary);
    float *a = device_floats(), *b = device_floats(), *c = device_floats();
    fill(a, 1, ordinary);
    copy_plus_one(b, a, nullptr);
    copy_plus_one(c, b, ordinary);
    cudaStreamSynchronize(ordinary);
    float last = 0;
    cudaMemcpy(&last, c + N - 1, sizeof last, cudaMemcpyDeviceToHost);
    expect(last == 3, "default stream");
    cudaStreamDestroy(ordinary);
    for (float *p : {a, b, c}) cudaFree(p);
}

/* An event recorded twice: who waits, waits for what was recorded when he began to. */
static void recorded_twice() {
    cudaStream_t x, y;
    cudaEvent_t event;
    cudaStreamCreateWithFlags(&x, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&y, cudaStreamNonBlocking);
    cudaEventCreate(&event);
    float *a = device_floats(), *b = device_floats();
    fill(a, 1, x);
    cudaEventRecord(event, x);
    cudaStreamWaitEvent(y, event, 0);
    copy_plus_one(b, a, y);
    cudaEventRecord(event, y);
    cudaStreamWaitEvent(x, event, 0);
    fill(a, 10, x);
    cudaEventRecord(event, x);
    cudaEventSynchronize(event);
    float first = 0;
    cudaMemcpy(&first, b, sizeof first, cudaMemcpyDeviceToHost);
    expect(first == 2, "an event recorded again");
    cudaStreamDestroy(x);
    cudaStreamDestroy(y);
    cudaEventDestroy(event);
    cudaFree(a);
    cudaFree(b);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "right";
    const bool good = argc > 2 || std::strcmp(name, "right") == 0;
    const bool all = std::strcmp(name, "right") == 0;
    if (all || std::strcmp(name, "missing_wait") == 0) missing_wait(good);
    if (all || std::strcmp(name, "pinned_reuse") == 0) pinned_reuse(good);
    if (all) {
        pageable_reuse();
        polling();
        default_stream();
        recorded_twice();
    }
    if (cudaGetLastError() != cudaSuccess) failed = 1;
    std::printf(failed ? "failed\n" : "right\n");
    return failed;
}
