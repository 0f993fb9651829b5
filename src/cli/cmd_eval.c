/* entrain eval CONFIG.json --checkpoint ... */
#include <stdio.h>

#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain eval CONFIG.json --checkpoint FILE|RUN_DIR [--scales 0.5,0.75,1.0] [--flip] [--json FILE] [--set key.path=value]...\n"
    "  --checkpoint  a checkpoint, or a run folder (its best checkpoint, else its newest)\n"
    "  --scales      image scales whose scores are averaged (eval.scales)\n"
    "  --flip        average with the mirrored image too (eval.flip)\n"
    "  --json        write the figures to FILE as well\n";

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    return entrain_evaluate(job, config, context, err);
}

int cmd_eval(int argc, const char **argv) {
    entrain_eval_options o = {0};
    const char *scales = NULL, *device = "auto";
    bool flip = false;
    char set_scales[512];
    const cli_option options[] = {{"--checkpoint", &o.checkpoint, NULL},
                                  {"--json", &o.json, NULL},
                                  {"--scales", &scales, NULL},
                                  {"--flip", NULL, &flip},
                                  {"--device", &device, NULL}};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 5, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected one configuration file");
    if (o.checkpoint == NULL) return cli_mistake(USAGE, "--checkpoint is missing");
    if (a.set_count + 2 > CLI_MAX_SETS) return cli_mistake(USAGE, "too many --set options");
    if (scales != NULL) {
        if ((size_t)snprintf(set_scales, sizeof set_scales, "eval.scales=[%s]", scales) >= sizeof set_scales)
            return cli_mistake(USAGE, "--scales: too long");
        a.sets[a.set_count++] = set_scales;
    }
    if (flip) a.sets[a.set_count++] = "eval.flip=true";
    return cli_run(device, a.positional[0], &a, run, &o);
}
