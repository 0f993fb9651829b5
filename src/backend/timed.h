/*
 * Timing a backend: its operation table is replaced by one whose functions call the original's and add up, by kind, the seconds they took
 * and the bytes they cannot avoid moving. Nobody who does not ask pays for it.
 */
#ifndef BACKEND_TIMED_H
#define BACKEND_TIMED_H

#include "backend/backend.h"

typedef enum op_kind {
    OP_CONV_FORWARD,
    OP_CONV_BACKWARD_DATA,
    OP_CONV_BACKWARD_WEIGHTS,
    OP_MOMENTS,
    OP_COEFFICIENTS,
    OP_AFFINE,
    OP_REDUCE,
    OP_NORM_BACKWARD,
    OP_POOL,
    OP_SUMS, /* of branches and of gradients; dropout */
    OP_LOSS,
    OP_OPTIMISER,
    OP_KINDS
} op_kind;

typedef struct op_times {
    double seconds[OP_KINDS];
    double bytes[OP_KINDS]; /* least traffic: every map read or written once; 0 where it is not what bounds the operation */
} op_times;

/* Begin to time; ENTRAIN_DEVICE when out of memory. backend_close ends it. */
entrain_status backend_time(backend *be, entrain_error *err);
/* The sums since the last call, or since backend_time. */
op_times backend_take_times(backend *be);
/* "convolution forward", ... */
const char *op_kind_name(op_kind kind);

#endif
