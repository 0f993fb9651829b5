/* entrain predict CONFIG.json --checkpoint ... IMAGE... */
#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain predict CONFIG.json --checkpoint FILE|RUN_DIR --out DIR [OPTION...] [--set key.path=value]... [IMAGE...]\n"
    "Writes for each image (PNG or JPEG) DIR/NAME.png, labels in the data set's own ids, and DIR/NAME_overlay.png.\n"
    "  --checkpoint  a checkpoint, or a run folder (its best checkpoint, else its newest)\n"
    "  --logits      also write the scores of every pixel to an HDF5 file, and, of a single unmirrored pass over whole images, the\n"
    "                logits at the network's resolution\n"
    "  --val         also segment N images of data.val: DIR/NAME_compare.png shows image, truth and prediction side by side\n"
    "  --submit      write the labels alone, under the names and at the size that the data set's own evaluation expects; without\n"
    "                images for all of data.val. The ranks of mpirun share the work\n"
    "  --device      auto, cpu or cuda\n" CLI_EVAL_USAGE;

typedef struct command {
    entrain_predict_options o;
    cli_eval how;
} command;

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    const command *c = context;
    const entrain_status status = cli_eval_check(&c->how, config, err);
    return status == ENTRAIN_OK ? entrain_predict(job, config, &c->o, err) : status;
}

int cmd_predict(int argc, const char **argv) {
    command c = {0};
    const char *device = "auto", *val = NULL;
    char text[CLI_EVAL_TEXT];
    bool submit = false;
    long long samples = 0;
    const cli_option options[] = {{"--checkpoint", &c.o.checkpoint, NULL},
                                  {"--out", &c.o.out, NULL},
                                  {"--logits", &c.o.logits, NULL},
                                  {"--device", &device, NULL},
                                  {"--val", &val, NULL},
                                  {"--submit", NULL, &submit},
                                  CLI_EVAL_ROWS(c.how)};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 6 + CLI_EVAL_OPTIONS, USAGE, &a, &code)) return code;
    if (a.count < 1) return cli_mistake(USAGE, "no configuration file given");
    if (submit && (val != NULL || c.o.logits != NULL)) return cli_mistake(USAGE, "--submit goes without --val and --logits");
    if (a.count < 2 && val == NULL && !submit) return cli_mistake(USAGE, "no images given");
    if (val != NULL && !cli_integer("--val", val, 1, 1000000, &samples)) return ENTRAIN_USAGE;
    c.o.validation_samples = (int)samples;
    if (c.o.checkpoint == NULL || c.o.out == NULL)
        return cli_mistake(USAGE, "%s is missing", c.o.checkpoint == NULL ? "--checkpoint" : "--out");
    if (!cli_eval_sets(&c.how, USAGE, &a, text, &code)) return code;
    c.o.submit = submit;
    c.o.images = a.positional + 1;
    c.o.count = a.count - 1;
    return cli_run(device, a.positional[0], &a, run, &c);
}
