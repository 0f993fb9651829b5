/*
 * The convolutions of DeepLab-ResNet50 at output stride 8, geometry by geometry: time of a pass's kernel and its operations per second,
 * what the rest of the pass adds (above all the order of the weights), and which kernel it is; "by taps" as in taps.h. Every layer has
 * weights of its own and the layers run in the network's order, so that caches hold what they would in a step. The best of some rounds.
 *
 * usage: bench_convolutions [--threads N] [--images N] [--size N] [--classes N] [--bf16] [--rounds N] [--short]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/log.h"
#include "base/random.h"
#include "bench.h"
#include "model/graph.h"

enum { MAX_LAYERS = 128, PASSES = 3 };

typedef struct options {
    int threads, images, size, classes, rounds;
    bool brief; /* totals only */
    dtype type;
} options;

typedef struct layer {
    conv_desc d;
    conv *cv;
    float *w, *dw;
    double kernel[PASSES], whole[PASSES]; /* best seconds; forward, data, weights */
} layer;

typedef struct bench {
    backend *be;
    layer layers[MAX_LAYERS];
    int count;
    void *x, *y, *workspace;
    float *bias;
} bench;

static double operations(const conv_desc *d) {
    const double out = (double)conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation) *
                       conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation);
    return 2.0 * d->n * out * d->c_in * d->c_out * d->kernel * d->kernel;
}

static void *filled(backend *be, size_t count, dtype type, double range) {
    float *host = must(malloc(count * sizeof *host));
    void *p = must(be->ops->alloc(be, count * sizeof(float)));
    random_stream s = random_open(1, RANDOM_TEST, count);
    for (size_t i = 0; i < count; i++) host[i] = (float)random_range(&s, -range, range);
    be->ops->upload_floats(be, p, type, host, count);
    free(host);
    return p;
}

/* Layers of the graph at this size. The classifier's output is float32. */
static void add_layers(bench *b, const options *o) {
    config c = {.model = {.backbone = BACKBONE_RESNET50, .output_stride = 8, .head = HEAD_DEEPLAB_V2}};
    params p;
    graph g;
    entrain_error err = {ENTRAIN_OK, ""};
    if (model_build(&c, o->classes, &p, &g, &err) != ENTRAIN_OK) exit((int)err.status);
    int *side = must(calloc((size_t)g.count, sizeof *side));
    for (int i = 0; i < g.count; i++) {
        const node *q = &g.nodes[i];
        const int in = q->kind == NODE_INPUT ? o->size : side[q->inputs[0]];
        const bool windowed = q->kind == NODE_CONV || q->kind == NODE_MAXPOOL;
        side[i] = windowed ? conv_out(in, q->kernel, q->stride, q->padding, q->dilation) : in;
        if (q->kind != NODE_CONV || b->count == MAX_LAYERS) continue;
        b->layers[b->count++].d = (conv_desc){o->images,
                                              in,
                                              in,
                                              g.nodes[q->inputs[0]].channels,
                                              q->channels,
                                              q->kernel,
                                              q->stride,
                                              q->padding,
                                              q->dilation,
                                              1,
                                              q->bias >= 0,
                                              true,
                                              false,
                                              o->type,
                                              q->logits ? F32 : o->type,
                                              false};
    }
    free(side);
    graph_free(&g);
    params_free(&p);
}

static void make(bench *b, const options *o) {
    size_t workspace = 0, map = 0;
    for (int i = 0; i < b->count; i++) {
        layer *l = &b->layers[i];
        entrain_error err = {ENTRAIN_OK, ""};
        if (b->be->ops->conv_create(b->be, &l->d, &l->cv, &err) != ENTRAIN_OK) {
            (void)fprintf(stderr, "%s\n", err.text);
            exit((int)err.status);
        }
        for (int k = 0; k < PASSES; k++) l->kernel[k] = l->whole[k] = 1e9;
        if (b->be->ops->conv_workspace(l->cv) > workspace) workspace = b->be->ops->conv_workspace(l->cv);
        const size_t count = (size_t)l->d.c_in * (size_t)l->d.c_out * (size_t)l->d.kernel * (size_t)l->d.kernel;
        const size_t pixels = (size_t)l->d.n * (size_t)l->d.h * (size_t)l->d.w;
        if (pixels * (size_t)l->d.c_in > map) map = pixels * (size_t)l->d.c_in;
        if (pixels * (size_t)l->d.c_out > map) map = pixels * (size_t)l->d.c_out;
        l->w = filled(b->be, count, F32, 0.05);
        l->dw = filled(b->be, count, F32, 0.0);
    }
    b->workspace = must(b->be->ops->alloc(b->be, workspace));
    b->x = filled(b->be, map, o->type, 1.0);
    b->y = filled(b->be, map, o->type, 1.0);
    b->bias = filled(b->be, 4096, F32, 1.0);
}

static void shorter(double *best, double since) {
    const double seconds = log_seconds() - since;
    if (seconds < *best) *best = seconds;
}

static void time_pass(const bench *b, layer *l, int k) {
    const backend_ops *const ops = b->be->ops;
    float *const bias = l->d.bias ? b->bias : NULL;
    ops->finish(b->be);
    double since = log_seconds();
    if (k == 0) ops->conv_forward(b->be, l->cv, b->x, l->w, bias, b->y, b->workspace);
    if (k == 1) ops->conv_backward_data(b->be, l->cv, b->y, l->w, b->x, b->workspace);
    if (k == 2) ops->conv_backward_weights(b->be, l->cv, b->x, b->y, l->dw, bias, b->workspace);
    ops->finish(b->be);
    shorter(&l->whole[k], since);
    since = log_seconds();
    ops->conv_kernel(b->be, l->cv, k, b->x, b->y, b->workspace);
    ops->finish(b->be);
    shorter(&l->kernel[k], since);
}

