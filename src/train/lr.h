/* Learning-rate schedules: a pure function of the configuration and the number of finished updates. */
#ifndef TRAIN_LR_H
#define TRAIN_LR_H

#include <stdint.h>

#include "config/config.h"

/*
 * lr of the update that follows `finished` ones. poly: lr (1 - t/T)^power; step: lr gamma^(milestones reached); cosine: lr (1 + cos(pi
 * t/T))/2; constant. During warm-up all of it times (t+1)/warmup.
 */
double lr_at(const config *c, int64_t finished);

#endif
