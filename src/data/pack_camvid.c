/*
 * CamVid, in either of its arrangements. For SegNet: folders SPLIT and SPLITannot with PNG files of equal names, labels 0..11. As
 * published: one folder of pictures, one of label maps in 32 colours; SegNet's splits are then ranges of frames.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_files.h"

static const char PICTURES[] = "701_StillsRaw_full", LABELS[] = "LabeledApproved_full";
static const char LAYOUT[] =
    "For CamVid, --root names the folder that holds train, trainannot, val, valannot, test and testannot, as in the SegNet tutorial, or "
    "701_StillsRaw_full and LabeledApproved_full, as published (see datasets/camvid/README.md).";
static const char *const label_suffixes[] = {"_L.png", NULL};

/* Frames from first to last, or all whose names begin like `first` where there is no last. */
static const struct frames {
    const char *split, *first, *last;
} frames[] = {
    {"val", "0016E5_07959", "0016E5_08159"}, /* before train, which this is cut out of */
    {"train", "0001TP_006690", "0001TP_008520"}, {"train", "0006R0_", NULL}, {"train", "0016E5_00390", "0016E5_08640"},
    {"test", "0001TP_008550", "0001TP_010380"},  {"test", "Seq05VD_", NULL},
};
enum { FRAMES = sizeof frames / sizeof frames[0] };

/* The split of a frame; NULL where it has none. */
static const char *split_of(const char *stem) {
    for (int i = 0; i < FRAMES; i++) {
        const struct frames *f = &frames[i];
        const bool within = f->last == NULL ? strncmp(stem, f->first, strlen(f->first)) == 0
                                            : strlen(stem) == strlen(f->first) && strcmp(stem, f->first) >= 0 && strcmp(stem, f->last) <= 0;
        if (within) return f->split;
    }
    return NULL;
}

typedef struct wish {
    const char *split;
    pack_listing *l;
} wish;

static bool in_split(const pack_file *file, void *context) {
    const wish *w = context;
    const char *split = split_of(file->stem);
    if (split == NULL)
        pack_listing_fault(w->l, "%s: a frame that is in none of the splits. Remove it, or name those that you want in --list FILE.",
                           file->path);
    return split != NULL && strcmp(split, w->split) == 0;
}

static entrain_status list_published(const pack_options *o, pack_listing *l, entrain_error *err) {
    char images[PATH_MAX], labels[PATH_MAX];
    entrain_status status = pack_join(images, o->root, PICTURES, err);
    if (status == ENTRAIN_OK) status = pack_join(labels, o->root, LABELS, err);
    if (status != ENTRAIN_OK) return status;
    const bool known = strcmp(o->split, "train") == 0 || strcmp(o->split, "val") == 0 || strcmp(o->split, "test") == 0;
    if (!known && o->list == NULL)
        return error_set(err, ENTRAIN_USAGE,
                         "pack camvid: no split '%s' in %s; there are train, val and test, or any with the ids in --list FILE.", o->split,
                         o->root);
    wish in = {.split = o->split, .l = l};
    const pack_pair pair = {
        .images = images,
        .labels = labels,
        .image = {.what = "picture", .suffixes = pack_png},
        .label = {.what = "label", .suffixes = label_suffixes},
        .layout = LAYOUT,
        .list = o->list,
        .wanted = o->list == NULL ? in_split : NULL,
        .context = &in,
    };
    return pack_pair_list(&pair, l, err);
}

static entrain_status list_segnet(const pack_options *o, pack_listing *l, entrain_error *err) {
    char images[PATH_MAX], labels[PATH_MAX], annotations[NAME_MAX];
    if (snprintf(annotations, sizeof annotations, "%sannot", o->split) >= (int)sizeof annotations)
        return error_set(err, ENTRAIN_USAGE, "pack camvid: the name of --split is too long.");
    entrain_status status = pack_join(images, o->root, o->split, err);
    if (status == ENTRAIN_OK) status = pack_join(labels, o->root, annotations, err);
    if (status != ENTRAIN_OK) return status;
    const pack_pair pair = {
        .images = images,
        .labels = labels,
        .image = {.what = "PNG file", .suffixes = pack_png},
        .label = {.what = "label", .suffixes = pack_png},
        .layout = LAYOUT,
        .list = o->list,
    };
    return pack_pair_list(&pair, l, err);
}

static bool is_published(const char *root) {
    char path[PATH_MAX];
    return pack_join(path, root, PICTURES, NULL) == ENTRAIN_OK && pack_is_folder(path);
}

static entrain_status camvid_list(const pack_options *o, pack_listing *l, class_table *table, shard_info *info, entrain_error *err) {
    entrain_status status = pack_need_root(o, LAYOUT, err);
    if (status != ENTRAIN_OK) return status;
    const bool published = is_published(o->root);
    status = pack_segmentation(published ? "camvid_original" : "camvid", table, info, err);
    if (status != ENTRAIN_OK) return status;
    return published ? list_published(o, l, err) : list_segnet(o, l, err);
}

const packer packer_camvid = {
    .name = "camvid",
    .help = "CamVid: --root DIR with folders train, trainannot, ... (SegNet), or 701_StillsRaw_full, ... (as published); 11 classes",
    .takes = PACK_TAKES_SOURCE,
    .list = camvid_list,
};
