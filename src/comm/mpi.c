/* Ranks of an MPI job. The only file that knows MPI. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "comm/comm.h"

enum { MPI_MAX_PENDING = 256 };
static const size_t CHUNK = (size_t)1 << 28; /* elements a call: MPI counts are int */

typedef struct mpi_state {
    MPI_Request pending[MPI_MAX_PENDING];
    int count;
} mpi_state;

static MPI_Datatype mpi_type(comm_type type) {
    switch (type) {
    case COMM_F32:
        return MPI_FLOAT;
    case COMM_F64:
        return MPI_DOUBLE;
    case COMM_I64:
        return MPI_INT64_T;
    case COMM_BYTE:
        return MPI_BYTE;
    }
    return MPI_DATATYPE_NULL;
}

static size_t type_size(comm_type type) {
    return type == COMM_F32 ? 4 : type == COMM_BYTE ? 1 : 8;
}

/* Report MPI's own text and name the call; the caller turns it into the sticky error. */
static entrain_status check(const comm *c, int code, const char *call) {
    if (code == MPI_SUCCESS) return ENTRAIN_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    (void)MPI_Error_string(code, text, &length);
    (void)fprintf(stderr, "entrain: rank %d of %d: %s failed: %s\n", c->rank, c->size, call, text);
    return ENTRAIN_COMM;
}

/* Blocking: in one piece, beside whatever has been started. */
static entrain_status mpi_allreduce(comm *c, void *data, size_t count, comm_type type, void *stream) {
    (void)stream;
    for (size_t done = 0; done < count; done += CHUNK) {
        const size_t n = count - done < CHUNK ? count - done : CHUNK;
        void *part = (char *)data + done * type_size(type);
        const int code = MPI_Allreduce(MPI_IN_PLACE, part, (int)n, mpi_type(type), MPI_SUM, MPI_COMM_WORLD);
        if (code != MPI_SUCCESS) return check(c, code, "MPI_Allreduce");
    }
    return ENTRAIN_OK;
}

/* Open MPI moves messages within its calls only. Without anything of its own under way, a look for a message is such a call. */
static entrain_status mpi_progress(comm *c) {
    mpi_state *s = c->state;
    int flag = 0;
    if (s->count == 0) return check(c, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE), "MPI_Iprobe");
    const int code = MPI_Testall(s->count, s->pending, &flag, MPI_STATUSES_IGNORE);
    if (flag) s->count = 0;
    return check(c, code, "MPI_Testall");
}

static entrain_status mpi_allreduce_wait(comm *c, void *stream) {
    (void)stream;
    mpi_state *s = c->state;
    const int code = MPI_Waitall(s->count, s->pending, MPI_STATUSES_IGNORE);
    s->count = 0;
    return check(c, code, "MPI_Waitall");
}

static entrain_status mpi_allreduce_start(comm *c, void *data, size_t count, comm_type type, void *stream) {
    mpi_state *s = c->state;
    for (size_t done = 0; done < count; done += CHUNK) {
        if (s->count == MPI_MAX_PENDING) {
            const entrain_status status = mpi_allreduce_wait(c, stream);
            if (status != ENTRAIN_OK) return status;
        }
        const size_t n = count - done < CHUNK ? count - done : CHUNK;
        void *part = (char *)data + done * type_size(type);
        const int code = MPI_Iallreduce(MPI_IN_PLACE, part, (int)n, mpi_type(type), MPI_SUM, MPI_COMM_WORLD, &s->pending[s->count]);
        if (code != MPI_SUCCESS) return check(c, code, "MPI_Iallreduce");
        s->count++;
    }
    return ENTRAIN_OK;
}

static entrain_status mpi_broadcast(comm *c, void *data, size_t count, comm_type type, int root, void *stream) {
    (void)stream;
    for (size_t done = 0; done < count; done += CHUNK) {
        const size_t n = count - done < CHUNK ? count - done : CHUNK;
        const int code = MPI_Bcast((char *)data + done * type_size(type), (int)n, mpi_type(type), root, MPI_COMM_WORLD);
        if (code != MPI_SUCCESS) return check(c, code, "MPI_Bcast");
    }
    return ENTRAIN_OK;
}

static entrain_status mpi_barrier(comm *c) {
    return check(c, MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

static void mpi_abort(comm *c, int code) {
    (void)c;
    (void)fflush(NULL);
    (void)MPI_Abort(MPI_COMM_WORLD, code);
    _Exit(code);
}

static void mpi_close(comm *c) {
    int finalized = 0;
    (void)MPI_Finalized(&finalized);
    if (!finalized) (void)MPI_Finalize();
    free(c->state);
    free(c);
}

/* Ranks on this host, and this one's number among them. */
static int find_local(comm *c) {
    MPI_Comm host;
    int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &host);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(host, &c->local_rank);
    if (code == MPI_SUCCESS) code = MPI_Comm_size(host, &c->local_size);
    if (code == MPI_SUCCESS) code = MPI_Comm_free(&host);
    return code;
}

static entrain_status initialise(comm *c, entrain_error *err) {
    int provided = 0, initialised = 0;
    (void)MPI_Initialized(&initialised);
    int code = initialised ? MPI_SUCCESS : MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS)
        return error_set(err, ENTRAIN_COMM,
                         "MPI_Init_thread failed (code %d). Was the program started by the mpirun of the MPI it was built with?", code);
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    code = find_local(c);
    if (code != MPI_SUCCESS) return error_set(err, ENTRAIN_COMM, "MPI_Comm_split_type failed (code %d)", code);
    /* What the launcher says; srun's count counts only where mpirun did not start the ranks. */
    const char *expected = getenv("OMPI_COMM_WORLD_SIZE");
    if (expected == NULL) expected = getenv("SLURM_STEP_NUM_TASKS");
    if (c->size == 1 && expected != NULL && atoi(expected) > 1)
        return error_set(
            err, ENTRAIN_COMM,
            "the launcher started %s processes, but each sees itself alone: it and this program belong to different MPI "
            "installations, or srun lacks the fitting --mpi option. Use the mpirun of the MPI that the program was built with.",
            expected);
    return ENTRAIN_OK;
}

entrain_status comm_open_mpi(comm **out, entrain_error *err) {
    static const comm_ops ops = {.name = "mpi",
                                 .allreduce = mpi_allreduce,
                                 .allreduce_start = mpi_allreduce_start,
                                 .progress = mpi_progress,
                                 .allreduce_wait = mpi_allreduce_wait,
                                 .broadcast = mpi_broadcast,
                                 .barrier = mpi_barrier,
                                 .abort = mpi_abort,
                                 .close = mpi_close};
    *out = NULL;
    comm *c = calloc(1, sizeof *c);
    mpi_state *state = calloc(1, sizeof *state);
    if (c == NULL || state == NULL) {
        free(c);
        free(state);
        return error_set(err, ENTRAIN_DEVICE, "out of memory for the communicator");
    }
    c->ops = &ops;
    c->state = state;
    const entrain_status status = initialise(c, err);
    if (status != ENTRAIN_OK) {
        free(state);
        free(c);
        return status;
    }
    *out = c;
    return ENTRAIN_OK;
}
