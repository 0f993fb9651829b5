/* What activations are stored as: the configuration's wish, where the machine can do it. */
#ifndef TRAIN_PRECISION_H
#define TRAIN_PRECISION_H

#include "backend/backend.h"
#include "comm/comm.h"
#include "config/config.h"

/*
 * BF16 for train.precision bf16 where the backend computes with it at full speed on every rank; F32 otherwise, with a note on rank 0 where
 * that is not what was asked for. Collective, unless ranks is NULL: then this process alone counts.
 */
dtype precision_choose(const config *c, backend *be, comm *ranks);

#endif
