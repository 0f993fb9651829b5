/*
 * The backend's operations other than convolution against memory: milliseconds, the bytes that cannot be avoided per second, and how many
 * times that is the time of a plain copy of as many bytes, on maps of DeepLab-ResNet50 at output stride 8.
 *
 * usage: bench_operations [--threads N] [--images N] [--size N] [--bf16] [--rounds N]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/timed.h"
#include "base/log.h"
#include "base/random.h"
#include "bench.h"
#include "norm/norm.h"

typedef struct options {
    int threads, images, size, rounds;
    dtype type;
} options;

/* Everything that an operation may need, as large as the largest map. */
typedef struct memory {
    void *map[5];
    float *row[8];
    uint8_t *bytes;
    size_t elements;
} memory;

typedef struct bench {
    backend *be;
    const options *o;
    memory m;
    double copy_rate;
} bench;

static void fill(bench *b) {
    backend *be = b->be;
    const size_t n = b->m.elements, rows = (size_t)b->o->images * 2048;
    float *host = must(malloc((n > rows ? n : rows) * sizeof *host));
    random_stream s = random_open(1, RANDOM_TEST, 0);
    for (size_t i = 0; i < n; i++) host[i] = (float)random_range(&s, -1.0, 1.0);
    for (int k = 0; k < 5; k++) {
        b->m.map[k] = must(be->ops->alloc(be, n * sizeof(float)));
        be->ops->upload_floats(be, b->m.map[k], b->o->type, host, n);
    }
    for (int k = 0; k < 8; k++) {
        b->m.row[k] = must(be->ops->alloc(be, rows * sizeof(float)));
        be->ops->upload(be, b->m.row[k], host, (rows < n ? rows : n) * sizeof(float));
    }
    b->m.bytes = must(be->ops->alloc(be, n));
    free(host);
}

typedef void operation(const bench *b, norm_dims d);

static void run_copy(const bench *b, norm_dims d) {
    const void *const inputs[1] = {b->m.map[0]};
    b->be->ops->add(b->be, inputs, 1, b->m.map[1], (size_t)d.n * (size_t)d.p * (size_t)d.c, d.type);
}

static void run_moments(const bench *b, norm_dims d) {
    b->be->ops->norm_moments(b->be, b->m.map[0], d, b->m.row[0], b->m.row[1]);
}

static void run_affine(const bench *b, norm_dims d) {
    b->be->ops->norm_affine(b->be, b->m.map[0], d, b->m.row[2], b->m.row[3], b->m.row[4], NULL, true, b->m.map[1]);
}

static void run_affine_residual(const bench *b, norm_dims d) {
    b->be->ops->norm_affine(b->be, b->m.map[0], d, b->m.row[2], b->m.row[3], b->m.row[4], b->m.map[2], true, b->m.map[1]);
}

static void run_reduce(const bench *b, norm_dims d) {
    const norm_mask mask = {NULL, b->m.row[3], b->m.row[4]};
    b->be->ops->norm_reduce(b->be, b->m.map[0], mask, b->m.map[1], d, b->m.row[2], b->m.row[0], b->m.row[1]);
}

static void run_reduce_kept(const bench *b, norm_dims d) {
    const norm_mask mask = {b->m.map[2], NULL, NULL};
    b->be->ops->norm_reduce(b->be, b->m.map[0], mask, b->m.map[1], d, b->m.row[2], b->m.row[0], b->m.row[1]);
}

static void run_backward(const bench *b, norm_dims d) {
    const norm_mask mask = {NULL, b->m.row[3], b->m.row[4]};
    b->be->ops->norm_backward(b->be, b->m.map[0], mask, b->m.map[1], d, b->m.row[3], b->m.row[2], b->m.row[5], b->m.row[6], b->m.map[3],
                              NULL);
}

static void run_backward_residual(const bench *b, norm_dims d) {
    const norm_mask mask = {b->m.map[2], NULL, NULL};
    b->be->ops->norm_backward(b->be, b->m.map[0], mask, b->m.map[1], d, b->m.row[3], b->m.row[2], b->m.row[5], b->m.row[6], b->m.map[3],
                              b->m.map[4]);
}

static void run_accumulate(const bench *b, norm_dims d) {
    b->be->ops->accumulate(b->be, b->m.map[0], b->m.map[1], (size_t)d.n * (size_t)d.p * (size_t)d.c, d.type);
}

typedef struct row {
    const char *name;
    operation *run;
    int maps; /* read or written once */
} row;

static const row ROWS[] = {{"copy", run_copy, 2},
                           {"moments", run_moments, 1},
                           {"affine, ReLU", run_affine, 2},
                           {"affine, residual, ReLU", run_affine_residual, 3},
                           {"backward sums, mask from x", run_reduce, 2},
                           {"backward sums, mask from y", run_reduce_kept, 3},
                           {"backward map, mask from x", run_backward, 3},
                           {"backward map, residual", run_backward_residual, 5},
                           {"accumulate", run_accumulate, 3}};

