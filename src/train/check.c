/* entrain check: everything that training would open, and nothing written. */
#include <stdlib.h>

#include "base/log.h"
#include "train/trainer.h"

/* What this rank alone knows, put together by an allreduce over a table with a row a rank. */
static entrain_status print_ranks(const trainer *t) {
    comm *c = t->job->c;
    enum { COLUMNS = 3 };
    int64_t *table = calloc((size_t)c->size * COLUMNS, sizeof *table);
    if (table == NULL) return ENTRAIN_DEVICE;
    int64_t *mine = table + (size_t)c->rank * COLUMNS;
    mine[0] = t->end - t->begin;
    mine[1] = t->job->be->threads;
    mine[2] = t->job->cpus;
    const entrain_status status = comm_allreduce(c, table, (size_t)c->size * COLUMNS, COMM_I64, NULL);
    log_info("%6s %16s %8s %14s", "rank", "images a step", "threads", "allowed CPUs");
    for (int i = 0; i < c->size; i++)
        log_info("%6d %16lld %8lld %14lld", i, (long long)table[i * COLUMNS], (long long)table[i * COLUMNS + 1],
                 (long long)table[i * COLUMNS + 2]);
    free(table);
    return status;
}

entrain_status entrain_check(entrain_job *job, const entrain_config *settings, entrain_error *err) {
    trainer t;
    entrain_status status = trainer_open(&t, job, &settings->c, 0, err);
    if (status == ENTRAIN_OK) {
        trainer_print_banner(&t);
        log_info(" ");
        net_print_layers(t.net);
        log_info(" ");
        net_print_plan(t.net);
        log_info(" ");
        if (t.val != NULL) {
            evaluator_describe(t.evaluator, t.val);
            log_info(" ");
        }
        status = print_ranks(&t);
        if (status == ENTRAIN_OK)
            log_info("\nconfiguration and shards are in order; `entrain verify %s` reads every sample", settings->c.data.train);
    }
    trainer_close(&t);
    return status;
}
