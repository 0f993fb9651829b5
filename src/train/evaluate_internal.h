/* What the files of evaluation share. */
#ifndef TRAIN_EVALUATE_INTERNAL_H
#define TRAIN_EVALUATE_INTERNAL_H

#include "data/augment_window.h"
#include "train/evaluate.h"
#include "train/fuse.h"

enum { EVALUATE_NETS = 8 };

/* Networks kept for sizes met before may take so much, besides the one in use. */
#define EVALUATE_KEPT_BYTES ((size_t)512 << 20)

/* Host or device memory that grows to the largest window met. */
typedef struct buffer {
    float *data;
    size_t floats;
} buffer;

struct evaluator {
    const graph *g;
    backend *be;
    const config *c;
    comm *self; /* a network in evaluation talks to nobody */
    int classes;
    dtype type; /* of activations */
    augment_options plain;
    struct {
        int h, w;
        net *net;
        int64_t used;
    } nets[EVALUATE_NETS];
    int64_t clock;
    net *last;
    buffer pixels; /* host: one window of the resized image */
    buffer images; /* device: network input */
    buffer scores; /* host: of every pixel, where they are asked for */
    buffer raw;    /* host: logits of the last pass */
    fuse_memory fusing;
};

/* Of the network for windows of (h,w). */
net_options evaluator_net_options(const evaluator *e, int h, int w);

#endif
