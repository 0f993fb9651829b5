/*
 * Anybody's pictures and label maps: ROOT/images and ROOT/labels, or folders of other names, with files of equal stems, and a table of
 * classes in JSON. Where the two hold a folder named as the split, its files are taken.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_files.h"

static const char LAYOUT[] =
    "For a folder of your own, --root names the folder that holds images and labels (other names: --images-folder, --labels-folder), "
    "with a picture X.jpg or X.png for each label X.png; the folders may hold one folder a split (see datasets/own/README.md).";

/* ROOT/FOLDER/SPLIT where there is one, else ROOT/FOLDER. */
static entrain_status find_half(const pack_options *o, const char *folder, char path[PATH_MAX], bool *split, entrain_error *err) {
    char whole[PATH_MAX];
    entrain_status status = pack_join(whole, o->root, folder, err);
    if (status == ENTRAIN_OK) status = pack_join(path, whole, o->split, err);
    if (status != ENTRAIN_OK) return status;
    *split = pack_is_folder(path);
    if (*split) return ENTRAIN_OK;
    char others[512];
    if (pack_folders_beside(path, others, sizeof others))
        return error_set(err, ENTRAIN_DATA, "%s: there is no folder of the split '%s' there, but: %s. %s", whole, o->split, others, LAYOUT);
    (void)snprintf(path, PATH_MAX, "%s", whole);
    return ENTRAIN_OK;
}

/* The task and the table of classes from a file. */
static entrain_status read_table(const pack_options *o, class_table *table, shard_info *info, entrain_error *err) {
    if (o->classes == NULL)
        return error_set(err, ENTRAIN_USAGE,
                         "pack folder needs --classes TABLE.json: the names, colours and label values of the classes. "
                         "datasets/camvid/classes.json is an example; datasets/own/README.md has the form.");
    const entrain_status status = class_table_read(o->classes, table, err);
    if (status != ENTRAIN_OK) return status;
    (void)snprintf(info->task, sizeof info->task, SHARD_SEGMENTATION);
    class_table_describe(table, info);
    return ENTRAIN_OK;
}

static entrain_status folder_list(const pack_options *o, pack_listing *l, class_table *table, shard_info *info, entrain_error *err) {
    char images[PATH_MAX], labels[PATH_MAX];
    bool image_split = false, label_split = false;
    entrain_status status = pack_need_root(o, LAYOUT, err);
    if (status == ENTRAIN_OK) status = read_table(o, table, info, err);
    if (status == ENTRAIN_OK) status = find_half(o, o->images_folder != NULL ? o->images_folder : "images", images, &image_split, err);
    if (status == ENTRAIN_OK) status = find_half(o, o->labels_folder != NULL ? o->labels_folder : "labels", labels, &label_split, err);
    if (status != ENTRAIN_OK) return status;
    if (image_split != label_split)
        return error_set(err, ENTRAIN_DATA, "%s: there is a folder of the split '%s', but none beside %s. %s",
                         image_split ? images : labels, o->split, image_split ? labels : images, LAYOUT);
    const pack_pair pair = {
        .images = images,
        .labels = labels,
        .image = {.what = "picture", .suffixes = pack_pictures},
        .label = {.what = "label", .suffixes = pack_png},
        .layout = LAYOUT,
        .list = o->list,
    };
    return pack_pair_list(&pair, l, err);
}

const packer packer_folder = {
    .name = "folder",
    .help = "pictures and label maps of your own: --root DIR with images and labels, --classes TABLE.json",
    .takes = PACK_TAKES_SOURCE | PACK_TAKES_CLASSES | PACK_TAKES_FOLDERS,
    .list = folder_list,
};
