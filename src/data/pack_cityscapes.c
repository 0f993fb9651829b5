/* Cityscapes as published: leftImg8bit/SPLIT/CITY/X_leftImg8bit.png and gtFine/SPLIT/CITY/X_gtFine_labelIds.png; the id is X. */
#include <limits.h>
#include <stdio.h>

#include "base/error.h"
#include "data/pack_files.h"

static const char LAYOUT[] =
    "For Cityscapes, --root names the folder that holds leftImg8bit and gtFine, each with the splits train, val and test, each with a "
    "folder a city (see datasets/cityscapes/README.md).";
static const char *const images[] = {"_leftImg8bit.png", NULL};
static const char *const labels[] = {"_gtFine_labelIds.png", NULL};
/* What else cityscapesScripts and the archives put beside the labels. */
static const char *const other_labels[] = {"_gtFine_color.png",         "_gtFine_instanceIds.png",
                                           "_gtFine_labelTrainIds.png", "_gtFine_instanceTrainIds.png",
                                           "_gtFine_panoptic.png",      NULL};

static entrain_status cityscapes_list(const pack_options *o, pack_listing *l, class_table *table, shard_info *info, entrain_error *err) {
    char folder[PATH_MAX], image_folder[PATH_MAX], label_folder[PATH_MAX];
    entrain_status status = pack_need_root(o, LAYOUT, err);
    if (status == ENTRAIN_OK) status = pack_join(folder, o->root, "leftImg8bit", err);
    if (status == ENTRAIN_OK) status = pack_join(image_folder, folder, o->split, err);
    if (status == ENTRAIN_OK) status = pack_join(folder, o->root, "gtFine", err);
    if (status == ENTRAIN_OK) status = pack_join(label_folder, folder, o->split, err);
    if (status == ENTRAIN_OK) status = pack_segmentation("cityscapes", table, info, err);
    if (status != ENTRAIN_OK) return status;
    const pack_pair pair = {
        .images = image_folder,
        .labels = label_folder,
        .image = {.what = "picture", .suffixes = images, .deep = true},
        .label = {.what = "label", .suffixes = labels, .others = other_labels, .deep = true},
        .layout = LAYOUT,
        .list = o->list,
    };
    return pack_pair_list(&pair, l, err);
}

const packer packer_cityscapes = {
    .name = "cityscapes",
    .help = "Cityscapes: --root DIR with leftImg8bit and gtFine; splits train, val, test; 19 classes",
    .takes = PACK_TAKES_SOURCE,
    .list = cityscapes_list,
};
