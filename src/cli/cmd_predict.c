/* entrain predict CONFIG.json --checkpoint ... IMAGE... */
#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain predict CONFIG.json --checkpoint FILE|RUN_DIR --out DIR [--logits FILE.h5] [--val N] [--set key.path=value]... [IMAGE...]\n"
    "Writes for each image (PNG or JPEG) DIR/NAME.png, labels in the data set's own ids, and DIR/NAME_overlay.png.\n"
    "  --logits  also write the logits, at the network's resolution and upsampled, to an HDF5 file\n"
    "  --val     also segment N images of data.val: DIR/NAME_compare.png shows image, truth and prediction side by side\n";

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    return entrain_predict(job, config, context, err);
}

int cmd_predict(int argc, const char **argv) {
    entrain_predict_options o = {0};
    const char *device = "auto", *val = NULL;
    long long samples = 0;
    const cli_option options[] = {{"--checkpoint", &o.checkpoint, NULL},
                                  {"--out", &o.out, NULL},
                                  {"--logits", &o.logits, NULL},
                                  {"--device", &device, NULL},
                                  {"--val", &val, NULL}};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 5, USAGE, &a, &code)) return code;
    if (a.count < 1) return cli_mistake(USAGE, "no configuration file given");
    if (a.count < 2 && val == NULL) return cli_mistake(USAGE, "no images given");
    if (val != NULL && !cli_integer("--val", val, 1, 1000000, &samples)) return ENTRAIN_USAGE;
    o.validation_samples = (int)samples;
    if (o.checkpoint == NULL || o.out == NULL) return cli_mistake(USAGE, "%s is missing", o.checkpoint == NULL ? "--checkpoint" : "--out");
    o.images = a.positional + 1;
    o.count = a.count - 1;
    return cli_run(device, a.positional[0], &a, run, &o);
}
