/* Options about how images are evaluated, which eval and predict share: each is a key of eval.*. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static bool add(cli_arguments *a, const char *set, const char *usage, int *code) {
    if (a->set_count < CLI_MAX_SETS) {
        a->sets[a->set_count++] = set;
        return true;
    }
    *code = cli_mistake(usage, "more than %d --set options, these about evaluation included; put them into the configuration file",
                        CLI_MAX_SETS);
    return false;
}

/* Options that cannot both be meant. */
static bool contradict(const cli_eval *o, const char *usage, int *code) {
    const char *other = o->short_sides != NULL ? "--short-sides" : o->max_side != NULL ? "--max-side" : NULL;
    if (o->scales == NULL || other == NULL) return false;
    *code = cli_mistake(usage, "--scales and %s: sizes are given either as factors or as sides; leave one of them out", other);
    return true;
}

bool cli_eval_sets(const cli_eval *o, const char *usage, cli_arguments *a, char text[CLI_EVAL_TEXT], int *code) {
    const struct {
        const char *option, *key, *value;
        const char *before, *after; /* around the value: a list */
    } rows[] = {{"--scales", "eval.scales", o->scales, "[", "]"},
                {"--short-sides", "eval.short_sides", o->short_sides, "[", "]"},
                {"--max-side", "eval.max_side", o->max_side, "", ""},
                {"--mode", "eval.mode", o->mode, "", ""},
                {"--crop", "eval.crop", o->crop, "[", "]"},
                {"--stride", "eval.stride", o->stride, "[", "]"},
                {"--flip", "eval.flip", o->flip ? "true" : NULL, "", ""}};
    size_t used = 0;
    if (contradict(o, usage, code)) return false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value == NULL) continue;
        const int length =
            snprintf(text + used, CLI_EVAL_TEXT - used, "%s=%s%s%s", rows[i].key, rows[i].before, rows[i].value, rows[i].after);
        if ((size_t)length >= CLI_EVAL_TEXT - used) {
            *code = cli_mistake(usage, "%s: too long", rows[i].option);
            return false;
        }
        if (!add(a, text + used, usage, code)) return false;
        used += (size_t)length + 1;
    }
    /* Factors asked for here are meant, whatever the file says about sides. */
    return o->scales == NULL || add(a, "eval.short_sides=null", usage, code);
}

/* ---- once the configuration is known ---- */

/* Whether the configuration's eval.KEY, in JSON, begins with `value`. */
static bool eval_is(const char *json, const char *key, const char *value) {
    const char *at = strstr(json, "\"eval\"");
    if (at != NULL) at = strstr(at, key);
    if (at != NULL) at = strchr(at, ':');
    return at != NULL && strncmp(at + 1 + strspn(at + 1, " \t\n"), value, strlen(value)) == 0;
}

static entrain_status idle(entrain_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
static entrain_status idle(entrain_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return err->status = ENTRAIN_USAGE;
}

entrain_status cli_eval_check(const cli_eval *o, const entrain_config *config, entrain_error *err) {
    const char *window = o->crop != NULL ? "--crop" : o->stride != NULL ? "--stride" : NULL;
    char *json = entrain_config_json(config);
    entrain_status status = ENTRAIN_OK;
    if (json == NULL) return ENTRAIN_OK; /* what follows fails by itself */
    if (window != NULL && !eval_is(json, "\"mode\"", "\"slide\""))
        status = idle(err, "%s with eval.mode whole: there are no windows. Add --mode slide, or leave %s out.", window, window);
    else if (o->max_side != NULL && eval_is(json, "\"short_sides\"", "null"))
        status = idle(err, "--max-side without --short-sides: it limits the longer side to these. Add --short-sides, or leave it out.");
    free(json);
    return status;
}
