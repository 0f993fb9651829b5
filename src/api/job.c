/* Opening a job: ranks, threads, device, and the words about them at start. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/log.h"

static int allowed_cpus(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/*
 * Threads of this rank: its allowed CPUs where ranks have CPUs of their own; a fair part of them where the ranks of this host share (mpirun
 * --bind-to none). OMP_NUM_THREADS overrides.
 */
static int choose_threads(const entrain_job *job) {
    const char *wish = getenv("OMP_NUM_THREADS");
    if (wish != NULL && atoi(wish) > 0) return atoi(wish);
    const int wanted = job->cpus * job->c->local_size;
    const int threads = wanted <= job->online_cpus ? job->cpus : job->cpus * job->online_cpus / wanted;
    return threads > 0 ? threads : 1;
}

/* More ranks than CPUs: waiting ranks must yield, or a small allreduce takes milliseconds. Open MPI reads this when it starts. */
static void yield_when_crowded(int online) {
    const char *local = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (local != NULL && atoi(local) > online) (void)setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

/* GPUs of this host for --device's value, 0 for the CPU. All ranks take the same kind of device. Collective. */
static entrain_status choose_device(const char *device, const entrain_job *job, int *gpus, entrain_error *err) {
    entrain_error why = {0};
    *gpus = 0;
    if (strcmp(device, "cpu") == 0) return ENTRAIN_OK;
    const bool must = strcmp(device, "cuda") == 0;
    if (!must && strcmp(device, "auto") != 0)
        return error_set(err, ENTRAIN_USAGE, "--device %s: no such device; expected auto, cpu or cuda", device);
    const int here = backend_cuda_devices(&why);
    const bool missing = comm_any(job->c, here == 0);
    if (must && here == 0) return error_set(err, ENTRAIN_DEVICE, "--device cuda: %s Or use --device auto or cpu.", why.text);
    if (!missing) *gpus = here;
    if (missing && here > 0 && !must)
        log_warn("--device auto: there are GPUs here, but not on every rank's host; all ranks run on the CPU");
    return ENTRAIN_OK;
}

/* Two ranks on one GPU would wait for each other without end. Collective. */
static entrain_status check_own_device(const entrain_job *job, int gpus, entrain_error *err) {
    const comm *c = job->c;
    char host[128] = "this host";
    (void)gethostname(host, sizeof host - 1);
    int64_t *keys = calloc((size_t)c->size, sizeof *keys);
    if (keys == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory");
    keys[c->rank] = (int64_t)job->be->key;
    entrain_status status = comm_allreduce(job->c, keys, (size_t)c->size, COMM_I64, NULL);
    for (int other = 0; other < c->size && status == ENTRAIN_OK; other++)
        if (other != c->rank && keys[other] == keys[c->rank])
            status =
                error_set(err, ENTRAIN_DEVICE,
                          "host %s: ranks %d and %d would share %s; %d ranks were started here and %d GPUs are visible. Each rank needs a "
                          "GPU of its own: start at most as many ranks a host (mpirun --map-by ppr:%d:node ...), or let each rank see "
                          "another one in CUDA_VISIBLE_DEVICES.",
                          host, c->rank < other ? c->rank : other, c->rank < other ? other : c->rank, job->be->description, c->local_size,
                          gpus, gpus);
    free(keys);
    return status;
}

/* This rank's GPU, and the communicator between them. Collective. */
static entrain_status open_gpu(entrain_job *job, int gpus, entrain_error *err) {
    entrain_status status = backend_open_cuda(job->c->local_rank % gpus, choose_threads(job), &job->be, err);
    status = job_agree(job, status, err);
    if (status == ENTRAIN_OK) status = job_agree(job, check_own_device(job, gpus, err), err);
    if (status != ENTRAIN_OK || job->c->size == 1) return status;
    comm *between = NULL;
    status = comm_open_nccl(job->c, &between, err);
    if (status != ENTRAIN_OK) return status;
    job->c = between;
    job->be->watch = comm_watch;
    job->be->watched = between;
    return ENTRAIN_OK;
}

static entrain_status open_device(const char *device, entrain_job *job, entrain_error *err) {
    int gpus = 0;
    entrain_status status = job_agree(job, choose_device(device, job, &gpus, err), err);
    if (status != ENTRAIN_OK) return status;
    status = gpus > 0 ? open_gpu(job, gpus, err) : backend_open_cpu(choose_threads(job), &job->be, err);
    return job_agree(job, status, err);
}

entrain_status entrain_job_open(const char *device, entrain_job **out, entrain_error *err) {
    *out = NULL;
    entrain_job *job = calloc(1, sizeof *job);
    if (job == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory");
    job->online_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    yield_when_crowded(job->online_cpus);
    entrain_status status = comm_open(&job->c, err);
    if (status == ENTRAIN_OK) {
        log_set_rank(job->c->rank);
        job->cpus = allowed_cpus();
        status = open_device(device, job, err);
    }
    if (status != ENTRAIN_OK && job->c == NULL) {
        free(job);
        return status;
    }
    *out = job;
    return status;
}

int entrain_job_rank(const entrain_job *job) {
    return job->c->rank;
}

int entrain_job_size(const entrain_job *job) {
    return job->c->size;
}

int entrain_job_agreed(const entrain_job *job) {
    return job->agreed;
}

void entrain_job_close(entrain_job *job) {
    if (job == NULL) return;
    if (job->be != NULL) job->be->watch = NULL;
    comm_close(job->c); /* first: its last collectives are on the backend's stream */
    if (job->be != NULL) backend_close(job->be);
    free(job);
}

void entrain_job_abort(entrain_job *job, int code) {
    comm_abort(job == NULL ? NULL : job->c, code);
}

/* The lowest rank whose status is not ENTRAIN_OK; every rank hears it. */
static int lowest_failing(comm *c, entrain_status mine) {
    for (int rank = 0; rank < c->size; rank++) {
        int64_t code = c->rank == rank ? (int64_t)mine : 0;
        if (comm_broadcast(c, &code, 1, COMM_I64, rank, NULL) != ENTRAIN_OK || code != ENTRAIN_OK) return rank;
    }
    return 0;
}

entrain_status job_agree(entrain_job *job, entrain_status mine, entrain_error *err) {
    comm *c = job->c;
    job->agreed = true;
    if (!comm_any(c, mine != ENTRAIN_OK)) return mine;
    entrain_error heard = *err;
    const int from = lowest_failing(c, mine);
    if (comm_broadcast(c, &heard, sizeof heard, COMM_BYTE, from, NULL) != ENTRAIN_OK) heard = c->error;
    *err = heard;
    return err->status;
}
