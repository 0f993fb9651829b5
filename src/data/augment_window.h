/* Evaluation's input: windows of the resized picture, sampled straight from the decoded one, which is never resized as a whole. */
#ifndef DATA_AUGMENT_WINDOW_H
#define DATA_AUGMENT_WINDOW_H

#include "data/loader.h"

/* A window (h,w) at (y,x) of a picture resized to (scaled_h,scaled_w), and then mirrored where flip says so. */
typedef struct augment_place {
    int scaled_h, scaled_w;
    bool flip;
    int y, x, h, w;
} augment_place;

/*
 * The window's pixels (h,w,3), bilinear as augment.c says and normalised by o's mean and std. Pixel for pixel what cutting the window out
 * of augment_plain's picture would give. Rows are shared out among so many threads.
 */
void augment_window(const augment_options *o, const image *picture, const augment_place *place, int threads, float *pixels);

#endif
