/* Predictions as pictures: label maps in the data set's own ids, and overlays in its colours. */
#ifndef TRAIN_PICTURES_H
#define TRAIN_PICTURES_H

#include <stdint.h>

#include "data/image.h"
#include "data/shard.h"
#include "entrain/status.h"

/*
 * Lay the classes' colours over an RGB image of the labels' size, half and half, with darker lines where classes meet. Pixels whose
 * label is 255 stay as they are. labels (height,width), all below info->classes or 255.
 */
void picture_overlay(image *rgb, const uint8_t *labels, const shard_info *info);

/* A label map (height,width) as 8-bit grey PNG in the data set's own ids. ENTRAIN_DATA where it cannot be written. */
entrain_status picture_write_labels(const char *path, const uint8_t *labels, int height, int width, const shard_info *info,
                                    entrain_error *err);
/* An image of 1 or 3 channels as PNG. */
entrain_status picture_write(const char *path, const image *im, entrain_error *err);

enum { SUBMIT_NAME = 2 * SHARD_ID };
/* The name, without ".png", under which the evaluation of this data set looks for the labels of a sample: its id and what the data set's
 * table of classes has as submit_suffix. */
void submit_name(const char *dataset, const char *id, char name[SUBMIT_NAME]);

#endif
