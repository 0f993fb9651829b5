/*
 * entrain: data-parallel training of networks with Exemplar Normalization.
 *
 * A program opens a job, loads a configuration and calls what it needs:
 *
 *     entrain_error err;
 *     entrain_job *job;
 *     entrain_config *config;
 *     if (entrain_job_open("auto", &job, &err) == ENTRAIN_OK && entrain_config_load(job, "configs/quickstart.json", NULL, 0, &config, &err)
 * == ENTRAIN_OK) entrain_train(job, config, &(entrain_train_options){"runs/quickstart", 0}, &err);
 *
 * Functions return an entrain_status and describe a failure in their entrain_error. Nothing of MPI, HDF5 or a device shows in these
 * headers.
 */
#ifndef ENTRAIN_ENTRAIN_H
#define ENTRAIN_ENTRAIN_H

#include "entrain/config.h"
#include "entrain/data.h"
#include "entrain/eval.h"
#include "entrain/job.h"
#include "entrain/network.h"
#include "entrain/status.h"
#include "entrain/train.h"

#endif
