/* Opening and closing the communicator of ranks that drive a GPU each; see nccl.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "comm/nccl_internal.h"

enum { DEFAULT_TIMEOUT = 600, CLOSE_SECONDS = 30 };
/* The first that launches the kernels of several communicators in the order of their calls. */
enum { LEAST_MAJOR = 2, LEAST_MINOR = 26 };

/* ---- closing ---- */

/* In order where all ranks come to it; given up where they do not, so that nobody waits for one that is gone. */
static void close_lane(ncclComm_t from) {
    const double since = log_seconds();
    ncclResult_t state = nccl_state_of(from, ncclCommFinalize(from));
    while (state == ncclInProgress && log_seconds() - since < CLOSE_SECONDS) {
        nccl_pause();
        state = nccl_state_of(from, ncclSuccess);
    }
    (void)(state == ncclSuccess ? ncclCommDestroy(from) : ncclCommAbort(from));
}

/* A communicator that failed has been given up already. */
void nccl_close(comm *c) {
    nccl_state *s = c->state;
    for (int i = 0; i < LANES; i++)
        if (s->lane[i] != NULL) close_lane(s->lane[i]);
    for (int i = 0; i < NCCL_REMEMBERED; i++)
        if (s->queue[i].done != NULL) (void)cudaEventDestroy(s->queue[i].done);
    if (s->ready != NULL) (void)cudaEventDestroy(s->ready);
    if (s->summed != NULL) (void)cudaEventDestroy(s->summed);
    if (s->stream != NULL) (void)cudaStreamDestroy(s->stream);
    comm_close(s->host);
    free(s);
    free(c);
}

/* ---- opening ---- */

/* Every rank fails with the reason of the lowest that has one. mine: this rank's; NULL where it has none. Collective. */
static entrain_status fail_together(comm *c, const char *mine) {
    const nccl_state *s = c->state;
    char reason[256] = "";
    for (int rank = 0; rank < c->size && reason[0] == '\0'; rank++) {
        if (rank == c->rank && mine != NULL) (void)snprintf(reason, sizeof reason, "rank %d: %s", rank, mine);
        if (comm_broadcast(s->host, reason, sizeof reason, COMM_BYTE, rank, NULL) != ENTRAIN_OK) return nccl_fail(c, s->host->error.text);
    }
    return nccl_fail(c, reason);
}

/* Go on where no rank has a reason not to. Collective. */
static entrain_status agree(comm *c, const char *mine) {
    const nccl_state *s = c->state;
    return comm_any(s->host, mine != NULL) ? fail_together(c, mine) : ENTRAIN_OK;
}

/* All ranks look together until the communicator is made: where one fails, the others do not wait for it until their time is up. */
static entrain_status settle_together(comm *c, ncclComm_t from, ncclResult_t code) {
    const nccl_state *s = c->state;
    const double since = log_seconds();
    for (;;) {
        const char *reason = NULL;
        if (from != NULL) code = nccl_state_of(from, code);
        if (code != ncclSuccess && code != ncclInProgress)
            reason = nccl_reason(code, from);
        else if (from == NULL)
            reason = "no communicator came of it";
        else if (log_seconds() - since > s->timeout)
            reason = "no answer from the other ranks in ENTRAIN_NCCL_TIMEOUT seconds";
        const entrain_status status = agree(c, reason);
        if (status != ENTRAIN_OK || !comm_any(s->host, code == ncclInProgress)) return status;
        nccl_pause();
    }
}

static entrain_status join(comm *c, lane which) {
    nccl_state *s = c->state;
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t code = c->rank == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    const entrain_status status = agree(c, code != ncclSuccess ? nccl_reason(code, NULL) : NULL);
    if (status != ENTRAIN_OK) return status;
    if (comm_broadcast(s->host, &id, sizeof id, COMM_BYTE, 0, NULL) != ENTRAIN_OK) return nccl_fail(c, s->host->error.text);
    code = ncclCommInitRankConfig(&s->lane[which], c->size, id, c->rank, &config);
    return settle_together(c, s->lane[which], code);
}

/* NULL, or why there can be no communicators. */
static const char *prepare(nccl_state *s, char *text, size_t size) {
    int version = 0, least = 0, most = 0;
    if (ncclGetVersion(&version) == ncclSuccess && version < NCCL_VERSION(LEAST_MAJOR, LEAST_MINOR, 0)) {
        (void)snprintf(text, size, "version %d is too old; %d.%d or newer is needed", version, LEAST_MAJOR, LEAST_MINOR);
        return text;
    }
    cudaError_t code = cudaDeviceGetStreamPriorityRange(&least, &most);
    if (code == cudaSuccess) code = cudaStreamCreateWithPriority(&s->stream, cudaStreamNonBlocking, most);
    if (code == cudaSuccess) code = cudaEventCreateWithFlags(&s->ready, cudaEventDisableTiming);
    if (code == cudaSuccess) code = cudaEventCreateWithFlags(&s->summed, cudaEventDisableTiming);
    for (int i = 0; i < NCCL_REMEMBERED && code == cudaSuccess; i++)
        code = cudaEventCreateWithFlags(&s->queue[i].done, cudaEventDisableTiming);
    return code == cudaSuccess ? NULL : cudaGetErrorString(code);
}

static double timeout_seconds(void) {
    const char *wish = getenv("ENTRAIN_NCCL_TIMEOUT");
    return wish != NULL && atof(wish) > 0.0 ? atof(wish) : (double)DEFAULT_TIMEOUT;
}

entrain_status comm_open_nccl(comm *host, comm **out, entrain_error *err) {
    *out = NULL;
    comm *c = calloc(1, sizeof *c);
    nccl_state *s = calloc(1, sizeof *s);
    if (c == NULL || s == NULL) {
        free(c);
        free(s);
        return error_set(err, ENTRAIN_DEVICE, "out of memory for the communicator");
    }
    (void)setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 1); /* whatever the user's other programs want: see nccl.c */
    *s = (nccl_state){.host = host, .timeout = timeout_seconds()};
    *c = (comm){.ops = &nccl_ops,
                .rank = host->rank,
                .size = host->size,
                .local_rank = host->local_rank,
                .local_size = host->local_size,
                .state = s};
    char text[128];
    entrain_status status = agree(c, prepare(s, text, sizeof text));
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
