/*
 * Ranks that drive a GPU each. What lies in the device's memory, and so comes with a stream, is summed by NCCL; what lies in the host's
 * goes to the communicator of the host (MPI), from which this one is made. The only file that knows NCCL.
 *
 * Two communicators of NCCL's: one works on the compute stream, between the operations that need its sums (SyncBN); the other on a stream
 * of its own, behind the rest of backward (buckets of gradients). Every rank queues the same collectives in the same order on each of the
 * two, and NCCL is asked to launch in that order across both, so that two kernels can never wait for each other's ranks.
 *
 * Nobody waits for NCCL in a call that might not return: the communicators do not block, and whoever waits for the device looks again and
 * again and asks nccl_watch meanwhile. A collective that fails, or does not end in ENTRAIN_NCCL_TIMEOUT seconds, ends the job.
 */
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "comm/comm.h"

enum { REMEMBERED = 1024, DEFAULT_TIMEOUT = 600 };
typedef enum lane { COMPUTE, BUCKETS, LANES } lane;

/* A collective that was queued, so that a message can name the one that did not end. */
typedef struct queued {
    cudaEvent_t done;
    const char *what;
    size_t count;
    comm_type type;
    uint64_t number; /* from 1; 0: none yet */
} queued;

typedef struct nccl_state {
    comm *host;
    ncclComm_t lane[LANES];
    cudaStream_t stream; /* of BUCKETS */
    cudaEvent_t ready, summed;
    queued queue[REMEMBERED]; /* number k stands at k % REMEMBERED */
    uint64_t count;
    bool pending; /* sums were started that nobody has waited for */
    double timeout;
} nccl_state;

static const char *type_name(comm_type type) {
    static const char *const names[] = {[COMM_F32] = "float32", [COMM_F64] = "float64", [COMM_I64] = "int64", [COMM_BYTE] = "bytes"};
    return names[type];
}

static ncclDataType_t nccl_type(comm_type type) {
    static const ncclDataType_t types[] = {
        [COMM_F32] = ncclFloat32, [COMM_F64] = ncclFloat64, [COMM_I64] = ncclInt64, [COMM_BYTE] = ncclUint8};
    return types[type];
}

/* ---- failures ---- */

static void abort_lanes(nccl_state *s) {
    for (int i = 0; i < LANES; i++) {
        if (s->lane[i] != NULL) (void)ncclCommAbort(s->lane[i]);
        s->lane[i] = NULL;
    }
}

/* The first remembered collective that has not ended; NULL where all have. */
static const queued *oldest_open(const nccl_state *s) {
    const uint64_t first = s->count >= REMEMBERED ? s->count - REMEMBERED + 1 : 1;
    for (uint64_t k = first; k <= s->count; k++)
        if (cudaEventQuery(s->queue[k % REMEMBERED].done) != cudaSuccess) return &s->queue[k % REMEMBERED];
    return NULL;
}

/* Say what happened and give up both communicators, so that no kernel of theirs keeps the device waiting. */
static entrain_status fail(comm *c, const char *reason) {
    nccl_state *s = c->state;
    char host[128] = "this host", what[160] = "setting up the communicators";
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    (void)gethostname(host, sizeof host - 1);
    const queued *q = oldest_open(s);
    (void)cudaGetLastError();
    if (q != NULL)
        (void)snprintf(what, sizeof what, "%s of %zu %s (collective %llu)", q->what, q->count, type_name(q->type),
                       (unsigned long long)q->number);
    else if (s->count > 0)
        (void)snprintf(what, sizeof what, "collective %llu", (unsigned long long)s->count);
    error_set(&c->error, ENTRAIN_COMM,
              "rank %d of %d (%s): NCCL: %s: %s. A rank or its network is gone; see the other ranks' messages, and NCCL's own with "
              "NCCL_DEBUG=WARN.",
              c->rank, c->size, host, what, reason);
    abort_lanes(s);
    return ENTRAIN_COMM;
}

static const char *reason_of(ncclResult_t code, ncclComm_t from) {
    const char *last = ncclGetLastError(from);
    return last != NULL && last[0] != '\0' ? last : ncclGetErrorString(code);
}

