/* entrain verify DIR */
#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain verify DIR [--threads N]\n"
    "Reads every sample of every shard in DIR: checksums, decoding, sizes, label range. Prints what is there: sizes,\n"
    "mean and standard deviation of the channels, how often each class occurs. With mpirun the ranks share the work.\n"
    "  --threads  threads of each rank (default: its CPUs)\n";

typedef struct verify_options {
    const char *folder;
    int threads;
} verify_options;

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config;
    const verify_options *o = context;
    return entrain_verify(job, o->folder, o->threads, err);
}

int cmd_verify(int argc, const char **argv) {
    const char *threads = NULL;
    const cli_option options[] = {{"--threads", &threads, NULL}};
    cli_arguments a;
    int code = 0;
    long long n = 0;
    if (!cli_parse(argc, argv, options, 1, USAGE, &a, &code)) return code;
    if (a.set_count > 0) return cli_mistake(USAGE, "--set does not apply: verifying has no configuration file");
    if (a.count != 1) return cli_mistake(USAGE, "expected one folder of shards");
    if (threads != NULL && !cli_integer("--threads", threads, 1, 1024, &n)) return ENTRAIN_USAGE;
    verify_options o = {a.positional[0], (int)n};
    return cli_run("cpu", NULL, &a, run, &o);
}
