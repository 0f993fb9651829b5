/*
 * Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011).
 *
 * Every number is a pure function of (seed, stream, counter): nothing depends on the order in which threads or ranks draw,
 * and a resumed run draws what an unbroken one would have drawn.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* What a stream of numbers is for; the value enters the key, so purposes never share numbers. */
typedef enum random_purpose {
    RANDOM_INIT = 1,      /* initial weights; index = a hash of the tensor's name */
    RANDOM_SHUFFLE = 2,   /* order of samples; index = epoch */
    RANDOM_AUGMENT = 3,   /* augmentation; index = position of the sample in the run */
    RANDOM_DROPOUT = 4,   /* dropout; index = position of the sample in the run */
    RANDOM_SYNTHETIC = 5, /* the built-in data set; index = image number */
    RANDOM_TEST = 6
} random_purpose;

typedef struct random_stream {
    uint32_t key[2];
    uint32_t counter[4]; /* block number (2 words), index (2 words) */
    uint32_t block[4];
    int used; /* numbers of block already handed out */
} random_stream;

/* The four 32-bit numbers of one counter under one key. */
void random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* A stream for (seed, purpose, index), at its first number. */
random_stream random_open(uint64_t seed, random_purpose purpose, uint64_t index);

uint32_t random_u32(random_stream *s);
/* Uniform in [0, 1), 53 bits. */
double random_uniform(random_stream *s);
/* Uniform in [low, high). */
double random_range(random_stream *s, double low, double high);
/* Uniform in 0..n-1, without bias; n >= 1. */
uint32_t random_below(random_stream *s, uint32_t n);
/* Standard normal (Box-Muller; two uniforms a number). */
double random_normal(random_stream *s);
/* FNV-1a, to turn a name into an index. */
uint64_t random_hash(const char *text);

#endif
