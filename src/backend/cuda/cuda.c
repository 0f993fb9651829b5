/* The CUDA backend: its operation table, memory, streams and waiting. Nothing here but download, finish and stage_wait waits for a
 * result. */
#include "backend/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"

void cuda_fail(backend *be, const char *what, const char *why) {
    cuda_state *s = cuda_state_of(be);
    if (s->error.status == ENTRAIN_OK) (void)error_set(&s->error, ENTRAIN_DEVICE, "%s: %s failed: %s", s->name, what, why);
}

void cuda_check(backend *be, cudaError_t code, const char *what) {
    if (code != cudaSuccess) cuda_fail(be, what, cudaGetErrorString(code));
}

/* ---- waiting ---- */

/* Eager at first, then ever more patient, up to a millisecond between two looks. */
static void pause_for(double waited) {
    if (waited < 1e-4) return;
    const long nanoseconds = waited < 0.1 ? (long)(1e7 * waited) : 1000000L;
    const struct timespec t = {0, nanoseconds};
    (void)nanosleep(&t, NULL);
}

/* A device that waits for a rank that is gone would be waited for without end: so the host looks, and asks who knows about the ranks. */
void cuda_wait(backend *be, cudaEvent_t event) {
    cuda_state *s = cuda_state_of(be);
    const double since = log_seconds();
    while (s->error.status == ENTRAIN_OK) {
        const cudaError_t code = cudaEventQuery(event);
        if (code != cudaErrorNotReady) {
            cuda_check(be, code, "waiting for the device");
            return;
        }
        (void)cudaGetLastError(); /* "not ready" is remembered as if it were a failure */
        const double waited = log_seconds() - since;
        if (be->watch != NULL) (void)be->watch(be->watched, waited, &s->error);
        pause_for(waited);
    }
}

/*
 * The driver keeps about a thousand launches; the next one would wait inside a call, from which nobody could look after the other ranks.
 * So the host stops before that, long after the device has enough to do.
 */
void cuda_pace(backend *be) {
    cuda_state *s = cuda_state_of(be);
    if (++s->launches % CUDA_PACE != 0) return;
    cudaEvent_t const event = s->passed[s->launches / CUDA_PACE % 2];
    cuda_wait(be, event);
    cuda_check(be, cudaEventRecord(event, s->stream), "cudaEventRecord");
}

static void cuda_finish(backend *be) {
    cuda_state *s = cuda_state_of(be);
    cuda_check(be, cudaEventRecord(s->finished, s->copies), "cudaEventRecord");
    cuda_wait(be, s->finished);
    cuda_check(be, cudaEventRecord(s->finished, s->stream), "cudaEventRecord");
    cuda_wait(be, s->finished);
}

static entrain_status cuda_status(backend *be, entrain_error *err) {
    const entrain_error *e = &cuda_state_of(be)->error;
    return e->status == ENTRAIN_OK ? ENTRAIN_OK : error_set(err, e->status, "%s", e->text);
}

static bool cuda_supports(backend *be, dtype type) {
    return type == F32 || cuda_state_of(be)->major >= 8;
}

/* ---- memory ---- */

static double cuda_memory_mib(backend *be) {
    size_t free_bytes = 0, all_bytes = 0;
    cuda_check(be, cudaMemGetInfo(&free_bytes, &all_bytes), "cudaMemGetInfo");
    return (double)(all_bytes - free_bytes) / 1048576.0;
}

static void *cuda_alloc(backend *be, size_t bytes) {
    void *p = NULL;
    const size_t size = bytes > 0 ? bytes : 1;
    if (cudaMalloc(&p, size) != cudaSuccess) {
        (void)cudaGetLastError(); /* the caller says what there is no room for */
        return NULL;
    }
    cuda_check(be, cudaMemsetAsync(p, 0, size, cuda_stream(be)), "cudaMemsetAsync");
    cuda_finish(be); /* a batch may be copied there on the other stream */
    return p;
}

static void cuda_release(backend *be, void *p) {
    cuda_finish(be);
    cuda_check(be, cudaFree(p), "cudaFree");
}

