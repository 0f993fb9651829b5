/* entrain check CONFIG.json */
#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain check CONFIG.json [--set key.path=value]... [--device auto|cpu|cuda]\n"
    "Validates the configuration and the shards, prints layers, parameters, memory plan and images per rank. Writes nothing.\n"
    "Under `mpirun -np N` it checks the run on N ranks.\n";

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)context;
    return entrain_check(job, config, err);
}

int cmd_check(int argc, const char **argv) {
    const char *device = "auto";
    const cli_option options[] = {{"--device", &device, NULL}};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 1, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected one configuration file");
    return cli_run(device, a.positional[0], &a, run, NULL);
}
