/* A job: the ranks that work together and the device that each computes on. */
#ifndef ENTRAIN_JOB_H
#define ENTRAIN_JOB_H

#include "entrain/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_job entrain_job;

/*
 * Open the job: all ranks when started by mpirun, one rank otherwise. device: "auto", "cpu" or "cuda". The job belongs to the caller, one a
 * process. ENTRAIN_COMM, ENTRAIN_DEVICE ("cuda" where this build or machine has none), ENTRAIN_USAGE (another word).
 */
ENTRAIN_API entrain_status entrain_job_open(const char *device, entrain_job **out, entrain_error *err);
ENTRAIN_API int entrain_job_rank(const entrain_job *job);
ENTRAIN_API int entrain_job_size(const entrain_job *job);
/* Ends the job in good order; every rank must come here. NULL is allowed. */
ENTRAIN_API void entrain_job_close(entrain_job *job);
/* Ends all ranks at once with this exit code, wherever they are. Does not return. */
ENTRAIN_API void entrain_job_abort(entrain_job *job, int code);
/* True when every rank came to the error in `err` together, so that all can end in good order and one message is enough. */
ENTRAIN_API int entrain_job_agreed(const entrain_job *job);

/* Version of the library, and a table of what this build and machine can do, on stdout. */
ENTRAIN_API const char *entrain_version(void);
ENTRAIN_API void entrain_print_info(const entrain_job *job);

#ifdef __cplusplus
}
#endif
#endif