/*
 * Uploads are made before the first step: they may wait, so that the caller can do with its memory what it likes. From memory that is not
 * pinned the copy itself waits for what is queued before it, so that is waited for first, where the host can still look around.
 */
static void cuda_upload(backend *be, void *to, const void *from_host, size_t bytes) {
    if (bytes == 0) return;
    cuda_finish(be);
    cuda_check(be, cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, cuda_stream(be)), "copying to the device");
    cuda_finish(be);
}

static void cuda_upload_floats(backend *be, void *to, dtype type, const float *from_host, size_t elements) {
    const size_t part = CUDA_SCRATCH_BYTES / sizeof(float);
    if (type == F32) cuda_upload(be, to, from_host, elements * sizeof(float));
    for (size_t done = 0; type != F32 && done < elements; done += part) {
        const size_t count = elements - done < part ? elements - done : part;
        cuda_upload(be, cuda_scratch(be), from_host + done, count * sizeof(float));
        cuda_convert(be, cuda_scratch(be), F32, (char *)to + done * dtype_size(type), type, count);
    }
}

/* Everything queued before is waited for first: the copy itself is one that cannot be asked how it is getting on. */
static void cuda_download(backend *be, void *to_host, const void *from, size_t bytes) {
    cuda_finish(be);
    if (bytes == 0 || cuda_state_of(be)->error.status != ENTRAIN_OK) return;
    cuda_check(be, cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, cuda_stream(be)), "copying from the device");
    cuda_finish(be);
}

static void cuda_zero(backend *be, void *p, size_t bytes) {
    if (bytes > 0) cuda_check(be, cudaMemsetAsync(p, 0, bytes, cuda_stream(be)), "cudaMemsetAsync");
}

/* ---- batches ---- */

static void *cuda_host_alloc(backend *be, size_t bytes) {
    void *p = NULL;
    (void)be;
    if (cudaMallocHost(&p, bytes > 0 ? bytes : 1) != cudaSuccess) {
        (void)cudaGetLastError();
        return NULL;
    }
    memset(p, 0, bytes);
    return p;
}

static void cuda_host_release(backend *be, void *p) {
    cuda_check(be, cudaFreeHost(p), "cudaFreeHost");
}

static void cuda_stage(backend *be, int slot, void *to, const void *from_host, size_t bytes) {
    const cuda_state *s = cuda_state_of(be);
    cuda_check(be, cudaStreamWaitEvent(s->copies, s->used[slot], 0), "cudaStreamWaitEvent");
    cuda_check(be, cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, s->copies), "copying a batch to the device");
    cuda_check(be, cudaEventRecord(s->staged[slot], s->copies), "cudaEventRecord");
}

static void cuda_stage_use(backend *be, int slot) {
    const cuda_state *s = cuda_state_of(be);
    cuda_check(be, cudaStreamWaitEvent(s->stream, s->staged[slot], 0), "cudaStreamWaitEvent");
}

static void cuda_stage_end(backend *be, int slot) {
    const cuda_state *s = cuda_state_of(be);
    cuda_check(be, cudaEventRecord(s->used[slot], s->stream), "cudaEventRecord");
}

static void cuda_stage_wait(backend *be, int slot) {
    cuda_wait(be, cuda_state_of(be)->staged[slot]);
}

/* ---- the table ---- */

static void cuda_close(backend *be);

