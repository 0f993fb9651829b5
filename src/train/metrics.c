/* Figures of segmentation: see metrics.h. */
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "train/lettering.h"

void confusion_add(int64_t *matrix, int classes, const uint8_t *labels, const uint8_t *predictions, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (labels[i] != SHARD_IGNORE) matrix[(size_t)labels[i] * (size_t)classes + predictions[i]]++;
}

/* Mean of the figures that are there; how many they were. */
static double mean_present(const double *values, int count, int *present) {
    double sum = 0.0;
    *present = 0;
    for (int i = 0; i < count; i++) {
        if (isnan(values[i])) continue;
        sum += values[i];
        (*present)++;
    }
    return *present > 0 ? sum / *present : (double)NAN;
}

static double ratio(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

void metrics_compute(const int64_t *matrix, int classes, metrics *out) {
    int64_t truth[SHARD_MAX_CLASSES] = {0}, predicted[SHARD_MAX_CLASSES] = {0}, right = 0;
    *out = (metrics){.classes = classes};
    for (int t = 0; t < classes; t++) {
        for (int p = 0; p < classes; p++) {
            const int64_t pixels = matrix[(size_t)t * (size_t)classes + (size_t)p];
            truth[t] += pixels;
            predicted[p] += pixels;
        }
        out->valid += truth[t];
    }
    for (int k = 0; k < classes; k++) {
        const int64_t both = matrix[(size_t)k * (size_t)classes + (size_t)k];
        right += both;
        out->iou[k] = ratio(both, truth[k] + predicted[k] - both);
        out->accuracy[k] = ratio(both, truth[k]);
        out->share[k] = ratio(truth[k], out->valid);
    }
    out->miou = mean_present(out->iou, classes, &out->iou_classes);
    out->macc = mean_present(out->accuracy, classes, &out->acc_classes);
    out->aacc = ratio(right, out->valid);
}

/* ---- for people ---- */

static const char *figure(double value, char text[16]) {
    (void)snprintf(text, 16, isnan(value) ? "absent" : "%.4f", value);
    return text;
}

void metrics_print_table(const metrics *m, const shard_info *info) {
    char iou[16], accuracy[16], all[16];
    int width = (int)strlen("class");
    for (int k = 0; k < m->classes; k++)
        if (lettering_letters(info->names[k]) > width) width = lettering_letters(info->names[k]);
    log_info("%-*s  %8s  %8s  %9s   (one confusion matrix over the whole set)", width, "class", "IoU", "accuracy", "pixels");
    for (int k = 0; k < m->classes; k++)
        log_info("%s%*s  %8s  %8s  %8.3f%%", info->names[k], width - lettering_letters(info->names[k]), "", figure(m->iou[k], iou),
                 figure(m->accuracy[k], accuracy), isnan(m->share[k]) ? 0.0 : 100.0 * m->share[k]);
    log_info("mIoU %s (%d of %d classes)   mean accuracy %s (%d of %d classes)   pixel accuracy %s (%lld pixels)", figure(m->miou, iou),
             m->iou_classes, m->classes, figure(m->macc, accuracy), m->acc_classes, m->classes, figure(m->aacc, all), (long long)m->valid);
    if (m->acc_classes < 2)
        log_warn("only %d of %d classes occur in the labels, so the means say little. Are the labels those of this data set?",
                 m->acc_classes, m->classes);
}

/* ---- for programs ---- */

static bool add(cJSON *object, const char *key, cJSON *item) {
    if (item != NULL && cJSON_AddItemToObject(object, key, item)) return true;
    cJSON_Delete(item);
    return false;
}

static cJSON *number(double value) {
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}

static cJSON *numbers(const double *values, int count) {
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count && list != NULL; i++) {
        if (cJSON_AddItemToArray(list, number(values[i]))) continue;
        cJSON_Delete(list);
        return NULL;
    }
    return list;
}

static cJSON *class_names(const shard_info *info, int count) {
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count && list != NULL; i++) {
        if (cJSON_AddItemToArray(list, cJSON_CreateString(info->names[i]))) continue;
        cJSON_Delete(list);
        return NULL;
    }
    return list;
}

static bool add_classes(cJSON *object, const metrics *m, const shard_info *info) {
    return add(object, "classes", class_names(info, m->classes)) && add(object, "acc", numbers(m->accuracy, m->classes)) &&
           add(object, "share", numbers(m->share, m->classes)) && add(object, "iou_classes", number(m->iou_classes)) &&
           add(object, "acc_classes", number(m->acc_classes)) && add(object, "pixels", number((double)m->valid));
}

static cJSON *pair(const int values[2]) {
    const double both[2] = {values[0], values[1]};
    return values[0] > 0 ? numbers(both, 2) : cJSON_CreateNull();
}

static bool add_setting(cJSON *object, const metrics_setting *s) {
    return add(object, "mode", cJSON_CreateString(s->mode)) &&
           add(object, "short_sides", s->short_side_count > 0 ? numbers(s->short_sides, s->short_side_count) : cJSON_CreateNull()) &&
           add(object, "max_side", number(s->max_side)) && add(object, "crop", pair(s->crop)) && add(object, "stride", pair(s->stride));
}

cJSON *metrics_to_json(const metrics *m, const metrics_setting *setting, const shard_info *info) {
    cJSON *object = cJSON_CreateObject();
    if (object == NULL) return NULL;
    if (add(object, "kind", cJSON_CreateString("eval")) && add(object, "step", number((double)setting->step)) &&
        add(object, "miou", number(m->miou)) && add(object, "macc", number(m->macc)) && add(object, "aacc", number(m->aacc)) &&
        add(object, "iou", numbers(m->iou, m->classes)) && add(object, "scales", numbers(setting->scales, setting->scale_count)) &&
        add(object, "flip", cJSON_CreateBool(setting->flip)) && add(object, "images", number((double)setting->images)) &&
        (setting->mode == NULL || add_setting(object, setting)) && (info == NULL || add_classes(object, m, info)))
        return object;
    cJSON_Delete(object);
    return NULL;
}