/* Until the communicator has taken its last call in; it answers at once, but what it answers may be "in progress". */
static entrain_status settle(comm *c, lane which, ncclResult_t code) {
    const nccl_state *s = c->state;
    const double since = log_seconds();
    while (code == ncclSuccess || code == ncclInProgress) {
        ncclResult_t state = ncclSuccess;
        code = ncclCommGetAsyncError(s->lane[which], &state);
        if (code == ncclSuccess) code = state;
        if (code == ncclSuccess) return ENTRAIN_OK;
        if (code != ncclInProgress) break;
        if (log_seconds() - since > s->timeout) return fail(c, "no answer from the other ranks in ENTRAIN_NCCL_TIMEOUT seconds");
        const struct timespec pause = {0, 100000};
        (void)nanosleep(&pause, NULL);
    }
    return fail(c, reason_of(code, s->lane[which]));
}

static entrain_status nccl_watch(comm *c, double waited, entrain_error *err) {
    const nccl_state *s = c->state;
    for (int i = 0; i < LANES && c->error.status == ENTRAIN_OK; i++) {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t code = ncclCommGetAsyncError(s->lane[i], &state);
        if (code != ncclSuccess || (state != ncclSuccess && state != ncclInProgress))
            (void)fail(c, reason_of(code != ncclSuccess ? code : state, s->lane[i]));
    }
    if (c->error.status == ENTRAIN_OK && waited > s->timeout && oldest_open(s) != NULL)
        (void)fail(c, "has not ended in ENTRAIN_NCCL_TIMEOUT seconds");
    (void)cudaGetLastError(); /* asking after an event that has not come to pass is remembered as a failure */
    return c->error.status == ENTRAIN_OK ? ENTRAIN_OK : error_set(err, ENTRAIN_COMM, "%s", c->error.text);
}

static entrain_status check(comm *c, cudaError_t code) {
    return code == cudaSuccess ? ENTRAIN_OK : fail(c, cudaGetErrorString(code));
}

/* ---- collectives ---- */

static entrain_status remember(comm *c, const char *what, size_t count, comm_type type, cudaStream_t stream) {
    nccl_state *s = c->state;
    queued *q = &s->queue[++s->count % REMEMBERED];
    q->what = what;
    q->count = count;
    q->type = type;
    q->number = s->count;
    return check(c, cudaEventRecord(q->done, stream));
}

static entrain_status sum(comm *c, lane which, void *data, size_t count, comm_type type, cudaStream_t stream) {
    const nccl_state *s = c->state;
    const ncclResult_t code = ncclAllReduce(data, data, count, nccl_type(type), ncclSum, s->lane[which], stream);
    const entrain_status status = settle(c, which, code);
    return status == ENTRAIN_OK ? remember(c, which == COMPUTE ? "allreduce" : "allreduce of gradients", count, type, stream) : status;
}

static entrain_status nccl_allreduce(comm *c, void *data, size_t count, comm_type type, void *stream) {
    const nccl_state *s = c->state;
    if (stream == NULL) return s->host->ops->allreduce(s->host, data, count, type, NULL);
    return sum(c, COMPUTE, data, count, type, (cudaStream_t)stream);
}

static entrain_status nccl_allreduce_start(comm *c, void *data, size_t count, comm_type type, void *stream) {
    nccl_state *s = c->state;
    if (stream == NULL) return s->host->ops->allreduce_start(s->host, data, count, type, NULL);
    entrain_status status = check(c, cudaEventRecord(s->ready, (cudaStream_t)stream));
    if (status == ENTRAIN_OK) status = check(c, cudaStreamWaitEvent(s->stream, s->ready, 0));
    if (status == ENTRAIN_OK) status = sum(c, BUCKETS, data, count, type, s->stream);
    s->pending = true;
    return status;
}

/* NCCL's sums get on by themselves. */
static entrain_status nccl_progress(comm *c) {
    (void)c;
    return ENTRAIN_OK;
}

static entrain_status nccl_allreduce_wait(comm *c, void *stream) {
    nccl_state *s = c->state;
    if (stream == NULL) return s->host->ops->allreduce_wait(s->host, NULL);
    if (!s->pending) return ENTRAIN_OK;
    s->pending = false;
    const entrain_status status = check(c, cudaEventRecord(s->summed, s->stream));
    return status == ENTRAIN_OK ? check(c, cudaStreamWaitEvent((cudaStream_t)stream, s->summed, 0)) : status;
}

static entrain_status nccl_broadcast(comm *c, void *data, size_t count, comm_type type, int root, void *stream) {
    const nccl_state *s = c->state;
    if (stream == NULL) return s->host->ops->broadcast(s->host, data, count, type, root, NULL);
    const ncclResult_t code = ncclBroadcast(data, data, count, nccl_type(type), root, s->lane[COMPUTE], (cudaStream_t)stream);
    const entrain_status status = settle(c, COMPUTE, code);
    return status == ENTRAIN_OK ? remember(c, "broadcast", count, type, (cudaStream_t)stream) : status;
}