static double best_seconds(const bench *b, operation *run, norm_dims d) {
    double best = 1e9;
    for (int i = 0; i < b->o->rounds; i++) {
        const double since = log_seconds();
        run(b, d);
        b->be->ops->finish(b->be);
        const double seconds = log_seconds() - since;
        if (seconds < best) best = seconds;
    }
    return best;
}

static void map_rows(bench *b, int side, int channels) {
    const norm_dims d = {b->o->images, side * side, channels, b->o->type};
    const double map = (double)d.n * d.p * d.c * (double)dtype_size(d.type);
    double copy = 0.0;
    (void)printf("map (%d,%d,%d,%d), %.1f MiB\n", d.n, side, side, channels, map / 1048576.0);
    for (size_t k = 0; k < sizeof ROWS / sizeof *ROWS; k++) {
        const double seconds = best_seconds(b, ROWS[k].run, d), rate = ROWS[k].maps * map / seconds;
        if (k == 0) copy = rate;
        (void)printf("  %-28s %8.3f ms %8.1f GB/s  %5.2f x copy\n", ROWS[k].name, 1e3 * seconds, rate / 1e9, copy / rate);
    }
}

static void optimiser_rows(bench *b) {
    const size_t n = b->m.elements / 4;
    float *const w = b->m.map[0], *const g = b->m.map[1], *const v = b->m.map[2];
    const sgd_segment all = {0, n, 1.0f, 1e-4f};
    const sgd_rule rule = {.lr = 1e-3, .momentum = 0.9};
    const backend_ops *const ops = b->be->ops;
    sgd_segment *const segments = must(ops->alloc(b->be, sizeof all));
    double *const sum = must(ops->alloc(b->be, sizeof *sum));
    ops->upload(b->be, segments, &all, sizeof all);
    double sgd = 1e9, squares = 1e9;
    for (int i = 0; i < b->o->rounds; i++) {
        double since = log_seconds();
        ops->sgd(b->be, w, g, v, n, segments, 1, &rule);
        ops->finish(b->be);
        if (log_seconds() - since < sgd) sgd = log_seconds() - since;
        since = log_seconds();
        ops->sum_squares(b->be, g, n, sum);
        ops->finish(b->be);
        if (log_seconds() - since < squares) squares = log_seconds() - since;
    }
    ops->release(b->be, segments);
    ops->release(b->be, sum);
    (void)printf("parameters, %.1f M\n  %-28s %8.3f ms %8.1f GB/s\n  %-28s %8.3f ms %8.1f GB/s\n", (double)n / 1e6, "SGD", 1e3 * sgd,
                 20.0 * (double)n / sgd / 1e9, "sum of squares", 1e3 * squares, 4.0 * (double)n / squares / 1e9);
}

static options parse(int argc, char **argv) {
    options o = {.threads = 0, .images = 2, .size = 193, .rounds = 20, .type = F32};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bf16") == 0)
            o.type = BF16;
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            o.threads = number(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--images") == 0)
            o.images = number(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--size") == 0)
            o.size = number(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--rounds") == 0)
            o.rounds = number(argv[++i]);
        else {
            (void)fprintf(stderr, "usage: bench_operations [--threads N] [--images N] [--size N] [--bf16] [--rounds N]\n");
            exit(2);
        }
    }
    return o;
}

int main(int argc, char **argv) {
    const options o = parse(argc, argv);
    entrain_error err = {ENTRAIN_OK, ""};
    bench b = {.o = &o};
    if (backend_open_cpu(o.threads, &b.be, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return (int)err.status;
    }
    const int half = (o.size + 1) / 2, quarter = (half + 1) / 2, eighth = (quarter + 1) / 2;
    const int maps[][2] = {{half, 64}, {quarter, 64}, {quarter, 256}, {eighth, 128}, {eighth, 512}, {eighth, 1024}, {eighth, 2048}};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const size_t elements = (size_t)o.images * (size_t)maps[i][0] * (size_t)maps[i][0] * (size_t)maps[i][1];
        if (elements > b.m.elements) b.m.elements = elements;
    }
    if (b.m.elements < (size_t)1 << 25) b.m.elements = (size_t)1 << 25; /* parameters */
    fill(&b);
    (void)printf("%d threads, %s\n", b.be->threads, o.type == BF16 ? "bfloat16" : "float32");
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) map_rows(&b, maps[i][0], maps[i][1]);
    if (o.type == F32) optimiser_rows(&b);
    for (int k = 0; k < 5; k++) b.be->ops->release(b.be, b.m.map[k]);
    for (int k = 0; k < 8; k++) b.be->ops->release(b.be, b.m.row[k]);
    b.be->ops->release(b.be, b.m.bytes);
    backend_close(b.be);
    return 0;
}
