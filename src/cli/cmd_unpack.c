/* entrain unpack DIR --out FOLDER */
#include "cli/cli.h"

static const char USAGE[] = "usage: entrain unpack DIR --out FOLDER [--train-ids] [--threads N]\n"
                            "Writes the samples of the shards in DIR as files, named by their ids: images/ID.jpg or .png, as they are\n"
                            "stored, and labels/ID.png; in classification CLASS/ID.jpg. With mpirun the ranks share the work.\n"
                            "  --out        folder for the files, made when missing\n"
                            "  --train-ids  label maps hold the classes as stored, 255 for ignored (default: the data set's own ids)\n"
                            "  --threads    threads of each rank (default: its CPUs)\n";

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config;
    return entrain_unpack(job, context, err);
}

int cmd_unpack(int argc, const char **argv) {
    entrain_unpack_options o = {0};
    const char *threads = NULL;
    bool train_ids = false;
    const cli_option options[] = {{"--out", &o.out, NULL}, {"--train-ids", NULL, &train_ids}, {"--threads", &threads, NULL}};
    cli_arguments a;
    int code = 0;
    long long n = 0;
    if (!cli_parse(argc, argv, options, 3, USAGE, &a, &code)) return code;
    if (a.set_count > 0) return cli_mistake(USAGE, "--set does not apply: unpacking has no configuration file");
    if (a.count != 1) return cli_mistake(USAGE, "expected one folder of shards");
    if (o.out == NULL) return cli_mistake(USAGE, "--out is missing");
    if (threads != NULL && !cli_integer("--threads", threads, 1, 1024, &n)) return ENTRAIN_USAGE;
    o.folder = a.positional[0];
    o.train_ids = train_ids;
    o.threads = (int)n;
    return cli_run("cpu", NULL, &a, run, &o);
}
