/* The CPU backend: its operation table, its memory (the host's own) and its number of threads. */
#include "backend/cpu/cpu.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "norm/norm.h"

/* be->state is dnnl.c's engine and stream: nothing else on the CPU has a state. */
static void cpu_close(backend *be) {
    cpu_dnnl_close(be->state);
    free(be);
}

static entrain_status cpu_status(backend *be, entrain_error *err) {
    return cpu_dnnl_status(be->state, err);
}

static bool cpu_supports(backend *be, dtype type) {
    (void)be;
    return type == F32 || cpu_dnnl_has_bf16();
}

static double cpu_memory_mib(backend *be) {
    (void)be;
    return memory_resident_mib();
}

/* Zeroed by all threads, each a part like the one it works on later, so that the part is in that thread's own processor's memory. */
static void *cpu_alloc(backend *be, size_t bytes) {
    char *p = memory_reserve(bytes);
    const size_t piece = (size_t)1 << 21, pieces = (bytes + piece - 1) / piece;
    if (p == NULL) return NULL;
#pragma omp parallel for num_threads(be->threads) if (pieces > 1) schedule(static)
    for (size_t i = 0; i < pieces; i++) memset(p + i * piece, 0, bytes - i * piece < piece ? bytes - i * piece : piece);
    return p;
}

static void cpu_release(backend *be, void *p) {
    (void)be;
    memory_free(p);
}

static void cpu_copy(backend *be, void *to, const void *from, size_t bytes) {
    (void)be;
    if (bytes > 0) memcpy(to, from, bytes);
}

/* Nothing is ever queued, and what is staged is there at once. */
static void cpu_finish(backend *be) {
    (void)be;
}

static void cpu_stage(backend *be, int slot, void *to, const void *from_host, size_t bytes) {
    (void)slot;
    cpu_copy(be, to, from_host, bytes);
}

static void cpu_stage_nothing(backend *be, int slot) {
    (void)be, (void)slot;
}

static void cpu_zero(backend *be, void *p, size_t bytes) {
    (void)be;
    if (bytes > 0) memset(p, 0, bytes);
}

/* The coefficient step is host code already. */
static void cpu_norm_forward_sums(backend *be, const norm_call *call) {
    (void)be;
    norm_host_forward_sums(call);
}

static void cpu_norm_forward_coefficients(backend *be, const norm_call *call) {
    (void)be;
    norm_host_forward_coefficients(call);
}

static void cpu_norm_backward_sums(backend *be, const norm_call *call) {
    (void)be;
    norm_host_backward_sums(call);
}

static void cpu_norm_backward_coefficients(backend *be, const norm_call *call) {
    (void)be;
    norm_host_backward_coefficients(call);
}

static const backend_ops cpu_ops = {
    .name = "cpu",
    .close = cpu_close,
    .status = cpu_status,
    .supports = cpu_supports,
    .memory_mib = cpu_memory_mib,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .upload_floats = cpu_upload_floats,
    .download = cpu_copy,
    .zero = cpu_zero,
    .finish = cpu_finish,
    .host_alloc = cpu_alloc,
    .host_release = cpu_release,
    .stage = cpu_stage,
    .stage_use = cpu_stage_nothing,
    .stage_end = cpu_stage_nothing,
    .stage_wait = cpu_stage_nothing,
    .normalise = cpu_normalise,
    .conv_create = cpu_conv_create,
    .conv_destroy = cpu_conv_destroy,
    .conv_workspace = cpu_conv_workspace,
    .conv_forward = cpu_conv_forward,
    .conv_backward_data = cpu_conv_backward_data,
    .conv_backward_weights = cpu_conv_backward_weights,
    .conv_kernel = cpu_conv_kernel,
    .maxpool_forward = cpu_maxpool_forward,
    .maxpool_backward = cpu_maxpool_backward,
    .global_pool_forward = cpu_global_pool_forward,
    .global_pool_backward = cpu_global_pool_backward,
    .add = cpu_add,
    .accumulate = cpu_accumulate,
    .relu_forward = cpu_relu_forward,
    .relu_backward = cpu_relu_backward,
    .dropout = cpu_dropout,
    .resize_forward = cpu_resize_forward,
    .resize_backward = cpu_resize_backward,
    .upsample_loss_workspace = cpu_upsample_loss_workspace,
    .upsample_loss = cpu_upsample_loss,
    .scale = cpu_scale,
    .sum_squares = cpu_sum_squares,
    .find_nonfinite = cpu_find_nonfinite,
    .sgd = cpu_sgd,
    .norm_moments = cpu_norm_moments,
    .norm_affine = cpu_norm_affine,
    .norm_reduce = cpu_norm_reduce,
    .norm_backward = cpu_norm_backward,
    .norm_forward_sums = cpu_norm_forward_sums,
    .norm_forward_coefficients = cpu_norm_forward_coefficients,
    .norm_backward_sums = cpu_norm_backward_sums,
    .norm_backward_coefficients = cpu_norm_backward_coefficients,
};

/* The CPUs in this process's affinity mask; a mask too large for cpu_set_t means a machine where all online CPUs are the best guess. */
static int allowed_cpus(void) {
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

entrain_status backend_open_cpu(int threads, backend **out, entrain_error *err) {
    *out = NULL;
    if (threads < 0) {
        return error_set(err, ENTRAIN_DEVICE, "CPU backend: %d threads asked for; give 0 (one for each CPU allowed) or more", threads);
    }
    backend *be = calloc(1, sizeof *be);
    if (be == NULL) return error_set(err, ENTRAIN_DEVICE, "CPU backend: out of memory");
    be->ops = &cpu_ops;
    be->host_memory = true;
    be->threads = threads > 0 ? threads : allowed_cpus();
    omp_set_num_threads(be->threads); /* oneDNN asks OpenMP for its number of threads */
    cpu_dnnl *dnnl = NULL;
    const entrain_status status = cpu_dnnl_open(&dnnl, err);
    if (status != ENTRAIN_OK) {
        free(be);
        return status;
    }
    be->state = dnnl;
    *out = be;
    return ENTRAIN_OK;
}
