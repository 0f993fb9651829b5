/*
 * Ranks that drive a GPU each. What lies in the device's memory, and so comes with a stream, is summed by NCCL; what lies in the host's
 * goes to the communicator of the host (MPI), from which this one is made. No file but this one and nccl_open.c
 * knows NCCL.
 *
 * Two communicators of NCCL's: one works on the compute stream, between the operations that need its sums (SyncBN); the other on a stream
 * of its own, behind the rest of backward (buckets of gradients). Every rank queues the same collectives in the same order on each of the
 * two, and NCCL is asked to launch in that order across both, so that two kernels can never wait for each other's ranks.
 *
 * Nobody waits for NCCL in a call that might not return: the communicators do not block, and whoever waits for the device looks again and
 * again and asks nccl_watch meanwhile. A collective that fails, or does not end in ENTRAIN_NCCL_TIMEOUT seconds, ends the job.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "comm/nccl_internal.h"

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

/*
 * In one group: what gives up a communicator waits for the device, on which this one's kernels may lie behind the other's that cannot end
 * either. NCCL marks both before it waits.
 */
static void abort_lanes(nccl_state *s) {
    (void)ncclGroupStart();
    for (int i = 0; i < LANES; i++) {
        if (s->lane[i] != NULL) (void)ncclCommAbort(s->lane[i]);
        s->lane[i] = NULL;
    }
    (void)ncclGroupEnd();
}

/* The first remembered collective that has not ended; NULL where all have. */
static const queued *oldest_open(const nccl_state *s) {
    const uint64_t first = s->count >= NCCL_REMEMBERED ? s->count - NCCL_REMEMBERED + 1 : 1;
    for (uint64_t k = first; k <= s->count; k++)
        if (cudaEventQuery(s->queue[k % NCCL_REMEMBERED].done) != cudaSuccess) return &s->queue[k % NCCL_REMEMBERED];
    return NULL;
}

entrain_status nccl_fail(comm *c, const char *reason) {
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

const char *nccl_reason(ncclResult_t code, ncclComm_t from) {
    const char *last = ncclGetLastError(from);
    return last != NULL && last[0] != '\0' ? last : ncclGetErrorString(code);
}

ncclResult_t nccl_state_of(ncclComm_t from, ncclResult_t code) {
    if (code != ncclSuccess && code != ncclInProgress) return code;
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(from, &state);
    return asked == ncclSuccess ? state : asked;
}

void nccl_pause(void) {
    const struct timespec pause = {0, 100000};
    (void)nanosleep(&pause, NULL);
}

/* Until the communicator has taken its last call in; it answers at once, but what it answers may be "in progress". */
static entrain_status settle(comm *c, lane which, ncclResult_t code) {
    const nccl_state *s = c->state;
    const double since = log_seconds();
    while ((code = nccl_state_of(s->lane[which], code)) == ncclInProgress) {
        if (log_seconds() - since > s->timeout) return nccl_fail(c, "no answer from the other ranks in ENTRAIN_NCCL_TIMEOUT seconds");
        nccl_pause();
    }
    return code == ncclSuccess ? ENTRAIN_OK : nccl_fail(c, nccl_reason(code, s->lane[which]));
}

static entrain_status nccl_watch(comm *c, double waited, entrain_error *err) {
    const nccl_state *s = c->state;
    for (int i = 0; i < LANES && c->error.status == ENTRAIN_OK; i++) {
        const ncclResult_t state = nccl_state_of(s->lane[i], ncclSuccess);
        if (state != ncclSuccess && state != ncclInProgress) (void)nccl_fail(c, nccl_reason(state, s->lane[i]));
    }
    if (c->error.status == ENTRAIN_OK && waited > s->timeout && oldest_open(s) != NULL)
        (void)nccl_fail(c, "has not ended in ENTRAIN_NCCL_TIMEOUT seconds");
    (void)cudaGetLastError(); /* asking after an event that has not come to pass is remembered as a failure */
    return c->error.status == ENTRAIN_OK ? ENTRAIN_OK : error_set(err, ENTRAIN_COMM, "%s", c->error.text);
}

static entrain_status check(comm *c, cudaError_t code) {
    return code == cudaSuccess ? ENTRAIN_OK : nccl_fail(c, cudaGetErrorString(code));
}

/* ---- collectives ---- */

static entrain_status remember(comm *c, const char *what, size_t count, comm_type type, cudaStream_t stream) {
    nccl_state *s = c->state;
    queued *q = &s->queue[++s->count % NCCL_REMEMBERED];
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

const comm_ops nccl_ops = {.name = "nccl",
                           .allreduce = nccl_allreduce,
                           .allreduce_start = nccl_allreduce_start,
                           .progress = nccl_progress,
                           .allreduce_wait = nccl_allreduce_wait,
                           .broadcast = nccl_broadcast,
                           .barrier = nccl_barrier,
                           .watch = nccl_watch,
                           .abort = nccl_abort,
                           .close = nccl_close};
