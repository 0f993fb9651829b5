/*
 * Segmentation metrics from a confusion matrix over the whole data set, in the usual definitions: IoU = TP / (TP + FP + FN),
 * accuracy of a class = TP / (TP + FN). A class without any pixel in truth or prediction has no IoU, one without truth has no accuracy:
 * they are absent, and left out of the means. A class that is predicted but never true has IoU 0 and counts.
 */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/shard.h"

/* All figures are fractions, NaN where absent. */
typedef struct metrics {
    int classes;
    double iou[SHARD_MAX_CLASSES], accuracy[SHARD_MAX_CLASSES];
    double share[SHARD_MAX_CLASSES]; /* of the valid pixels whose truth is this class */
    int64_t valid;                   /* pixels whose label is not 255 */
    double miou, macc;               /* means over the classes that have the figure */
    double aacc;                     /* right pixels of all */
    int iou_classes, acc_classes;    /* how many entered the means; acc_classes is the number of classes present */
} metrics;

/* What an evaluation line says besides the figures. */
typedef struct metrics_setting {
    int64_t step; /* finished updates */
    const double *scales;
    int scale_count;
    bool flip;
    int64_t images;
    const char *mode;          /* NULL: neither it nor what follows is said */
    const double *short_sides; /* in place of scales where there are any */
    int short_side_count, max_side;
    int crop[2], stride[2]; /* of windows; 0 for none */
} metrics_setting;

/* Count pixels into matrix (classes,classes), rows = truth; labels and predictions (count), label 255 is ignored. All others must be <
 * classes. */
void confusion_add(int64_t *matrix, int classes, const uint8_t *labels, const uint8_t *predictions, size_t count);

/* Figures of a matrix (classes,classes), classes <= SHARD_MAX_CLASSES. */
void metrics_compute(const int64_t *matrix, int classes, metrics *out);

/* The table of classes and the means, line by line to the log; a warning where fewer than two classes are present. */
void metrics_print_table(const metrics *m, const shard_info *info);

/*
 * The evaluation line of metrics.jsonl as a JSON object, absent figures null; the caller deletes it. With info also the classes' names,
 * their accuracies and shares, and how many classes entered the means. NULL when out of memory.
 */
cJSON *metrics_to_json(const metrics *m, const metrics_setting *setting, const shard_info *info);

#endif
