/*
 * The data path of training: sampler -> one reader thread (the only user of HDF5) -> bounded queue -> worker threads that decode and
 * augment -> whole batches in order. Which sample stands where and how it is augmented is a pure function of (seed, position), with
 * position = step * global_batch + place in the batch: ranks, threads and resuming change nothing.
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "data/image.h"
#include "data/shard.h"
#include "entrain/status.h"

/* The index in the split of the sample at a position: epochs one after another, each shuffled by its own permutation (or in stored order).
 * Positions ascend fastest when asked in order. */
typedef struct sampler sampler;
/* NULL when out of memory, or for a count outside 1..2^32-1. */
sampler *sampler_open(int64_t samples, uint64_t seed, bool shuffle);
void sampler_close(sampler *s);
int64_t sampler_index(sampler *s, uint64_t position);

typedef struct augment_options {
    int crop_h, crop_w; /* 0, 0: no crop */
    double scale_min, scale_max;
    double cat_max_ratio; /* a class may fill this much of a crop; 1: whatever it fills, and 0 the same */
    bool flip, photometric;
    double mean[3], std[3];
} augment_options;

/*
 * One training sample: random scale, random crop (padded with the mean and label 255 where the scaled image is smaller), flip, photometric
 * distortion, rounded to bytes; draws in this order from (seed, RANDOM_AUGMENT, position). With everything off the stored pixels.
 * Bilinear for the image, nearest for labels, half-pixel centres. The mean pads; normalising is the backend's.
 * pixels (out_h,out_w,3), labels (out_h,out_w). scratch: reused between calls, zero at first, freed with augment_scratch_free.
 */
typedef struct augment_scratch {
    void *memory;
    size_t capacity;
} augment_scratch;
void augment_scratch_free(augment_scratch *s);
entrain_status augment_sample(const augment_options *o, const image *picture, const image *label, uint64_t seed, uint64_t position,
                              int out_h, int out_w, uint8_t *pixels, uint8_t *labels, augment_scratch *scratch, entrain_error *err);
/* Evaluation's input: picture resized bilinearly to (out_h,out_w) where that differs, normalised; flip mirrors it. */
void augment_plain(const augment_options *o, const image *picture, int out_h, int out_w, bool flip, float *pixels);

/* Where batches lie: zeroed memory, or NULL. All NULL: this process's own. */
typedef struct loader_memory {
    void *(*alloc)(void *context, size_t bytes);
    void (*release)(void *context, void *p);
    void *context;
} loader_memory;

typedef struct loader_options {
    augment_options augment;
    uint64_t seed;
    bool shuffle;
    int global_batch;
    int64_t begin, end; /* this rank's places in each global batch: [begin, end) */
    int64_t first_step; /* 0 at the start; the number of finished steps when resuming */
    int64_t last_step;  /* one past the last batch that will be asked for */
    int height, width;  /* of the batch: the crop, or the stored images' common size */
    int workers;        /* decoding threads, >= 1 */
    int prefetch;       /* finished batches kept ready, >= 1 */
    int classes;        /* labels must be below, or 255 */
    loader_memory memory;
} loader_options;

typedef struct batch {
    uint8_t *images; /* (n, height, width, 3) */
    uint8_t *labels; /* (n, height, width) */
    int n;
    uint64_t first_position; /* of images[0] in the run */
    int64_t *samples;        /* (n) index in the split */
} batch;

typedef struct loader loader;

/*
 * Start reading. ENTRAIN_USAGE for options that cannot be, ENTRAIN_DATA where a crop is needed: without one all images must be height x
 * width. Other HDF5 files may be used meanwhile by whoever holds h5_lock (base/h5lock.h), but not across loader_next or loader_close: the
 * reader needs it. The shard set belongs to the loader's reader until loader_close: nobody else may touch it meanwhile.
 */
entrain_status loader_open(shard_set *shards, const loader_options *o, loader **out, entrain_error *err);
/*
 * The next batch, valid until loader_release; up to prefetch + 1 may be held. Waits for it; a failed read, decode or a label out of range
 * comes out here, naming the earliest bad sample, after all batches before its own. ENTRAIN_USAGE past the last step.
 */
entrain_status loader_next(loader *l, const batch **out, entrain_error *err);
void loader_release(loader *l, const batch *b);
/* Stops all threads promptly, whatever they are doing. */
void loader_close(loader *l);

#endif
