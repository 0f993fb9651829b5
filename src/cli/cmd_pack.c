/* entrain pack DATASET ... */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char USAGE[] = "usage: entrain pack DATASET --split NAME --out DIR [--root DIR] [--shards N]\n"
                            "  --root    folder of the source data set (not for synthetic)\n"
                            "  --split   train, val, ...: names the shards, and the source's folder\n"
                            "  --out     folder for the shards, made when missing\n"
                            "  --shards  number of files (default: by size)\n"
                            "  synthetic alone: --images N, --seed N, --size HxW\n";

static int print_help(void) {
    (void)fputs(USAGE, stdout);
    (void)puts("data sets:");
    for (int i = 0; entrain_pack_name(i) != NULL; i++) (void)printf("  %-10s %s\n", entrain_pack_name(i), entrain_pack_help(i));
    return 0;
}

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config;
    return entrain_pack(job, context, err);
}

static bool numbers(const char *shards, const char *images, const char *seed, const char *size, entrain_pack_options *o) {
    long long n = 0;
    if (shards != NULL) {
        if (!cli_integer("--shards", shards, 1, 99999, &n)) return false;
        o->shards = (int)n;
    }
    if (images != NULL) {
        if (!cli_integer("--images", images, 1, 100000000, &n)) return false;
        o->images = n;
    }
    if (seed != NULL) {
        if (!cli_integer("--seed", seed, 0, 1LL << 53, &n)) return false;
        o->seed = (unsigned long long)n;
    }
    char rest = '\0';
    if (size != NULL && (sscanf(size, "%dx%d%c", &o->height, &o->width, &rest) != 2 || o->height < 16 || o->width < 16)) {
        (void)fprintf(stderr, "entrain: --size %s: expected HxW with at least 16 each, for example 160x208\n", size);
        return false;
    }
    return true;
}

int cmd_pack(int argc, const char **argv) {
    entrain_pack_options o = {0};
    const char *shards = NULL, *images = NULL, *seed = NULL, *size = NULL;
    const cli_option options[] = {{"--root", &o.root, NULL},   {"--split", &o.split, NULL}, {"--out", &o.out, NULL},
                                  {"--shards", &shards, NULL}, {"--images", &images, NULL}, {"--seed", &seed, NULL},
                                  {"--size", &size, NULL}};
    cli_arguments a;
    int code = 0;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return print_help();
    if (!cli_parse(argc, argv, options, 7, USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected the name of one data set; `entrain pack --help` lists them");
    if (o.split == NULL || o.out == NULL) return cli_mistake(USAGE, "%s is missing", o.split == NULL ? "--split" : "--out");
    if (!numbers(shards, images, seed, size, &o)) return ENTRAIN_USAGE;
    o.dataset = a.positional[0];
    return cli_run("cpu", NULL, &a, run, &o);
}