static const backend_ops cuda_ops = {
    .name = "cuda",
    .close = cuda_close,
    .status = cuda_status,
    .supports = cuda_supports,
    .memory_mib = cuda_memory_mib,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_upload,
    .upload_floats = cuda_upload_floats,
    .download = cuda_download,
    .zero = cuda_zero,
    .finish = cuda_finish,
    .host_alloc = cuda_host_alloc,
    .host_release = cuda_host_release,
    .stage = cuda_stage,
    .stage_use = cuda_stage_use,
    .stage_end = cuda_stage_end,
    .stage_wait = cuda_stage_wait,
    .normalise = cuda_normalise,
    .conv_create = cuda_conv_create,
    .conv_destroy = cuda_conv_destroy,
    .conv_workspace = cuda_conv_workspace,
    .conv_forward = cuda_conv_forward,
    .conv_backward_data = cuda_conv_backward_data,
    .conv_backward_weights = cuda_conv_backward_weights,
    .conv_kernel = cuda_conv_kernel,
    .maxpool_forward = cuda_maxpool_forward,
    .maxpool_backward = cuda_maxpool_backward,
    .global_pool_forward = cuda_global_pool_forward,
    .global_pool_backward = cuda_global_pool_backward,
    .add = cuda_add,
    .accumulate = cuda_accumulate,
    .relu_forward = cuda_relu_forward,
    .relu_backward = cuda_relu_backward,
    .dropout = cuda_dropout,
    .resize_forward = cuda_resize_forward,
    .resize_backward = cuda_resize_backward,
    .upsample_loss_workspace = cuda_upsample_loss_workspace,
    .upsample_loss = cuda_upsample_loss,
    .scale = cuda_scale,
    .sum_squares = cuda_sum_squares,
    .find_nonfinite = cuda_find_nonfinite,
    .sgd = cuda_sgd,
    .norm_moments = cuda_norm_moments,
    .norm_affine = cuda_norm_affine,
    .norm_reduce = cuda_norm_reduce,
    .norm_backward = cuda_norm_backward,
    .norm_forward_sums = cuda_norm_forward_sums,
    .norm_forward_coefficients = cuda_norm_forward_coefficients,
    .norm_backward_sums = cuda_norm_backward_sums,
    .norm_backward_coefficients = cuda_norm_backward_coefficients,
};

/* ---- opening and closing ---- */

static void cuda_close(backend *be) {
    cuda_state *s = cuda_state_of(be);
    if (s != NULL) {
        cuda_dnn_close(s->dnn);
        if (s->scratch != NULL) (void)cudaFree(s->scratch);
        cudaEvent_t const events[] = {s->staged[0], s->staged[1], s->used[0], s->used[1], s->finished, s->passed[0], s->passed[1]};
        for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
            if (events[i] != NULL) (void)cudaEventDestroy(events[i]);
        if (s->copies != NULL) (void)cudaStreamDestroy(s->copies);
        if (s->stream != NULL) (void)cudaStreamDestroy(s->stream);
    }
    free(s);
    free(be);
}

static entrain_status make_streams(cuda_state *s, entrain_error *err) {
    cudaEvent_t *const events[] = {&s->staged[0], &s->staged[1], &s->used[0], &s->used[1], &s->finished, &s->passed[0], &s->passed[1]};
    cudaError_t code = cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);
    if (code == cudaSuccess) code = cudaStreamCreateWithFlags(&s->copies, cudaStreamNonBlocking);
    for (size_t i = 0; i < sizeof events / sizeof events[0] && code == cudaSuccess; i++)
        code = cudaEventCreateWithFlags(events[i], cudaEventDisableTiming);
    if (code == cudaSuccess) code = cudaMalloc(&s->scratch, CUDA_SCRATCH_BYTES);
    if (code == cudaSuccess) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DEVICE, "%s: cannot be used: %s. Is another program using the GPU?", s->name, cudaGetErrorString(code));
}

entrain_status backend_open_cuda(int device, int threads, backend **out, entrain_error *err) {
    *out = NULL;
    backend *be = calloc(1, sizeof *be);
    cuda_state *s = calloc(1, sizeof *s);
    if (be == NULL || s == NULL) {
        free(be);
        free(s);
        return error_set(err, ENTRAIN_DEVICE, "CUDA backend: out of memory");
    }
    *be = (backend){.ops = &cuda_ops, .threads = threads, .state = s, .description = s->name};
    entrain_status status = cuda_device_take(device, s, err);
    if (status == ENTRAIN_OK) status = make_streams(s, err);
    if (status == ENTRAIN_OK) status = cuda_dnn_open(s->stream, &s->dnn, err);
    if (status != ENTRAIN_OK) {
        cuda_close(be);
        return status;
    }
    be->stream = s->stream;
    be->key = s->key;
    *out = be;
    return ENTRAIN_OK;
}
