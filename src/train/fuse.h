/*
 * Fusing: from the network's logits of windows, at several sizes of the image, mirrored or not, to one label a pixel. Where the logits come
 * from is the caller's business (fuse_source).
 *
 * A pass is the image resized to (h,w), as it is or mirrored. Each of its pixels gets scores:
 *   whole  the pass is one window; its logits (ceil(h/stride), ceil(w/stride)) are resized to the output's size at once;
 *   slide  windows of the crop's size (the pass's where that is smaller), a step apart, the last ones flush with the lower and right
 *          edge; the logits of each are resized to the window's size, averaged where windows overlap, and the result is resized to the
 *          output's size.
 * With one pass these are the scores. With several, the softmax of each pass is mirrored back, and their mean over the passes is the score.
 * The label is the class of the largest score, the first of equals. Resizing is bilinear with half-pixel centres (align_corners false)
 * everywhere: pixel j of n lies at (j + 0.5) * m / n - 0.5 among m, not below 0, and takes two neighbours. All of it is float32, each
 * pixel by itself in one order of operations, whatever the number of threads.
 *
 * Memory: never a map of all scores. `band` rows of the output are made at a time (64, or fewer where their scores would take more than
 * FUSE_BAND_BYTES), and of each pass only the rows of windows that these rows need are kept, as logits. In floats, with C the classes
 * rounded up to FUSE_LANES:
 *   sum over passes of (window rows that a band touches) * (windows across) * ceil(window h / stride) * ceil(window w / stride) * C
 *   + the largest window's logits + band * width * C + threads * (width + 3 * width of the widest pass) * C
 * (whole: a row of logits in place of those 3 rows). fuse_bytes gives the sum. Only who asks for all scores pays for height * width *
 * classes more.
 */
#ifndef TRAIN_FUSE_H
#define TRAIN_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "entrain/status.h"

enum { FUSE_MAX_PASSES = 32, FUSE_BAND = 64, FUSE_BAND_LEAST = 8, FUSE_BAND_BYTES = 8 << 20, FUSE_LANES = 8 };

typedef struct fuse_pass {
    int h, w; /* of the resized image */
    bool flip;
    int window_h, window_w;
    int rows, columns;      /* of windows */
    int step_y, step_x;     /* between them */
    int logits_h, logits_w; /* of a window's logits */
    int resident;           /* rows of windows kept at a time */
} fuse_pass;

/* How an image is evaluated, and what it takes. */
typedef struct fuse_plan {
    int height, width; /* of the output */
    int classes;
    int padded;  /* classes, rounded up to FUSE_LANES */
    int band;    /* rows of the output made at a time */
    bool direct; /* whole: logits go to the output's size at once */
    int count;
    fuse_pass passes[FUSE_MAX_PASSES];
} fuse_plan;

/* One window of a pass: its place in the resized and, where the pass is mirrored, mirrored image. */
typedef struct fuse_window {
    const fuse_pass *pass;
    int y, x;
} fuse_window;

/* Whoever has logits: logits (pass->logits_h, pass->logits_w, classes) host memory, to be filled. Called from one thread, pass by pass,
 * rows of windows from top to bottom, once each. */
typedef struct fuse_source {
    entrain_status (*run)(void *context, const fuse_window *window, float *logits, entrain_error *err);
    void *context;
} fuse_source;

/* The plan for an image (image_h,image_w) by c's eval.* and model.output_stride, with an output of (height,width). */
void fuse_plan_make(const config *c, int classes, int image_h, int image_w, int height, int width, fuse_plan *out);
/* Start of window `index` of `count` along an axis of the pass. */
int fuse_window_start(int side, int window, int step, int index);
/* The rows of windows [*first, *last) of a pass that the output rows [begin, end) need. */
void fuse_rows_needed(const fuse_plan *p, const fuse_pass *pass, int begin, int end, int *first, int *last);
/* Memory that fuse_run takes with so many threads. */
size_t fuse_bytes(const fuse_plan *p, int threads);

/* ENTRAIN_DEVICE: so much is not to be had. */
entrain_status fuse_out_of_memory(size_t floats, entrain_error *err);

/* Memory kept from one image to the next; zero at first. */
typedef struct fuse_memory {
    float *floats;
    size_t capacity;
} fuse_memory;
void fuse_memory_free(fuse_memory *m);

/*
 * Fuse an image. labels (height,width) and scores (height,width,classes) may be NULL. ENTRAIN_DEVICE when out of memory,
 * ENTRAIN_NONFINITE where a logit is not a finite number, or what the source returns.
 */
entrain_status fuse_run(const fuse_plan *p, const fuse_source *source, int threads, fuse_memory *memory, uint8_t *labels, float *scores,
                        entrain_error *err);

#endif