static entrain_status nccl_barrier(comm *c) {
    const nccl_state *s = c->state;
    return s->host->ops->barrier(s->host);
}

static void nccl_abort(comm *c, int code) {
    const nccl_state *s = c->state;
    s->host->ops->abort(s->host, code);
}

/* ---- opening and closing ---- */

/* A communicator in order is taken down with its ranks; one that failed has been given up already. */
static void nccl_close(comm *c) {
    nccl_state *s = c->state;
    for (int i = 0; i < LANES; i++)
        if (s->lane[i] != NULL) (void)ncclCommDestroy(s->lane[i]);
    for (int i = 0; i < REMEMBERED; i++)
        if (s->queue[i].done != NULL) (void)cudaEventDestroy(s->queue[i].done);
    if (s->ready != NULL) (void)cudaEventDestroy(s->ready);
    if (s->summed != NULL) (void)cudaEventDestroy(s->summed);
    if (s->stream != NULL) (void)cudaStreamDestroy(s->stream);
    comm_close(s->host);
    free(s);
    free(c);
}

static entrain_status join(comm *c, lane which) {
    nccl_state *s = c->state;
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t code = c->rank == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    const bool none = comm_any(s->host, code != ncclSuccess);
    if (none) return fail(c, code != ncclSuccess ? ncclGetErrorString(code) : "rank 0 could not start");
    if (comm_broadcast(s->host, &id, sizeof id, COMM_BYTE, 0, NULL) != ENTRAIN_OK) return fail(c, s->host->error.text);
    code = ncclCommInitRankConfig(&s->lane[which], c->size, id, c->rank, &config);
    return s->lane[which] == NULL ? fail(c, ncclGetErrorString(code)) : settle(c, which, code);
}

static entrain_status make_events(comm *c) {
    nccl_state *s = c->state;
    int least = 0, most = 0;
    cudaError_t code = cudaDeviceGetStreamPriorityRange(&least, &most);
    if (code == cudaSuccess) code = cudaStreamCreateWithPriority(&s->stream, cudaStreamNonBlocking, most);
    if (code == cudaSuccess) code = cudaEventCreateWithFlags(&s->ready, cudaEventDisableTiming);
    if (code == cudaSuccess) code = cudaEventCreateWithFlags(&s->summed, cudaEventDisableTiming);
    for (int i = 0; i < REMEMBERED && code == cudaSuccess; i++) code = cudaEventCreateWithFlags(&s->queue[i].done, cudaEventDisableTiming);
    return check(c, code);
}

static double timeout_seconds(void) {
    const char *wish = getenv("ENTRAIN_NCCL_TIMEOUT");
    return wish != NULL && atof(wish) > 0.0 ? atof(wish) : (double)DEFAULT_TIMEOUT;
}

entrain_status comm_open_nccl(comm *host, comm **out, entrain_error *err) {
    static const comm_ops ops = {.name = "nccl",
                                 .allreduce = nccl_allreduce,
                                 .allreduce_start = nccl_allreduce_start,
                                 .progress = nccl_progress,
                                 .allreduce_wait = nccl_allreduce_wait,
                                 .broadcast = nccl_broadcast,
                                 .barrier = nccl_barrier,
                                 .watch = nccl_watch,
                                 .abort = nccl_abort,
                                 .close = nccl_close};
    *out = NULL;
    comm *c = calloc(1, sizeof *c);
    nccl_state *s = calloc(1, sizeof *s);
    if (c == NULL || s == NULL) {
        free(c);
        free(s);
        return error_set(err, ENTRAIN_DEVICE, "out of memory for the communicator");
    }
    (void)setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 0);
    *s = (nccl_state){.host = host, .timeout = timeout_seconds()};
    *c = (comm){
        .ops = &ops, .rank = host->rank, .size = host->size, .local_rank = host->local_rank, .local_size = host->local_size, .state = s};
    entrain_status status = make_events(c);
    for (int i = 0; i < LANES && status == ENTRAIN_OK; i++) status = join(c, (lane)i);
    if (status != ENTRAIN_OK) {
        error_set(err, status, "%s", c->error.text);
        s->host = NULL; /* stays the caller's */
        nccl_close(c);
        return status;
    }
    *out = c;
    return ENTRAIN_OK;
}
