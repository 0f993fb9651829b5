/* entrain bench CONFIG.json */
#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain bench CONFIG.json [--steps N] [--warmup N] [--random CLASSES] [--json FILE] [--set key.path=value]...\n"
    "                     [--device auto|cpu|cuda]\n"
    "Takes some training steps and prints what they were spent on, beside the least that this machine could need for it.\n"
    "  --steps   steps to measure (10)\n"
    "  --warmup  steps before them (3)\n"
    "  --random  use random images of data.crop's size and so many classes; no shards are needed\n"
    "  --json    write the figures to FILE as well\n"
    "Writes nothing else. Under `mpirun -np N` it measures a step on N ranks.\n";

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    return entrain_bench(job, config, context, err);
}

int cmd_bench(int argc, const char **argv) {
    entrain_bench_options o = {0};
    const char *steps = "10", *warmup = "3", *random = NULL, *device = "auto";
    const cli_option options[] = {{"--steps", &steps, NULL},
                                  {"--warmup", &warmup, NULL},
                                  {"--random", &random, NULL},
                                  {"--json", &o.json, NULL},
                                  {"--device", &device, NULL}};
    cli_arguments a;
    int code = 0;
    long long n = 0;
    if (!cli_parse(argc, argv, options, 5, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected one configuration file");
    if (!cli_integer("--steps", steps, 1, 1000000, &n)) return ENTRAIN_USAGE;
    o.steps = (int)n;
    if (!cli_integer("--warmup", warmup, 0, 1000000, &n)) return ENTRAIN_USAGE;
    o.warmup = (int)n;
    if (random != NULL) {
        if (!cli_integer("--random", random, 2, 255, &n)) return ENTRAIN_USAGE;
        o.random_classes = (int)n;
    }
    return cli_run(device, a.positional[0], &a, run, &o);
}
