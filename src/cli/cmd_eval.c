/* entrain eval CONFIG.json --checkpoint ... */
#include "cli/cli.h"

static const char USAGE[] = "usage: entrain eval CONFIG.json --checkpoint FILE|RUN_DIR [OPTION...] [--set key.path=value]...\n"
                            "  --checkpoint  a checkpoint, or a run folder (its best checkpoint, else its newest)\n"
                            "  --json        write the figures to FILE as well\n"
                            "  --confusion   write the confusion matrix to FILE.h5 (rows: truth)\n"
                            "  --picture     draw it to FILE.png, each row normalised\n"
                            "  --device      auto, cpu or cuda\n" CLI_EVAL_USAGE;

typedef struct command {
    entrain_eval_options o;
    cli_eval how;
} command;

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    const command *c = context;
    const entrain_status status = cli_eval_check(&c->how, config, err);
    return status == ENTRAIN_OK ? entrain_evaluate(job, config, &c->o, err) : status;
}

int cmd_eval(int argc, const char **argv) {
    command c = {0};
    const char *device = "auto";
    char text[CLI_EVAL_TEXT];
    const cli_option options[] = {
        {"--checkpoint", &c.o.checkpoint, NULL}, {"--json", &c.o.json, NULL}, {"--confusion", &c.o.confusion, NULL},
        {"--picture", &c.o.picture, NULL},       {"--device", &device, NULL}, CLI_EVAL_ROWS(c.how)};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 5 + CLI_EVAL_OPTIONS, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected one configuration file");
    if (c.o.checkpoint == NULL) return cli_mistake(USAGE, "--checkpoint is missing");
    if (!cli_eval_sets(&c.how, USAGE, &a, text, &code)) return code;
    return cli_run(device, a.positional[0], &a, run, &c);
}
