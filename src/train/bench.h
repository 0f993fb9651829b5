/* entrain bench: what bench.c measures and bench_report.c prints. */
#ifndef TRAIN_BENCH_H
#define TRAIN_BENCH_H

#include "backend/timed.h"
#include "train/trainer.h"

/* What steps were spent on. Times in milliseconds of a step, memory in MiB of this rank. */
typedef struct bench_figures {
    int steps;
    double shortest, median, longest, mean; /* of whole steps */
    double operation[OP_KINDS];             /* mean */
    double floor[OP_KINDS];                 /* the least that this machine needs for it; 0: unknown */
    double communication, data, other;      /* mean; other: what is in no line */
    double convolutions;                    /* the bare kernels of all convolutions */
    double library;                         /* the same by the library's own convolutions, whatever the network uses */
    double copy_rate;                       /* GB/s that a copy of large memory reads and writes */
    double operations;                      /* floating point operations of the convolutions of a step, 1e9 */
    double before, planned, peak;           /* resident before the network was made; the plan; highest resident */
} bench_figures;

void bench_print(const trainer *t, const bench_figures *f);
/* Write them as JSON; ENTRAIN_DEVICE where the file cannot be written. */
entrain_status bench_write_json(const trainer *t, const bench_figures *f, const char *path, entrain_error *err);

#endif
