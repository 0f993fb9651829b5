/*
 * CamVid as arranged for SegNet: folders SPLIT and SPLITannot with PNG files of equal names; labels 0..10, and 11 for void, which becomes
 * 255. Pictures are stored as they are, labels mapped and written anew.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "data/image.h"
#include "data/pack_internal.h"

enum { CAMVID_CLASSES = 11, CAMVID_VOID = 11 };

static const pack_class camvid_classes[CAMVID_CLASSES] = {
    {"sky", {128, 128, 128}, 0},    {"building", {128, 0, 0}, 1},   {"pole", {192, 192, 128}, 2},        {"road", {128, 64, 128}, 3},
    {"pavement", {60, 40, 222}, 4}, {"tree", {128, 128, 0}, 5},     {"sign_symbol", {192, 128, 128}, 6}, {"fence", {64, 64, 128}, 7},
    {"car", {64, 0, 128}, 8},       {"pedestrian", {64, 64, 0}, 9}, {"bicyclist", {0, 128, 192}, 10},
};

/* The file names of a folder. */
typedef struct name_list {
    char **names;
    int64_t count, capacity;
} name_list;

typedef struct camvid {
    char images[PATH_MAX], labels[PATH_MAX]; /* folders */
    name_list names;                         /* in either folder, sorted: a file missing from one is found out with its sample */
    image_decoder *decoder;
    image picture, label;
} camvid;

static void free_names(name_list *l) {
    for (int64_t i = 0; i < l->count; i++) free(l->names[i]);
    free(l->names);
    memset(l, 0, sizeof *l);
}

