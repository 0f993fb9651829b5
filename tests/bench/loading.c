/*
 * The loader on shards: images per second, warm, with its batches taken as fast as they come and normalised; and what decoding alone costs,
 * on as many threads, of the same samples' bytes: whole images, and the parts that the loader decodes. loading.py runs this beside PyTorch.
 */
#include <getopt.h>
#include <omp.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/memory.h"
#include "bench.h"
#include "data/loader_internal.h"

enum { SECONDS_WARM = 1 };

typedef struct settings {
    const char *folder;
    loader_options loader;
    double seconds;
    backend *cpu;
    float *floats; /* (global_batch,height,width,3) */
} settings;

/* All encoded samples of the set, kept in memory. */
typedef struct samples {
    int count;
    shard_sample *all; /* (count) */
} samples;

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of all of the process's threads. */
static double cpu_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Images per second, and processor time of one in ms: the latter says little less on a machine that others use too. */
typedef struct rate {
    double images, ms;
} rate;

static rate rate_since(double begin, double cpu_begin, uint64_t images) {
    return (rate){(double)images / (now() - begin), 1e3 * (cpu_now() - cpu_begin) / (double)images};
}

static void check(entrain_status status, const entrain_error *err) {
    if (status == ENTRAIN_OK) return;
    (void)fprintf(stderr, "%s\n", err->text);
    exit((int)status);
}

static samples read_all(shard_set *set) {
    samples s = {.count = (int)shard_count(set)};
    s.all = must(calloc((size_t)s.count, sizeof *s.all));
    entrain_error err;
    for (int i = 0; i < s.count; i++) check(shard_read(set, i, &s.all[i], &err), &err);
    return s;
}

/* Batches as a step on the CPU takes them: normalised to floats, on one thread. */
static uint64_t take_batches(const settings *s, loader *l, double seconds) {
    entrain_error err;
    const loader_options *o = &s->loader;
    tensor floats = {s->floats, o->global_batch, o->height, o->width, 3, F32};
    uint64_t images = 0;
    for (const double begin = now(); now() - begin < seconds;) {
        const batch *b = NULL;
        check(loader_next(l, &b, &err), &err);
        s->cpu->ops->normalise(s->cpu, b->images, o->augment.mean, o->augment.std, &floats);
        images += (uint64_t)b->n;
        loader_release(l, b);
    }
    return images;
}

static rate loader_rate(const settings *s, shard_set *set) {
    entrain_error err;
    loader *l = NULL;
    check(loader_open(set, &s->loader, &l, &err), &err);
    (void)take_batches(s, l, SECONDS_WARM);
    const double begin = now(), cpu_begin = cpu_now();
    const rate r = rate_since(begin, cpu_begin, take_batches(s, l, s->seconds));
    loader_close(l);
    return r;
}

/* Decode the sample of one position whole, or the parts that the loader would. */
static void decode_one(const settings *s, const samples *all, loader_worker *w, sampler *order, uint64_t position, bool whole) {
    entrain_error err;
    int64_t index;
#pragma omp critical
    index = sampler_index(order, position);
    const shard_sample *sample = &all->all[index];
    if (whole) {
        check(image_decode_rgb(w->decoder, sample->image, sample->image_size, "image", &w->picture, &err), &err);
        check(image_decode_label(w->decoder, sample->label, sample->label_size, "label", &w->label, &err), &err);
    } else {
        check(loader_decode(&s->loader, w, sample, position, "sample", &err), &err);
    }
}

static rate decode_rate(const settings *s, const samples *all, bool whole) {
    sampler *order = must(sampler_open(all->count, s->loader.seed, s->loader.shuffle));
    uint64_t done = 0;
    const double begin = now(), cpu_begin = cpu_now();
#pragma omp parallel num_threads(s->loader.workers) reduction(+ : done)
    {
        loader_worker w = {.decoder = must(image_decoder_open())};
        for (uint64_t i = (uint64_t)omp_get_thread_num(); now() - begin < s->seconds / 2; i += (uint64_t)s->loader.workers, done++)
            decode_one(s, all, &w, order, i, whole);
        loader_worker_free(&w);
    }
    const rate r = rate_since(begin, cpu_begin, done);
    sampler_close(order);
    return r;
}

