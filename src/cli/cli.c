#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_mistake(const char *usage, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "entrain: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n%s", usage);
    va_end(args);
    return ENTRAIN_USAGE;
}

/* The argument of the option at argv[*i]: after '=' or the next word. NULL when missing. */
static const char *argument(int argc, const char **argv, int *i, size_t name_length) {
    const char *word = argv[*i];
    if (word[name_length] == '=') return word + name_length + 1;
    if (*i + 1 >= argc) return NULL;
    return argv[++*i];
}

static bool names(const char *word, const char *option) {
    const size_t length = strlen(option);
    return strncmp(word, option, length) == 0 && (word[length] == '\0' || word[length] == '=');
}

static const cli_option *find(const cli_option *options, int count, const char *word) {
    for (int i = 0; i < count; i++)
        if (names(word, options[i].name)) return &options[i];
    return NULL;
}

/* One option word; returns false after a mistake. */
static bool take_option(int argc, const char **argv, int *i, const cli_option *o, const char *usage, int *code) {
    const size_t length = strlen(o->name);
    if (o->flag != NULL) {
        if (argv[*i][length] != '\0') {
            *code = cli_mistake(usage, "%s takes no value", o->name);
            return false;
        }
        *o->flag = true;
        return true;
    }
    *o->value = argument(argc, argv, i, length);
    if (*o->value == NULL) *code = cli_mistake(usage, "%s needs a value", o->name);
    return *o->value != NULL;
}

static bool take_set(int argc, const char **argv, int *i, cli_arguments *out, const char *usage, int *code) {
    const char *text = argument(argc, argv, i, strlen("--set"));
    if (text == NULL || strchr(text, '=') == NULL) {
        *code = cli_mistake(usage, "--set needs key.path=value, for example --set train.iterations=100");
        return false;
    }
    if (out->set_count == CLI_MAX_SETS) {
        *code = cli_mistake(usage, "more than %d --set options; put them into the configuration file", CLI_MAX_SETS);
        return false;
    }
    out->sets[out->set_count++] = text;
    return true;
}

bool cli_parse(int argc, const char **argv, const cli_option *options, int option_count, const char *usage, cli_arguments *out, int *code) {
    bool only_positional = false;
    *out = (cli_arguments){.positional = argv};
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_positional || word[0] != '-' || word[1] == '\0') {
            out->positional[out->count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_positional = true;
            continue;
        }
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            (void)fputs(usage, stdout);
            *code = 0;
            return false;
        }
        if (names(word, "--set")) {
            if (!take_set(argc, argv, &i, out, usage, code)) return false;
            continue;
        }
        const cli_option *o = find(options, option_count, word);
        if (o == NULL) {
            *code = cli_mistake(usage, "unknown option %s", word);
            return false;
        }
        if (!take_option(argc, argv, &i, o, usage, code)) return false;
    }
    return true;
}

bool cli_integer(const char *option, const char *text, long long low, long long high, long long *out) {
    char *end = NULL;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *out >= low && *out <= high) return true;
    (void)fprintf(stderr, "entrain: %s %s: expected a whole number from %lld to %lld\n", option, text, low, high);
    return false;
}

int cli_finish(entrain_job *job, entrain_status status, const entrain_error *err) {
    const bool alone = job == NULL || entrain_job_size(job) == 1;
    const bool agreed = alone || entrain_job_agreed(job);
    const int rank = job == NULL ? 0 : entrain_job_rank(job);
    (void)fflush(stdout);
    if (status != ENTRAIN_OK && (!agreed || rank == 0)) {
        if (!alone && !agreed) (void)fprintf(stderr, "[rank %d] ", rank);
        (void)fprintf(stderr, "entrain: %s\n", err->text);
        (void)fflush(stderr);
    }
    if (status != ENTRAIN_OK && !agreed) entrain_job_abort(job, (int)status); /* the others wait for this rank: end them too */
    entrain_job_close(job);
    return (int)status;
}

int cli_run(const char *device, const char *path, const cli_arguments *a, cli_body body, void *context) {
    entrain_error err = {ENTRAIN_OK, ""};
    entrain_job *job = NULL;
    entrain_config *config = NULL;
    entrain_status status = entrain_job_open(device, &job, &err);
    if (status == ENTRAIN_OK && path != NULL) status = entrain_config_load(job, path, a->sets, a->set_count, &config, &err);
    if (status == ENTRAIN_OK) status = body(job, config, context, &err);
    entrain_config_free(config);
    return cli_finish(job, status, &err);
}
