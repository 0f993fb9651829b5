/* entrain verify DIR */
#include "cli/cli.h"

static const char USAGE[] = "usage: entrain verify DIR\n"
                            "Reads every sample of every shard in DIR: checksums, decoding, sizes, label range; prints what is there.\n";

typedef struct verify_options {
    const char *folder;
} verify_options;

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config;
    const verify_options *o = context;
    return entrain_verify(job, o->folder, err);
}

int cmd_verify(int argc, const char **argv) {
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, NULL, 0, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected one folder of shards");
    verify_options o = {a.positional[0]};
    return cli_run("cpu", NULL, &a, run, &o);
}
