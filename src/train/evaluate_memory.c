/* What an evaluation will do and need, said before it begins. */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "train/evaluate_internal.h"

#define MIB 1048576.0

/* "0.5, 1" */
static void list_text(const config_list *list, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < list->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%g", i > 0 ? ", " : "", list->values[i]);
}

static void say_how(const config *c) {
    char sizes[256], cap[64] = "", windows[96] = "whole images";
    const bool sides = c->eval.short_sides.count > 0;
    int crop[2], stride[2];
    list_text(sides ? &c->eval.short_sides : &c->eval.scales, sizes, sizeof sizes);
    if (sides && c->eval.max_side > 0) (void)snprintf(cap, sizeof cap, " (longer side at most %d)", c->eval.max_side);
    if (config_windows(c, crop, stride))
        (void)snprintf(windows, sizeof windows, "windows of %dx%d every %dx%d", crop[0], crop[1], stride[0], stride[1]);
    log_info("evaluation: %s, %s %s%s, %s", windows, sides ? "shorter sides" : "scales", sizes, cap,
             c->eval.flip ? "each mirrored as well" : "not mirrored");
}

/* The most bytes that any image of a set takes of each kind: memory grows to what is met, so these may be of different images. */
typedef struct need {
    size_t scores, input, image;
    int largest[2];                /* window, (h,w) */
    int windows[EVALUATE_NETS][2]; /* of different sizes: the first that were met */
    int window_count;              /* of these */
} need;

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Pixels as the network's layers see them: a window that is no multiple of a stride is filled up. */
static size_t area(int h, int w) {
    enum { STRIDE = 32 };
    return (size_t)((h + STRIDE - 1) / STRIDE) * (size_t)((w + STRIDE - 1) / STRIDE);
}

static void add_window(need *n, int h, int w) {
    /* twice: as the host makes it, and where the network reads it */
    n->input = most(n->input, 2 * (size_t)h * (size_t)w * 3 * sizeof(float));
    if (area(h, w) > area(n->largest[0], n->largest[1])) n->largest[0] = h, n->largest[1] = w;
    for (int i = 0; i < n->window_count; i++)
        if (n->windows[i][0] == h && n->windows[i][1] == w) return;
    if (n->window_count == EVALUATE_NETS) return;
    n->windows[n->window_count][0] = h;
    n->windows[n->window_count++][1] = w;
}

static need need_of(const evaluator *e, const shard_set *shards) {
    need n = {0};
    int before[2] = {0, 0};
    for (int64_t i = 0; i < shard_count(shards); i++) {
        int h = 0, w = 0;
        fuse_plan how;
        shard_size(shards, i, &h, &w);
        if (h == before[0] && w == before[1]) continue;
        before[0] = h;
        before[1] = w;
        fuse_plan_make(e->c, e->classes, h, w, h, w, &how);
        n.scores = most(n.scores, fuse_bytes(&how, e->be->threads));
        n.image = most(n.image, (size_t)5 * (size_t)h * (size_t)w); /* three colours, label, prediction */
        for (int p = 0; p < how.count; p++) add_window(&n, how.passes[p].window_h, how.passes[p].window_w);
    }
    return n;
}

void evaluator_describe(evaluator *e, const shard_set *shards) {
    char network[160] = "the network's own", kept[96] = "";
    say_how(e->c);
    const need n = need_of(e, shards);
    const net_options o = evaluator_net_options(e, n.largest[0], n.largest[1]);
    entrain_error err;
    net_memory m;
    size_t others = EVALUATE_KEPT_BYTES;
    if (net_measure(e->g, e->be, e->self, &o, &m, &err) == ENTRAIN_OK) {
        const size_t one = m.arena + m.norm_state, all = (size_t)(n.window_count - 1) * one;
        (void)snprintf(network, sizeof network, "%.1f MiB for the network on %dx%d pixels", (double)one / MIB, o.h, o.w);
        others = all < others ? all : others;
    }
    if (n.window_count > 1) (void)snprintf(kept, sizeof kept, ", %.1f MiB for networks of other sizes", (double)others / MIB);
    log_info(
        "memory for images of these sizes: at most %.1f MiB for scores, %.1f MiB for the network's input, %.1f MiB for an image and its "
        "labels, %s%s",
        (double)n.scores / MIB, (double)n.input / MIB, (double)n.image / MIB, network, kept);
}
