/* Label maps and overlays: see pictures.h. */
#include "train/pictures.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/class_table.h"

/* Whether another class begins to the right or below: lines one pixel wide. */
static bool on_boundary(const uint8_t *labels, int height, int width, int y, int x) {
    const uint8_t *here = labels + (size_t)y * (size_t)width + (size_t)x;
    return (x + 1 < width && here[1] != here[0]) || (y + 1 < height && here[width] != here[0]);
}

void picture_overlay(image *rgb, const uint8_t *labels, const shard_info *info) {
    for (int y = 0; y < rgb->height; y++) {
        for (int x = 0; x < rgb->width; x++) {
            const size_t pixel = (size_t)y * (size_t)rgb->width + (size_t)x;
            const uint8_t label = labels[pixel];
            if (label == SHARD_IGNORE) continue;
            const bool line = on_boundary(labels, rgb->height, rgb->width, y, x);
            for (int c = 0; c < 3; c++) {
                uint8_t *value = &rgb->data[3 * pixel + (size_t)c];
                const int color = info->colors[label][c];
                *value = (uint8_t)(line ? color / 2 : (*value + color + 1) / 2);
            }
        }
    }
}

entrain_status picture_write(const char *path, const image *im, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = image_encode_png(im, &bytes, &size, err);
    if (status == ENTRAIN_OK) status = file_write(path, bytes, size, err);
    free(bytes);
    return status;
}

entrain_status picture_write_labels(const char *path, const uint8_t *labels, int height, int width, const shard_info *info,
                                    entrain_error *err) {
    const size_t pixels = (size_t)height * (size_t)width;
    uint8_t *ids = malloc(pixels > 0 ? pixels : 1);
    if (ids == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for the label map.", path);
    for (size_t i = 0; i < pixels; i++) ids[i] = info->export_ids[labels[i]];
    const image map = {.data = ids, .height = height, .width = width, .channels = 1};
    const entrain_status status = picture_write(path, &map, err);
    free(ids);
    return status;
}

void submit_name(const char *dataset, const char *id, char name[SUBMIT_NAME]) {
    class_table table;
    const char *slash = strrchr(id, '/'), *base = slash == NULL ? id : slash + 1;
    const char *suffix = class_table_builtin(dataset, &table, NULL) == ENTRAIN_OK ? table.submit_suffix : "";
    const size_t length = strlen(base), more = strlen(suffix);
    const bool there = length >= more && strcmp(base + length - more, suffix) == 0;
    (void)snprintf(name, SUBMIT_NAME, "%s%s", base, there ? "" : suffix);
}
