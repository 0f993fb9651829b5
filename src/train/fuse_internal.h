/* What the files of fusing share. */
#ifndef TRAIN_FUSE_INTERNAL_H
#define TRAIN_FUSE_INTERNAL_H

#include "train/fuse.h"

/* Where a pixel lies between two of a smaller or larger row: value = first + (second - first) * weight. */
typedef struct fuse_tap {
    int32_t first, second;
    float weight; /* of second */
} fuse_tap;

/* Pixel j of n among m, as fuse.h says. */
static inline fuse_tap fuse_tap_make(int n, int m, int j) {
    const double at = (j + 0.5) * m / n - 0.5, x = at < 0.0 ? 0.0 : at;
    const int below = (int)x < m - 1 ? (int)x : m - 1;
    return (fuse_tap){below, below + 1 < m ? below + 1 : below, (float)(x - below)};
}

/* Places in fuse_memory, in floats. */
typedef struct fuse_layout {
    size_t slots[FUSE_MAX_PASSES]; /* of a pass: resident rows of windows, one after another */
    size_t window;                 /* one window's logits as the source gives them */
    size_t sums;                   /* a band's sums over passes */
    size_t scratch, each;          /* the threads' own memory, and how much each has */
    size_t cache, blend;           /* within it, behind an output row */
    size_t floats;                 /* of all */
} fuse_layout;
void fuse_layout_make(const fuse_plan *p, int threads, fuse_layout *out);
/* A row of windows: (columns, logits_h, logits_w, padded). */
size_t fuse_slot_floats(const fuse_plan *p, const fuse_pass *pass);

/* One pass while an image is fused. */
typedef struct fuse_state {
    const fuse_pass *pass;
    const float *slots;      /* (resident) rows of windows; row r lies in r % resident */
    fuse_tap *across;        /* (width) from the pass, or from its logits, to the output; mirrored back */
    fuse_tap *window_across; /* (window_w) from a window's logits to the window; NULL where it is not needed */
    int *covers;             /* (w) windows of a row that a column lies in; likewise */
} fuse_state;

/* The scores of output row y by one pass: row (width,padded). own: the thread's memory; cached: the rows of the pass in its cache, -1 for
 * none. */
void fuse_row(const fuse_plan *p, const fuse_layout *l, const fuse_state *s, int y, float *own, int cached[2], float *row);

#endif
