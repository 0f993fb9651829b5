/* entrain pack DATASET ... */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain pack DATASET --split NAME --out DIR [--root DIR] [option]...\n"
    "  --split        train, val, ...: names the shards, and the source's folder\n"
    "  --out          folder for the shards, made when missing\n"
    "  --root         folder of the source data set (not for synthetic)\n"
    "  --shards N     number of files (default: one for each 1000 samples, 2 to 256)\n"
    "  --max-side N   make larger images smaller: the longer side N pixels at most\n"
    "  --short-side N make larger images smaller: the shorter side N pixels\n"
    "  --codec C      keep (default): the source's bytes; jpeg:Q: JPEG of quality Q, 1 to 100; png. What is made smaller under\n"
    "                 keep becomes jpeg:95 where it was JPEG, png where it was PNG\n"
    "  --threads N    threads of each rank (default: its CPUs)\n"
    "  --classes F    folder: JSON table of classes; imagefolder: names of the classes, one a line\n"
    "  --list F       imagefolder: lines 'PATH CLASS_INDEX'; others that read files: ids of the split, one a line\n"
    "  --images-folder NAME, --labels-folder NAME   folder: within --root (default: images, labels)\n"
    "  --images N, --seed N, --size HxW             synthetic alone\n"
    "With mpirun the ranks share the shards out; the files are the same for any number of ranks and threads. Stopped (exit code 75)\n"
    "or killed, the same command goes on with the shards that are finished.\n";

/* Options as words. */
typedef struct pack_words {
    const char *shards, *images, *seed, *size, *max_side, *short_side, *codec, *threads;
} pack_words;

static int print_help(void) {
    (void)fputs(USAGE, stdout);
    (void)puts("data sets:");
    for (int i = 0; entrain_pack_name(i) != NULL; i++) (void)printf("  %-11s %s\n", entrain_pack_name(i), entrain_pack_help(i));
    return 0;
}

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    (void)config;
    return entrain_pack(job, context, err);
}

static bool small_number(const char *option, const char *text, int high, int *out) {
    long long n = 0;
    if (text == NULL) return true;
    if (!cli_integer(option, text, 1, high, &n)) return false;
    *out = (int)n;
    return true;
}

/* A number of digits alone, from 1 to high, at the beginning of a text; *rest is what follows it. */
static bool digits(const char *text, int high, int *out, const char **rest) {
    long n = 0;
    for (*rest = text; **rest >= '0' && **rest <= '9' && n <= high; ++*rest) n = 10 * n + (**rest - '0');
    *out = n <= high ? (int)n : 0;
    return n >= 1 && n <= high;
}

static bool codec(const char *text, entrain_pack_options *o) {
    const char *rest = "";
    if (text == NULL || strcmp(text, "keep") == 0) return true;
    if (strcmp(text, "png") == 0) {
        o->png = 1;
        return true;
    }
    if (strncmp(text, "jpeg:", 5) == 0 && digits(text + 5, 100, &o->jpeg_quality, &rest) && *rest == '\0') return true;
    (void)fprintf(stderr, "entrain: --codec %s: expected keep, png, or jpeg:Q with Q from 1 to 100, for example jpeg:90\n", text);
    return false;
}

static bool size(const char *text, entrain_pack_options *o) {
    enum { MOST = 1000000 }; /* which sizes can be drawn is said later */
    const char *rest = "";
    if (text == NULL) return true;
    if (digits(text, MOST, &o->height, &rest) && *rest == 'x' && digits(rest + 1, MOST, &o->width, &rest) && *rest == '\0') return true;
    (void)fprintf(stderr, "entrain: --size %s: expected HEIGHTxWIDTH in pixels, for example 160x208\n", text);
    return false;
}

static bool read_words(const pack_words *w, entrain_pack_options *o) {
    long long n = 0;
    if (w->images != NULL) {
        if (!cli_integer("--images", w->images, 1, 100000000, &n)) return false;
        o->images = n;
    }
    if (w->seed != NULL) {
        if (!cli_integer("--seed", w->seed, 0, 1LL << 53, &n)) return false;
        o->seed = (unsigned long long)n;
    }
    return small_number("--shards", w->shards, 99999, &o->shards) && small_number("--max-side", w->max_side, 32768, &o->max_side) &&
           small_number("--short-side", w->short_side, 32768, &o->short_side) && small_number("--threads", w->threads, 1024, &o->threads) &&
           codec(w->codec, o) && size(w->size, o);
}

int cmd_pack(int argc, const char **argv) {
    entrain_pack_options o = {0};
    pack_words w = {0};
    const cli_option options[] = {
        {"--root", &o.root, NULL},
        {"--split", &o.split, NULL},
        {"--out", &o.out, NULL},
        {"--shards", &w.shards, NULL},
        {"--max-side", &w.max_side, NULL},
        {"--short-side", &w.short_side, NULL},
        {"--codec", &w.codec, NULL},
        {"--threads", &w.threads, NULL},
        {"--classes", &o.classes, NULL},
        {"--list", &o.list, NULL},
        {"--images-folder", &o.images_folder, NULL},
        {"--labels-folder", &o.labels_folder, NULL},
        {"--images", &w.images, NULL},
        {"--seed", &w.seed, NULL},
        {"--size", &w.size, NULL},
    };
    cli_arguments a;
    int code = 0;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return print_help();
    if (!cli_parse(argc, argv, options, sizeof options / sizeof options[0], USAGE, &a, &code)) return code;
    if (a.count != 1) return cli_mistake(USAGE, "expected the name of one data set; `entrain pack --help` lists them");
    if (o.split == NULL || o.out == NULL) return cli_mistake(USAGE, "%s is missing", o.split == NULL ? "--split" : "--out");
    if (a.set_count > 0) return cli_mistake(USAGE, "--set does not apply: packing has no configuration file");
    if (!read_words(&w, &o)) return ENTRAIN_USAGE;
    o.dataset = a.positional[0];
    return cli_run("cpu", NULL, &a, run, &o);
}
