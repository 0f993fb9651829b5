/* entrain info, entrain config */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

static const char INFO_USAGE[] =
    "usage: entrain info [--device auto|cpu|cuda]\nPrints versions, CPUs and threads of each rank, the device it would run on, and data sets.\n";
static const char CONFIG_USAGE[] =
    "usage: entrain config [--markdown | --schema]\n"
    "Prints every key of the configuration with type, default, range and meaning: as text, as a Markdown table, or as a JSON schema.\n";

static entrain_status run_info(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config, (void)context, (void)err;
    entrain_print_info(job);
    return ENTRAIN_OK;
}

int cmd_info(int argc, const char **argv) {
    cli_arguments a;
    const char *device = "auto";
    const cli_option options[] = {{"--device", &device, NULL}};
    int code = 0;
    if (!cli_parse(argc, argv, options, 1, INFO_USAGE, &a, &code)) return code;
    if (a.count != 0) return cli_mistake(INFO_USAGE, "%s: info takes no arguments", a.positional[0]);
    return cli_run(device, NULL, &a, run_info, NULL);
}

int cmd_config(int argc, const char **argv) {
    bool markdown = false, schema = false;
    const cli_option options[] = {{"--markdown", NULL, &markdown}, {"--schema", NULL, &schema}};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 2, CONFIG_USAGE, &a, &code)) return code;
    if (a.count != 0) return cli_mistake(CONFIG_USAGE, "%s: config takes no arguments", a.positional[0]);
    if (!schema) {
        entrain_config_print_help(markdown);
        return 0;
    }
    char *text = entrain_config_schema();
    if (text == NULL) return ENTRAIN_DEVICE;
    (void)fputs(text, stdout);
    free(text);
    return 0;
}
