/* The insides of the public API's opaque types. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include <stdbool.h>

#include "backend/backend.h"
#include "comm/comm.h"
#include "config/config.h"
#include "entrain/entrain.h"

struct entrain_job {
    comm *c;
    backend *be;
    int cpus;        /* that this rank may run on */
    int online_cpus; /* of this host */
    bool agreed;
};

struct entrain_config {
    config c;
};

/*
 * Let all ranks know whether any failed: the lowest failing rank's error goes to everyone, so that all return the same status and can end
 * in good order. Collective. mine: this rank's status.
 */
entrain_status job_agree(entrain_job *job, entrain_status mine, entrain_error *err);

#endif
