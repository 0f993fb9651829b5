/* The built-in set: street scenes (scene.h) as PNG. Scene n of a split is a function of seed, split, n and the size alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/class_table.h"
#include "data/image.h"
#include "data/pack_listing.h"
#include "data/scene.h"

static const struct drawn_class {
    const char *name;
    uint8_t color[3];
    uint8_t id;
} synthetic_classes[SCENE_CLASSES] = {
    [SCENE_SKY] = {"sky", {70, 130, 180}, SCENE_SKY},
    [SCENE_BUILDING] = {"building", {128, 64, 32}, SCENE_BUILDING},
    [SCENE_ROAD] = {"road", {128, 64, 128}, SCENE_ROAD},
    [SCENE_PAVEMENT] = {"pavement", {244, 35, 232}, SCENE_PAVEMENT},
    [SCENE_VEGETATION] = {"vegetation", {107, 142, 35}, SCENE_VEGETATION},
    [SCENE_CAR] = {"car", {0, 0, 200}, SCENE_CAR},
    [SCENE_POLE] = {"pole", {250, 250, 120}, SCENE_POLE},
    [SCENE_SIGN] = {"sign", {220, 20, 20}, SCENE_SIGN},
};

/* The splits; each draws from numbers of its own, so that more scenes in one never meet another's. */
static const struct synthetic_split {
    const char *name;
    int64_t images; /* by default */
} splits[] = {{"train", 400}, {"val", 80}, {"test", 80}};
enum { SPLITS = sizeof splits / sizeof splits[0], DEFAULT_HEIGHT = 128, DEFAULT_WIDTH = 160 };
static const int64_t MOST_IMAGES = INT64_C(100000000);

typedef struct synthetic {
    uint64_t seed, first; /* number of the split's first scene */
    const char *split;
    scene *scene;
    image picture, label;
} synthetic;

static void synthetic_close(void *state) {
    synthetic *s = state;
    if (s == NULL) return;
    scene_close(s->scene);
    image_free(&s->picture);
    image_free(&s->label);
    free(s);
}

static entrain_status find_split(const char *name, int *row, entrain_error *err) {
    for (*row = 0; *row < SPLITS; ++*row)
        if (strcmp(splits[*row].name, name) == 0) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_USAGE, "pack synthetic: no split '%s'; there are train, val and test.", name);
}

static entrain_status check_sides(int height, int width, entrain_error *err) {
    const int low = height < width ? height : width, high = height < width ? width : height;
    if (low >= SCENE_LEAST_SIDE && high <= SCENE_MOST_SIDE) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_USAGE, "pack synthetic: scenes of %d x %d pixels (height x width); each side must be %d to %d.", height,
                     width, SCENE_LEAST_SIDE, SCENE_MOST_SIDE);
}

/* The size and the number of scenes that are asked for, or that are usual. */
static void choose(const pack_options *o, int row, int64_t *images, int *height, int *width) {
    *images = o->images != 0 ? o->images : splits[row].images;
    *height = o->height != 0 ? o->height : DEFAULT_HEIGHT;
    *width = o->width != 0 ? o->width : DEFAULT_WIDTH;
}

static void describe(shard_info *info) {
    (void)snprintf(info->task, sizeof info->task, SHARD_SEGMENTATION);
    info->classes = SCENE_CLASSES;
    memset(info->export_ids, SCENE_VOID, sizeof info->export_ids);
    for (int i = 0; i < SCENE_CLASSES; i++) {
        (void)snprintf(info->names[i], sizeof info->names[i], "%s", synthetic_classes[i].name);
        memcpy(info->colors[i], synthetic_classes[i].color, sizeof info->colors[i]);
        info->export_ids[i] = synthetic_classes[i].id;
    }
}

static entrain_status synthetic_list(const pack_options *o, pack_listing *listing, class_table *table, shard_info *info,
                                     entrain_error *err) {
    (void)listing, (void)table;
    int row, height, width;
    int64_t images;
    entrain_status status = find_split(o->split, &row, err);
    if (status != ENTRAIN_OK) return status;
    choose(o, row, &images, &height, &width);
    status = check_sides(height, width, err);
    if (status != ENTRAIN_OK) return status;
    if (images < 1 || images > MOST_IMAGES)
        return error_set(err, ENTRAIN_USAGE, "pack synthetic: %lld images; expected 1 to %lld.", (long long)images, (long long)MOST_IMAGES);
    describe(info);
    info->samples_total = images;
    return ENTRAIN_OK;
}

/* list has found the options good. */
static entrain_status synthetic_open(const pack_options *o, void **state, entrain_error *err) {
    int row, height, width;
    int64_t images;
    const entrain_status status = find_split(o->split, &row, err);
    if (status != ENTRAIN_OK) return status;
    choose(o, row, &images, &height, &width);
    synthetic *s = calloc(1, sizeof *s);
    if (s != NULL) s->scene = scene_open(height, width);
    if (s == NULL || s->scene == NULL) {
        synthetic_close(s);
        return error_set(err, ENTRAIN_DEVICE, "pack synthetic: no memory.");
    }
    s->seed = o->seed;
    s->first = (uint64_t)row << 32;
    s->split = splits[row].name;
    *state = s;
    return ENTRAIN_OK;
}

static void drop(uint8_t **bytes, size_t *size, size_t *capacity) {
    free(*bytes);
    *bytes = NULL;
    *size = *capacity = 0;
}

static entrain_status synthetic_sample(void *state, int64_t index, shard_sample *out, entrain_error *err) {
    synthetic *s = state;
    entrain_status status = scene_draw(s->scene, s->seed, s->first + (uint64_t)index, &s->picture, &s->label, err);
    drop(&out->image, &out->image_size, &out->image_capacity);
    drop(&out->label, &out->label_size, &out->label_capacity);
    if (status == ENTRAIN_OK) status = image_encode_png(&s->picture, &out->image, &out->image_size, err);
    if (status == ENTRAIN_OK) status = image_encode_png(&s->label, &out->label, &out->label_size, err);
    out->image_capacity = out->image_size;
    out->label_capacity = out->label_size;
    out->height = s->picture.height;
    out->width = s->picture.width;
    (void)snprintf(out->id, sizeof out->id, "%s_%06lld", s->split, (long long)index);
    return status;
}

static const pack_drawing drawing = {.open = synthetic_open, .sample = synthetic_sample, .close = synthetic_close};

const packer packer_synthetic = {
    .name = "synthetic",
    .help = "street scenes drawn from a seed, 8 classes; needs no --root; splits train, val, test",
    .takes = PACK_TAKES_DRAWING,
    .list = synthetic_list,
    .drawing = &drawing,
};
