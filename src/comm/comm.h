/*
 * Communicators: what ranks say to each other. Three operations (allreduce, broadcast, barrier); every rank calls the same ones in the
 * same order. `self` is one rank without MPI; `mpi` is MPI_COMM_WORLD; `nccl` are GPUs, one a rank. No type of theirs is visible here.
 *
 * Data that comes with a stream lies in the device's memory: the operation is queued there, and the caller goes on. Data without lies in
 * the host's, and the operation is done on return.
 *
 * The allreduce also comes in halves: what is started goes on while this rank computes, and while it calls others, which do not wait for
 * it. Ranks of one host add up through memory that all of them see (shared.c) what lies in comm_alloc_shared's.
 */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"

typedef enum comm_type { COMM_F32, COMM_F64, COMM_I64, COMM_BYTE } comm_type;

typedef struct comm comm;

typedef struct comm_ops {
    const char *name;
    entrain_status (*allreduce)(comm *c, void *data, size_t count, comm_type type, void *stream); /* whatever else is under way */
    entrain_status (*allreduce_start)(comm *c, void *data, size_t count, comm_type type, void *stream);
    entrain_status (*progress)(comm *c);
    entrain_status (*allreduce_wait)(comm *c, void *stream);
    entrain_status (*broadcast)(comm *c, void *data, size_t count, comm_type type, int root, void *stream);
    entrain_status (*barrier)(comm *c);
    entrain_status (*watch)(comm *c, double waited, entrain_error *err); /* NULL where nothing is ever queued */
    void (*abort)(comm *c, int code);
    void (*close)(comm *c);
} comm_ops;

struct comm {
    const comm_ops *ops;
    int rank, size;
    int local_rank, local_size; /* among the ranks of this host */
    void *state;                /* the implementation's own */
    struct shared *shared;      /* memory of this host's ranks in common: a list, NULL for none */
    double seconds;             /* spent in these functions since comm_take_seconds was last called */
    entrain_error error;        /* the first failure; later calls return its status at once */
};

/* A single rank. Cannot fail. */
entrain_status comm_open_self(comm **out, entrain_error *err);
/* All ranks of this MPI job. Initialises MPI; closing finalises it. */
entrain_status comm_open_mpi(comm **out, entrain_error *err);
/* GPUs: ranks of host, each of which has made its own GPU current. Takes host over, unless it fails. Collective. */
entrain_status comm_open_nccl(comm *host, comm **out, entrain_error *err);
/* mpi when started by mpirun (or srun), self otherwise. An mpirun whose MPI does not match this program's is an error (ENTRAIN_COMM). */
entrain_status comm_open(comm **out, entrain_error *err);
void comm_close(comm *c);

/* Sum over ranks in place, in a fixed order: the same result bits on every rank and in every run with as many ranks. stream: the backend's,
 * or NULL. */
entrain_status comm_allreduce(comm *c, void *data, size_t count, comm_type type, void *stream);
/*
 * The same in two halves; data must not be touched in between. Several may be under way, and other collectives may be called meanwhile;
 * wait completes all that were started. progress lets them get on without waiting for anybody; it may be called by one rank and not by
 * another. Call it now and then while computing: nothing moves by itself.
 */
entrain_status comm_allreduce_start(comm *c, void *data, size_t count, comm_type type, void *stream);
entrain_status comm_progress(comm *c);
entrain_status comm_allreduce_wait(comm *c, void *stream);
/*
 * Host memory, zeroed and aligned like memory_alloc's, that the other ranks can reach too: float32 sums over what lies in it cost no copy.
 * The same offsets must be summed on every rank. Collective; NULL on all ranks where they do not share a host, or it cannot be had: any
 * other memory does as well. release is not collective, but nothing may be under way in it.
 */
void *comm_alloc_shared(comm *c, size_t bytes);
void comm_release_shared(comm *c, void *p);
/* root's data to every rank. */
entrain_status comm_broadcast(comm *c, void *data, size_t count, comm_type type, int root, void *stream);
entrain_status comm_barrier(comm *c);
/* True on every rank when it is true on any. */
bool comm_any(comm *c, bool mine);
/* Whether what is queued can still end: asked again and again by whoever waits for the device. watched: a comm; waited: seconds so far. */
entrain_status comm_watch(void *watched, double waited, entrain_error *err);
/* End the whole job at once with this exit code. Does not return under MPI; exits the process otherwise. */
void comm_abort(comm *c, int code);
/* Seconds spent in all of these functions since the last call: what was not hidden behind computing. */
double comm_take_seconds(comm *c);

/* Rank's part of count things dealt out evenly in order: [*begin, *end). */
void comm_share(int64_t count, int rank, int size, int64_t *begin, int64_t *end);

#endif
