/* A confusion matrix for programs (HDF5) and for people (a picture). Rows are the truth, columns the predictions. */
#ifndef TRAIN_CONFUSION_H
#define TRAIN_CONFUSION_H

#include "train/metrics.h"

/*
 * HDF5: dataset `confusion` (classes,classes) int64, root attributes `classes` (names), `miou`, `macc`, `aacc` (NaN where absent), `step`,
 * `images`. Equal matrices make equal files. ENTRAIN_DATA where it cannot be written.
 */
entrain_status confusion_write(const char *path, const int64_t *matrix, const metrics *m, const metrics_setting *setting,
                               const shard_info *info, entrain_error *err);

/*
 * PNG: a square a cell, darker for a larger part of its row, with the classes' names; where there are few classes the percentage stands in
 * it, unless it rounds to 0. Cells of the diagonal are outlined; rows without a pixel are grey, lighter than the lines.
 */
entrain_status confusion_picture(const char *path, const int64_t *matrix, const shard_info *info, entrain_error *err);

#endif
