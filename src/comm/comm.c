/* The part of a communicator that does not depend on who carries the messages: sticky errors, timing, the choice at start. */
#include "comm/comm.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "comm/shared.h"

void comm_close(comm *c) {
    if (c == NULL) return;
    while (c->shared != NULL) comm_release_shared(c, c->shared->mine);
    c->ops->close(c);
}

/* Remember a failure: from now on every call returns it, so that no rank goes on with half-summed numbers. */
static entrain_status settle(comm *c, entrain_status status, double since) {
    c->seconds += log_seconds() - since;
    if (status != ENTRAIN_OK && c->error.status == ENTRAIN_OK)
        error_set(&c->error, status,
                  "rank %d of %d: a collective operation failed. A rank or its network is gone; see the other ranks' messages.", c->rank,
                  c->size);
    return status;
}

entrain_status comm_allreduce_start(comm *c, void *data, size_t count, comm_type type, void *stream) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    const double since = log_seconds();
    shared *region = type == COMM_F32 ? shared_find(c, data, count * sizeof(float)) : NULL;
    if (region == NULL) return settle(c, c->ops->allreduce_start(c, data, count, type, stream), since);
    return settle(c, shared_start(c, region, data, count), since);
}

entrain_status comm_progress(comm *c) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    if (c->size == 1) return ENTRAIN_OK;
    const double since = log_seconds();
    for (shared *region = c->shared; region != NULL; region = region->next) shared_progress(c, region);
    return settle(c, c->ops->progress(c), since);
}

entrain_status comm_allreduce_wait(comm *c, void *stream) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    const double since = log_seconds();
    entrain_status status = ENTRAIN_OK;
    for (shared *region = c->shared; region != NULL && status == ENTRAIN_OK; region = region->next) status = shared_wait(c, region);
    return settle(c, status == ENTRAIN_OK ? c->ops->allreduce_wait(c, stream) : status, since);
}

entrain_status comm_allreduce(comm *c, void *data, size_t count, comm_type type, void *stream) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    const double since = log_seconds();
    return settle(c, c->ops->allreduce(c, data, count, type, stream), since);
}

entrain_status comm_broadcast(comm *c, void *data, size_t count, comm_type type, int root, void *stream) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    const double since = log_seconds();
    return settle(c, c->ops->broadcast(c, data, count, type, root, stream), since);
}

entrain_status comm_barrier(comm *c) {
    if (c->error.status != ENTRAIN_OK) return c->error.status;
    const double since = log_seconds();
    return settle(c, c->ops->barrier(c), since);
}

bool comm_any(comm *c, bool mine) {
    int64_t count = mine ? 1 : 0;
    if (comm_allreduce(c, &count, 1, COMM_I64, NULL) != ENTRAIN_OK) return true;
    return count > 0;
}

entrain_status comm_watch(void *watched, double waited, entrain_error *err) {
    comm *c = watched;
    return c->ops->watch == NULL ? ENTRAIN_OK : c->ops->watch(c, waited, err);
}

void comm_abort(comm *c, int code) {
    if (c != NULL) c->ops->abort(c, code);
    exit(code);
}

double comm_take_seconds(comm *c) {
    const double seconds = c->seconds;
    c->seconds = 0.0;
    return seconds;
}

void comm_share(int64_t count, int rank, int size, int64_t *begin, int64_t *end) {
    *begin = count * rank / size;
    *end = count * (rank + 1) / size;
}

/* A launcher leaves its mark in the environment; without one, this is a program started by hand and MPI is not even initialised. */
static bool started_by_launcher(void) {
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (getenv(marks[i]) != NULL) return true;
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS"); /* srun without PMI: mpi.c finds out whether the ranks see each other */
    return tasks != NULL && atoi(tasks) > 1;
}

entrain_status comm_open(comm **out, entrain_error *err) {
    return started_by_launcher() ? comm_open_mpi(out, err) : comm_open_self(out, err);
}
