/* What the commands of the program share: options, errors, the job. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "entrain/entrain.h"

/* An option of a command: a flag when value is NULL. "--name VALUE" and "--name=VALUE" are both taken. */
typedef struct cli_option {
    const char *name;   /* "--out" */
    const char **value; /* receives the argument */
    bool *flag;         /* or is set */
} cli_option;

enum { CLI_MAX_SETS = 128 };

/* Arguments of a command, sorted into positional ones and --set overrides. */
typedef struct cli_arguments {
    const char **positional; /* points into argv */
    int count;
    const char *sets[CLI_MAX_SETS];
    int set_count;
} cli_arguments;

/*
 * Sort argv (after the command's name). Prints usage and returns false after setting *code: 0 for --help, 2 for a mistake, which it names.
 */
bool cli_parse(int argc, const char **argv, const cli_option *options, int option_count, const char *usage, cli_arguments *out, int *code);
/* A whole number from text; a mistake is printed and false returned. */
bool cli_integer(const char *option, const char *text, long long low, long long high, long long *out);
/* Print a usage mistake with a hint; returns 2. */
int cli_mistake(const char *usage, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print the error on the ranks that should, end the job with its status, and return the program's exit code. */
int cli_finish(entrain_job *job, entrain_status status, const entrain_error *err);

/* A command that needs a job and a configuration: opens both, runs body, finishes. context: the command's own. */
typedef entrain_status (*cli_body)(entrain_job *job, entrain_config *config, void *context, entrain_error *err);
int cli_run(const char *device, const char *path, const cli_arguments *a, cli_body body, void *context);

/* Options of eval and predict about how images are evaluated; NULL or false where not given. Rows for cli_parse: CLI_EVAL_OPTIONS of them.
 */
typedef struct cli_eval {
    const char *scales, *short_sides, *max_side, *mode, *crop, *stride;
    bool flip;
} cli_eval;
enum { CLI_EVAL_TEXT = 1024, CLI_EVAL_OPTIONS = 7 };
#define CLI_EVAL_ROWS(e)                                                                                                                   \
    {"--scales", &(e).scales, NULL}, {"--short-sides", &(e).short_sides, NULL}, {"--max-side", &(e).max_side, NULL},                       \
        {"--mode", &(e).mode, NULL}, {"--crop", &(e).crop, NULL}, {"--stride", &(e).stride, NULL}, {                                       \
        "--flip", NULL, &(e).flip                                                                                                          \
    }
#define CLI_EVAL_USAGE                                                                                                                     \
    "How images are evaluated, in place of eval.* in the file:\n"                                                                          \
    "  --scales 0.5,0.75,1      factors by which images are resized; the probabilities are averaged (eval.scales)\n"                       \
    "  --short-sides 300,400    or pixels of the shorter side (eval.short_sides)\n"                                                        \
    "  --max-side N             with --short-sides: cap of the longer side (eval.max_side)\n"                                              \
    "  --flip                   average with the mirrored image too (eval.flip)\n"                                                         \
    "  --mode whole|slide       whole images, or overlapping windows (eval.mode)\n"                                                        \
    "  --crop H,W --stride H,W  of windows (eval.crop, eval.stride)\n"
/* Turn them into overrides, after --set's. text keeps them. False after a mistake, with *code set. */
bool cli_eval_sets(const cli_eval *o, const char *usage, cli_arguments *a, char text[CLI_EVAL_TEXT], int *code);
/* ENTRAIN_USAGE for an option that does nothing with the configuration that came of them: --crop where images are evaluated whole. */
entrain_status cli_eval_check(const cli_eval *o, const entrain_config *config, entrain_error *err);

int cmd_train(int argc, const char **argv);
int cmd_check(int argc, const char **argv);
int cmd_pack(int argc, const char **argv);
int cmd_verify(int argc, const char **argv);
int cmd_unpack(int argc, const char **argv);
int cmd_eval(int argc, const char **argv);
int cmd_predict(int argc, const char **argv);
int cmd_bench(int argc, const char **argv);
int cmd_info(int argc, const char **argv);
int cmd_config(int argc, const char **argv);

#endif
