/* ADE20K in the form of SceneParse150 (ADEChallengeData2016): images/SPLIT/X.jpg and annotations/SPLIT/X.png. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_files.h"

static const char LAYOUT[] =
    "For ADE20K, --root names the folder ADEChallengeData2016, which holds images/training, images/validation, annotations/training and "
    "annotations/validation (see datasets/ade20k/README.md).";
static const char *const jpeg[] = {".jpg", NULL};

static entrain_status find_folder(const char *split, const char **folder, entrain_error *err) {
    const bool train = strcmp(split, "train") == 0 || strcmp(split, "training") == 0;
    const bool val = strcmp(split, "val") == 0 || strcmp(split, "validation") == 0;
    *folder = train ? "training" : "validation";
    return train || val ? ENTRAIN_OK : error_set(err, ENTRAIN_USAGE, "pack ade20k: no split '%s'; there are train and val.", split);
}

static entrain_status ade20k_list(const pack_options *o, pack_listing *l, class_table *table, shard_info *info, entrain_error *err) {
    char half[NAME_MAX], images[PATH_MAX], labels[PATH_MAX];
    const char *folder = NULL;
    entrain_status status = pack_need_root(o, LAYOUT, err);
    if (status == ENTRAIN_OK) status = find_folder(o->split, &folder, err);
    if (status != ENTRAIN_OK) return status;
    (void)snprintf(half, sizeof half, "images/%s", folder);
    status = pack_join(images, o->root, half, err);
    (void)snprintf(half, sizeof half, "annotations/%s", folder);
    if (status == ENTRAIN_OK) status = pack_join(labels, o->root, half, err);
    if (status == ENTRAIN_OK) status = pack_segmentation("ade20k", table, info, err);
    if (status != ENTRAIN_OK) return status;
    const pack_pair pair = {
        .images = images,
        .labels = labels,
        .image = {.what = "picture", .suffixes = jpeg},
        .label = {.what = "label", .suffixes = pack_png},
        .layout = LAYOUT,
        .list = o->list,
    };
    return pack_pair_list(&pair, l, err);
}

const packer packer_ade20k = {
    .name = "ade20k",
    .help = "ADE20K: --root ADEChallengeData2016; splits train and val; 150 classes",
    .takes = PACK_TAKES_SOURCE,
    .list = ade20k_list,
};
