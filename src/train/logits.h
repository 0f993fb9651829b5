/*
 * The network's scores as an HDF5 file: root attribute `classes` (names), and a group an image, called like its other files
 * (output_names.h), with attribute `file`, `logits` (C,h,w) at the network's resolution where one pass over the whole image made them, and
 * `logits_full` (C,H,W) at the image's, float32. Complete or absent.
 */
#ifndef TRAIN_LOGITS_H
#define TRAIN_LOGITS_H

#include "data/shard.h"
#include "entrain/status.h"

typedef struct logits_file logits_file;

/* Begin the file; info: for the classes' names. */
entrain_status logits_create(const char *path, const shard_info *info, logits_file **out, entrain_error *err);
/* Add an image: small (h,w,C), which may be NULL, and full (H,W,C) in host memory, as the network gives them. After a failure only
 * logits_abandon is left. */
entrain_status logits_add(logits_file *f, const char *name, const char *image_path, const float *small, int h, int w, const float *full,
                          int height, int width, entrain_error *err);
/* Finish the file under its name. Frees f whatever happens. */
entrain_status logits_finish(logits_file *f, entrain_error *err);
/* Throw it away and free f; NULL is let pass. */
void logits_abandon(logits_file *f);

#endif
