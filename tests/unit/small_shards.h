/* Small shard sets in a temporary folder, sound or with chosen faults, for tests of what reads them. */
#ifndef SMALL_SHARDS_H
#define SMALL_SHARDS_H

#include <stdbool.h>
#include <stdint.h>

struct shard_sample;

enum { SMALL_CLASSES = 5, SMALL_SHARDS = 2, SMALL_PATH = 256, SMALL_NOWHERE = -1 };

typedef struct small_shards {
    int samples;
    bool same_size;   /* all 24x32; else 20..40 pixels along each axis */
    int bad_label[2]; /* samples whose label has the value SMALL_CLASSES at x=3, y=2; SMALL_NOWHERE for none */
    int bad_image;    /* a sample whose image is no image */
    int bad_size;     /* a sample whose label is a row shorter than its image */
    int false_size;   /* a sample that is said to be 24x32 and is not */
    bool jpeg;        /* images are JPEG, waves instead of noise, and four times as large along each axis, as the label maps are */
    void (*change)(struct shard_sample *sample, int i); /* called with each sample before it is written; NULL: none */
    char folder[SMALL_PATH];                            /* filled */
} small_shards;

/* A sound set. */
small_shards small_shards_sound(int samples);
/* Write the set into a new temporary folder; fails the running test where that does not work. */
void small_shards_write(small_shards *s);
/* Change one stored byte of a sample's image. */
void small_shards_flip_byte(const small_shards *s, int sample);
/* Delete the folder. */
void small_shards_remove(const small_shards *s);

#endif