static bool add_name(name_list *l, const char *name) {
    if (l->count == l->capacity) {
        const int64_t capacity = l->capacity > 0 ? 2 * l->capacity : 256;
        char **names = realloc(l->names, (size_t)capacity * sizeof *names);
        if (names == NULL) return false;
        l->names = names;
        l->capacity = capacity;
    }
    l->names[l->count] = strdup(name);
    return l->names[l->count] != NULL && ++l->count > 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sort, each name once. */
static void sort_names(name_list *l) {
    if (l->count == 0) return;
    qsort(l->names, (size_t)l->count, sizeof *l->names, by_name);
    int64_t kept = 1;
    for (int64_t i = 1; i < l->count; i++) {
        if (strcmp(l->names[i], l->names[kept - 1]) == 0)
            free(l->names[i]);
        else
            l->names[kept++] = l->names[i];
    }
    l->count = kept;
}

static bool is_png(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && name[0] != '.' && strcasecmp(name + length - 4, ".png") == 0;
}

static entrain_status list_folder(const char *folder, name_list *l, entrain_error *err) {
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return error_set(
            err, ENTRAIN_DATA,
            "%s: the folder cannot be opened: %s. For CamVid, --root names the folder that holds train, trainannot, val, valannot, "
            "test and testannot, as in the CamVid folder of the SegNet tutorial (see datasets/camvid/README.md).",
            folder, strerror(errno));
    bool memory = true;
    for (const struct dirent *e = readdir(dir); e != NULL && memory; e = readdir(dir))
        if (is_png(e->d_name)) memory = add_name(l, e->d_name);
    (void)closedir(dir);
    return memory ? ENTRAIN_OK : error_set(err, ENTRAIN_DEVICE, "%s: no memory for the names of its files.", folder);
}

static void camvid_close(void *state) {
    camvid *s = state;
    if (s == NULL) return;
    free_names(&s->names);
    image_decoder_close(s->decoder);
    image_free(&s->picture);
    image_free(&s->label);
    free(s);
}

static entrain_status find_samples(camvid *s, const pack_options *o, entrain_error *err) {
    if (o->root == NULL)
        return error_set(err, ENTRAIN_USAGE,
                         "pack camvid needs --root: the folder that holds train, trainannot, val, valannot, test, testannot.");
    const int limit = (int)sizeof s->images;
    if (snprintf(s->images, sizeof s->images, "%s/%s", o->root, o->split) >= limit ||
        snprintf(s->labels, sizeof s->labels, "%s/%sannot", o->root, o->split) >= limit)
        return error_set(err, ENTRAIN_USAGE, "pack camvid: the path of --root is too long.");
    entrain_status status = list_folder(s->images, &s->names, err);
    if (status == ENTRAIN_OK) status = list_folder(s->labels, &s->names, err);
    if (status != ENTRAIN_OK) return status;
    sort_names(&s->names);
    if (s->names.count == 0)
        return error_set(err, ENTRAIN_DATA, "%s: no PNG files there nor in %s. Expected the pictures of split '%s' and their labels.",
                         s->images, s->labels, o->split);
    return ENTRAIN_OK;
}

static entrain_status camvid_open(const pack_options *o, shard_info *info, void **state, entrain_error *err) {
    camvid *s = calloc(1, sizeof *s);
    if (s != NULL) s->decoder = image_decoder_open();
    if (s == NULL || s->decoder == NULL) {
        camvid_close(s);
        return error_set(err, ENTRAIN_DEVICE, "pack camvid: no memory.");
    }
    const entrain_status status = find_samples(s, o, err);
    if (status != ENTRAIN_OK) {
        camvid_close(s);
        return status;
    }
    pack_put_classes(info, camvid_classes, CAMVID_CLASSES, CAMVID_VOID);
    info->samples_total = s->names.count;
    *state = s;
    return ENTRAIN_OK;
}

/* 11 -> 255; anything else above 10 is no CamVid label. */
static entrain_status map_labels(image *label, const char *path, entrain_error *err) {
    const size_t pixels = (size_t)label->height * (size_t)label->width;
    for (size_t i = 0; i < pixels; i++) {
        const int value = label->data[i];
        if (value > CAMVID_VOID)
            return error_set(err, ENTRAIN_DATA,
                             "%s: the pixel at x=%zu, y=%zu has the value %d; CamVid labels are 0 to %d, and %d for void.", path,
                             i % (size_t)label->width, i / (size_t)label->width, value, CAMVID_CLASSES - 1, CAMVID_VOID);
        if (value == CAMVID_VOID) label->data[i] = SHARD_IGNORE;
    }
    return ENTRAIN_OK;
}

/* Read and decode the label at path, and put it into the sample as it will be stored. */
static entrain_status take_label(camvid *s, const char *path, shard_sample *out, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = file_read(path, &bytes, &size, err);
    if (status != ENTRAIN_OK) return status;
    status = image_decode_label(s->decoder, bytes, size, path, &s->label, err);
    free(bytes);
    if (status == ENTRAIN_OK) status = map_labels(&s->label, path, err);
    if (status != ENTRAIN_OK) return status;
    free(out->label);
    out->label = NULL;
    out->label_size = out->label_capacity = 0;
    status = image_encode_png(&s->label, &out->label, &out->label_size, err);
    out->label_capacity = out->label_size;
    return status;
}

/* Read the picture at path; it is decoded only to know that it can be. */
static entrain_status take_picture(camvid *s, const char *path, shard_sample *out, entrain_error *err) {
    free(out->image);
    out->image = NULL;
    out->image_size = out->image_capacity = 0;
    const entrain_status status = file_read(path, &out->image, &out->image_size, err);
    out->image_capacity = out->image_size;
    return status == ENTRAIN_OK ? image_decode_rgb(s->decoder, out->image, out->image_size, path, &s->picture, err) : status;
}

/* Both files of a name; where only one is there, that is the fault. */
static entrain_status find_pair(const camvid *s, const char *name, char picture[PATH_MAX], char label[PATH_MAX], entrain_error *err) {
    if (snprintf(picture, PATH_MAX, "%s/%s", s->images, name) >= PATH_MAX ||
        snprintf(label, PATH_MAX, "%s/%s", s->labels, name) >= PATH_MAX)
        return error_set(err, ENTRAIN_DATA, "%s: the path is too long.", name);
    if (access(picture, F_OK) != 0) return error_set(err, ENTRAIN_DATA, "%s: this label has no picture (%s is missing).", label, picture);
    if (access(label, F_OK) != 0) return error_set(err, ENTRAIN_DATA, "%s: this picture has no label (%s is missing).", picture, label);
    return ENTRAIN_OK; /* any other trouble shows when the file is read */
}

static entrain_status camvid_sample(void *state, int64_t index, shard_sample *out, entrain_error *err) {
    camvid *s = state;
    const char *name = s->names.names[index];
    char picture[PATH_MAX], label[PATH_MAX];
    entrain_status status = find_pair(s, name, picture, label, err);
    if (status == ENTRAIN_OK) status = take_picture(s, picture, out, err);
    if (status == ENTRAIN_OK) status = take_label(s, label, out, err);
    if (status != ENTRAIN_OK) return status;
    if (s->picture.height != s->label.height || s->picture.width != s->label.width)
        return error_set(err, ENTRAIN_DATA, "%s: %d x %d pixels (height x width), but its label %s has %d x %d.", picture,
                         s->picture.height, s->picture.width, label, s->label.height, s->label.width);
    const int stem = (int)strlen(name) - 4;
    if (stem >= SHARD_ID)
        return error_set(err, ENTRAIN_DATA, "%s: the name is longer than the %d bytes an id may have.", picture, SHARD_ID - 1);
    (void)snprintf(out->id, sizeof out->id, "%.*s", stem, name);
    out->height = s->picture.height;
    out->width = s->picture.width;
    return ENTRAIN_OK;
}

const packer packer_camvid = {
    .name = "camvid",
    .help = "CamVid in the SegNet layout: --root DIR with folders train, trainannot, val, ...; 11 classes",
    .least_shards = 2,
    .open = camvid_open,
    .sample = camvid_sample,
    .close = camvid_close,
};
