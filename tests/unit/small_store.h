/* A parameter store of a few tensors, filled with numbers, and a temporary folder, for tests of checkpoints. */
#ifndef SMALL_STORE_H
#define SMALL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/params.h"
#include "train/checkpoint.h"

enum { STORE_PATH = 512 };

/* Tensors of a convolution, an EN layer with methods "bn,in,ln", and a head. */
params store_make(backend *be);
/* Fill values, statistics and momentum with numbers that depend on seed. */
void store_fill(params *p, unsigned seed);
/* Whether all tensors and momenta are equal bit for bit. */
bool store_equal(const params *a, const params *b);

/* What the stored checkpoints say of themselves. */
extern const checkpoint_meta store_meta;

/* A new folder with checkpoints/ in it, like a run's; and its removal with all that is in it. */
void store_folder_make(char folder[STORE_PATH]);
void store_folder_remove(const char *folder);
/* Whole files. */
uint8_t *store_read_bytes(const char *path, size_t *size);
void store_write_bytes(const char *path, const void *bytes, size_t size);
bool store_exists(const char *path);

#endif