static void pair(const char *text, double *first, double *second) {
    char *end = NULL;
    *first = strtod(text, &end);
    if (end == text || (*end != 'x' && *end != ',')) {
        (void)fprintf(stderr, "%s: expected two numbers, like 360x480 or 0.5,2\n", text);
        exit(2);
    }
    *second = strtod(end + 1, NULL);
}

static void usage(int code) {
    (void)fprintf(
        code == 0 ? stdout : stderr,
        "usage: bench_loading SHARDS --crop HxW [--scale MIN,MAX] [--photometric] [--cat-max-ratio R] [--workers N] [--batch N]\n"
        "                     [--seconds S]\n"
        "Prints a JSON object: images per second of the loader, and of decoding alone (whole images; what the loader decodes).\n");
    exit(code);
}

static settings parse(int argc, char **argv) {
    settings s = {.loader = {.augment = {.scale_min = 0.5,
                                         .scale_max = 2.0,
                                         .cat_max_ratio = 1.0,
                                         .flip = true,
                                         .mean = {0.485, 0.456, 0.406},
                                         .std = {0.229, 0.224, 0.225}},
                             .shuffle = true,
                             .global_batch = 8,
                             .last_step = INT64_MAX,
                             .workers = 2,
                             .prefetch = 2},
                  .seconds = 4.0};
    static const struct option options[] = {{"crop", 1, NULL, 'c'},          {"scale", 1, NULL, 's'},   {"photometric", 0, NULL, 'p'},
                                            {"cat-max-ratio", 1, NULL, 'r'}, {"workers", 1, NULL, 'w'}, {"batch", 1, NULL, 'b'},
                                            {"seconds", 1, NULL, 't'},       {"help", 0, NULL, 'h'},    {0}};
    double h = 0.0, w = 0.0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'c')
            pair(optarg, &h, &w);
        else if (o == 's')
            pair(optarg, &s.loader.augment.scale_min, &s.loader.augment.scale_max);
        else if (o == 'p')
            s.loader.augment.photometric = true;
        else if (o == 'r')
            s.loader.augment.cat_max_ratio = strtod(optarg, NULL);
        else if (o == 'w')
            s.loader.workers = number(optarg);
        else if (o == 'b')
            s.loader.global_batch = number(optarg);
        else if (o == 't')
            s.seconds = strtod(optarg, NULL);
        else
            usage(o == 'h' ? 0 : 2);
    }
    if (optind != argc - 1 || h < 1.0 || w < 1.0) usage(2);
    s.folder = argv[optind];
    s.loader.augment.crop_h = s.loader.height = (int)h;
    s.loader.augment.crop_w = s.loader.width = (int)w;
    s.loader.end = s.loader.global_batch;
    return s;
}

int main(int argc, char **argv) {
    settings s = parse(argc, argv);
    entrain_error err;
    shard_set *set = NULL;
    check(shard_open(s.folder, &set, &err), &err);
    check(backend_open_cpu(1, &s.cpu, &err), &err);
    s.floats = must(memory_alloc((size_t)s.loader.global_batch * (size_t)s.loader.height * (size_t)s.loader.width * 3 * sizeof(float)));
    s.loader.classes = shard_get_info(set)->classes;
    samples all = read_all(set);
    const rate whole = decode_rate(&s, &all, true), part = decode_rate(&s, &all, false), all_of_it = loader_rate(&s, set);
    (void)printf("{\"loader\": %.2f, \"loader_ms\": %.4f, \"whole\": %.2f, \"whole_ms\": %.4f, \"part\": %.2f, \"part_ms\": %.4f}\n",
                 all_of_it.images, all_of_it.ms, whole.images, whole.ms, part.images, part.ms);
    for (int i = 0; i < all.count; i++) shard_sample_free(&all.all[i]);
    free(all.all);
    memory_free(s.floats);
    backend_close(s.cpu);
    shard_close(set);
    return 0;
}