static void run(bench *b, int rounds) {
    for (int r = 0; r <= rounds; r++) {
        for (int i = 0; i < b->count; i++) time_pass(b, &b->layers[i], 0);
        for (int i = b->count - 1; i >= 0; i--) {
            time_pass(b, &b->layers[i], 2);
            if (i > 0) time_pass(b, &b->layers[i], 1); /* images have no gradient */
        }
    }
}

static const char *const NAMES[PASSES] = {"forward", "data", "weights"};

static bool same(const conv_desc *a, const conv_desc *b) {
    return a->h == b->h && a->w == b->w && a->c_in == b->c_in && a->c_out == b->c_out && a->kernel == b->kernel && a->stride == b->stride &&
           a->dilation == b->dilation;
}

/* One line a pass for all layers of this geometry. */
static void print_geometry(const bench *b, int first) {
    const conv_desc *const d = &b->layers[first].d;
    for (int k = 0; k < PASSES; k++) {
        double kernel = 0.0, whole = 0.0;
        int count = 0;
        for (int i = first; i < b->count; i++) {
            const layer *l = &b->layers[i];
            if (!same(&l->d, d) || l->kernel[k] > 1e8) continue;
            kernel += l->kernel[k];
            whole += l->whole[k];
            count++;
        }
        if (count == 0) continue;
        bool by_taps;
        const char *const name = cpu_conv_implementation(b->layers[first].cv, k, &by_taps);
        (void)printf("%2d x %4d->%4d k%d s%d d%-2d of %3dx%-3d %-8s %8.3f ms %7.1f GFLOP/s, rest %7.3f ms %6.1f %%  %s%s\n", count, d->c_in,
                     d->c_out, d->kernel, d->stride, d->dilation, d->h, d->w, NAMES[k], 1e3 * kernel, count * operations(d) / kernel / 1e9,
                     1e3 * (whole - kernel), 100.0 * (whole / kernel - 1.0), name, by_taps ? ", by taps" : "");
    }
}

static bool seen(const bench *b, int which) {
    for (int i = 0; i < which; i++) {
        if (same(&b->layers[i].d, &b->layers[which].d)) return true;
    }
    return false;
}

static void print_sum(const char *name, double kernel, double whole, double ops) {
    (void)printf("%-8s kernels %8.1f ms %7.1f GFLOP/s, rest %7.1f ms %5.1f %%, together %8.1f ms\n", name, 1e3 * kernel, ops / kernel / 1e9,
                 1e3 * (whole - kernel), 100.0 * (whole / kernel - 1.0), 1e3 * whole);
}

static void print(const bench *b, bool brief) {
    double all[3] = {0.0, 0.0, 0.0};
    for (int i = 0; !brief && i < b->count; i++) {
        if (!seen(b, i)) print_geometry(b, i);
    }
    for (int k = 0; k < PASSES; k++) {
        double sum[3] = {0.0, 0.0, 0.0};
        for (int i = 0; i < b->count; i++) {
            const layer *l = &b->layers[i];
            if (l->kernel[k] > 1e8) continue;
            sum[0] += l->kernel[k];
            sum[1] += l->whole[k];
            sum[2] += operations(&l->d);
        }
        print_sum(NAMES[k], sum[0], sum[1], sum[2]);
        for (int i = 0; i < 3; i++) all[i] += sum[i];
    }
    print_sum("all", all[0], all[1], all[2]);
}

static options parse(int argc, char **argv) {
    options o = {.images = 2, .size = 193, .classes = 150, .rounds = 5, .type = F32};
    const struct {
        const char *name;
        int *value;
    } numbers[] = {
        {"--threads", &o.threads}, {"--images", &o.images}, {"--size", &o.size}, {"--classes", &o.classes}, {"--rounds", &o.rounds}};
    for (int i = 1; i < argc; i++) {
        bool known = strcmp(argv[i], "--bf16") == 0 || strcmp(argv[i], "--short") == 0;
        if (strcmp(argv[i], "--bf16") == 0) o.type = BF16;
        if (strcmp(argv[i], "--short") == 0) o.brief = true;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers && i + 1 < argc && !known; k++) {
            if (strcmp(argv[i], numbers[k].name) != 0) continue;
            *numbers[k].value = number(argv[++i]);
            known = true;
        }
        if (known) continue;
        (void)fprintf(stderr,
                      "usage: bench_convolutions [--threads N] [--images N] [--size N] [--classes N] [--bf16] [--rounds N] [--short]\n");
        exit(2);
    }
    return o;
}

int main(int argc, char **argv) {
    const options o = parse(argc, argv);
    static bench b;
    entrain_error err = {ENTRAIN_OK, ""};
    if (backend_open_cpu(o.threads, &b.be, &err) != ENTRAIN_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return (int)err.status;
    }
    add_layers(&b, &o);
    make(&b, &o);
    run(&b, o.rounds);
    (void)printf("%d threads, %d images of %dx%d, %s\n", b.be->threads, o.images, o.size, o.size, o.type == BF16 ? "bfloat16" : "float32");
    print(&b, o.brief);
    for (int i = 0; i < b.count; i++) {
        b.be->ops->conv_destroy(b.be, b.layers[i].cv);
        b.be->ops->release(b.be, b.layers[i].w);
        b.be->ops->release(b.be, b.layers[i].dw);
    }
    void *const device[] = {b.x, b.y, b.workspace, b.bias};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++) b.be->ops->release(b.be, device[k]);
    backend_close(b.be);
    return 0;
}
