/* One rank alone: sums and broadcasts leave the data as it is. */
#include <stdlib.h>

#include "base/error.h"
#include "comm/comm.h"

static entrain_status self_allreduce(comm *c, void *data, size_t count, comm_type type, void *stream) {
    (void)c, (void)data, (void)count, (void)type, (void)stream;
    return ENTRAIN_OK;
}

static entrain_status self_progress(comm *c) {
    (void)c;
    return ENTRAIN_OK;
}

static entrain_status self_allreduce_wait(comm *c, void *stream) {
    (void)c, (void)stream;
    return ENTRAIN_OK;
}

static entrain_status self_broadcast(comm *c, void *data, size_t count, comm_type type, int root, void *stream) {
    (void)c, (void)data, (void)count, (void)type, (void)root, (void)stream;
    return ENTRAIN_OK;
}

static entrain_status self_barrier(comm *c) {
    (void)c;
    return ENTRAIN_OK;
}

static void self_abort(comm *c, int code) {
    (void)c;
    exit(code);
}

static void self_close(comm *c) {
    free(c);
}

entrain_status comm_open_self(comm **out, entrain_error *err) {
    static const comm_ops ops = {.name = "self",
                                 .allreduce = self_allreduce,
                                 .allreduce_start = self_allreduce,
                                 .progress = self_progress,
                                 .allreduce_wait = self_allreduce_wait,
                                 .broadcast = self_broadcast,
                                 .barrier = self_barrier,
                                 .abort = self_abort,
                                 .close = self_close};
    comm *c = calloc(1, sizeof *c);
    *out = c;
    if (c == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the communicator");
    c->ops = &ops;
    c->size = 1;
    c->local_size = 1;
    return ENTRAIN_OK;
}
