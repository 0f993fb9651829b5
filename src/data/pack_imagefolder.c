/*
 * Pictures for classification: ROOT/SPLIT/CLASS/..., the classes being the folders in the order of their names, as torchvision has it, or
 * in the order of --classes. Or a list of "PATH CLASS_INDEX" lines (WebVision), the paths below ROOT.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_class_names.h"
#include "data/shard_internal.h"

static const char LAYOUT[] =
    "For an image folder, --root names a folder that holds SPLIT/CLASS/*.jpg (or jpeg, png), a folder a class; or pictures anywhere below "
    "it, with --list FILE of lines 'PATH CLASS_INDEX' and --classes FILE of names (see datasets/own/README.md).";
static const pack_kind pictures = {.what = "picture", .suffixes = pack_pictures, .deep = true};

typedef struct source {
    const pack_options *o;
    pack_listing *l;
    class_names names;
    char folder[PATH_MAX]; /* ROOT/SPLIT, or ROOT with a list */
} source;

/* ---- a folder a class ---- */

/* The folders of the split, sorted. A picture beside them is a fault. */
static entrain_status find_classes(source *s, class_names *folders, entrain_error *err) {
    DIR *dir = opendir(s->folder);
    if (dir == NULL) return pack_no_folder(s->folder, LAYOUT, err);
    entrain_status status = ENTRAIN_OK;
    errno = 0;
    for (const struct dirent *e = readdir(dir); e != NULL && status == ENTRAIN_OK; errno = 0, e = readdir(dir)) {
        char path[PATH_MAX];
        if (e->d_name[0] == '.') continue;
        status = pack_join(path, s->folder, e->d_name, err);
        if (status != ENTRAIN_OK) break;
        if (pack_is_folder(path) && !shard_plain_text(e->d_name, sizeof e->d_name))
            pack_listing_fault(s->l, "%s: the name of this folder of a class has control characters.", path);
        else if (pack_is_folder(path))
            status = class_names_add(folders, e->d_name, err);
        else if (pack_stem(e->d_name, pack_pictures) > 0)
            pack_listing_fault(s->l, "%s: a picture in none of the folders of classes.", path);
    }
    if (status == ENTRAIN_OK && errno != 0) status = error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s", s->folder, strerror(errno));
    (void)closedir(dir);
    class_names_sort(folders);
    if (status == ENTRAIN_OK && folders->count == 0)
        status = error_set(err, ENTRAIN_DATA, "%s: no folders of classes there. %s", s->folder, LAYOUT);
    return status;
}

static entrain_status list_class(source *s, const char *name, int32_t class_index, entrain_error *err) {
    char path[PATH_MAX];
    pack_files found = {0};
    entrain_status status = pack_join(path, s->folder, name, err);
    if (status == ENTRAIN_OK) status = pack_files_find(path, &pictures, LAYOUT, s->l, &found, err);
    if (status == ENTRAIN_OK && found.count == 0) pack_listing_fault(s->l, "%s: the folder of this class holds no pictures.", path);
    for (int64_t i = 0; i < found.count && status == ENTRAIN_OK; i++) {
        char id[PATH_MAX];
        const char *file = found.files[i].path + strlen(s->folder) + 1; /* CLASS/STEM.jpg, perhaps with folders between */
        (void)snprintf(id, sizeof id, "%.*s", (int)pack_stem(file, pack_pictures), file);
        status = pack_listing_add(s->l, found.files[i].path, NULL, id, class_index, err);
    }
    pack_files_free(&found);
    return status;
}

static entrain_status list_classes(source *s, const class_names *folders, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    for (int64_t k = 0; k < folders->count && status == ENTRAIN_OK; k++) {
        const char *name = folders->lines[k];
        const int32_t found = s->o->classes != NULL ? class_names_find(&s->names, name) : (int32_t)k;
        if (found < 0)
            pack_listing_fault(s->l, "%s/%s: no line of %s is or begins with '%s', or several do.", s->folder, name, s->o->classes, name);
        else
            status = list_class(s, name, found, err);
    }
    return status;
}

static entrain_status list_folders(source *s, shard_info *info, entrain_error *err) {
    class_names folders = {0};
    entrain_status status = pack_join(s->folder, s->o->root, s->o->split, err);
    if (status == ENTRAIN_OK) status = find_classes(s, &folders, err);
    if (status == ENTRAIN_OK)
        status = s->o->classes != NULL ? class_names_describe(&s->names, s->o->classes, info, err)
                                       : class_names_describe(&folders, s->folder, info, err);
    if (status == ENTRAIN_OK) status = list_classes(s, &folders, err);
    class_names_free(&folders);
    return status;
}

/* ---- a list ---- */

/* "google/q0001/abc.jpg 0": the number is behind the last blank. */
static entrain_status list_line(source *s, char *line, int64_t number, entrain_error *err) {
    char *blank = line + strlen(line), *rest = NULL, path[PATH_MAX], id[PATH_MAX];
    while (blank > line && !isspace((unsigned char)blank[-1])) blank--;
    errno = 0;
    const long index = strtol(blank, &rest, 10);
    const bool numbered = blank > line && rest != blank && *rest == '\0' && errno == 0;
    if (!numbered || line[0] == '/') {
        pack_listing_fault(s->l, "%s:%lld: expected 'PATH CLASS_INDEX' with a path below %s, found '%.200s'.", s->o->list,
                           (long long)number, s->folder, line);
        return ENTRAIN_OK;
    }
    while (blank > line && isspace((unsigned char)blank[-1])) *--blank = '\0';
    while (strncmp(line, "./", 2) == 0) line += 2; /* as `find` writes it */
    const size_t stem = pack_stem(line, pack_pictures);
    if (index < 0 || index >= s->names.count) {
        pack_listing_fault(s->l, "%s:%lld: the class %ld; %s has the classes 0 to %lld.", s->o->list, (long long)number, index,
                           s->o->classes, (long long)s->names.count - 1);
        return ENTRAIN_OK;
    }
    if (stem == 0) {
        pack_listing_fault(s->l, "%s:%lld: '%.200s'; the name of a picture ends in .jpg, .jpeg or .png.", s->o->list, (long long)number,
                           line);
        return ENTRAIN_OK;
    }
    const entrain_status status = pack_join(path, s->folder, line, err);
    (void)snprintf(id, sizeof id, "%.*s", (int)stem, line);
    return status == ENTRAIN_OK ? pack_listing_add(s->l, path, NULL, id, (int32_t)index, err) : status;
}

static entrain_status list_lines(source *s, shard_info *info, entrain_error *err) {
    pack_lines lines;
    entrain_error failure = {.status = ENTRAIN_OK};
    (void)snprintf(s->folder, sizeof s->folder, "%s", s->o->root);
    entrain_status status = class_names_describe(&s->names, s->o->classes, info, err);
    if (status == ENTRAIN_OK) status = pack_lines_open(&lines, s->o->list, err);
    if (status != ENTRAIN_OK) return status;
    for (char *line = pack_lines_next(&lines); line != NULL && status == ENTRAIN_OK; line = pack_lines_next(&lines))
        status = list_line(s, line, lines.number, err);
    const entrain_status closed = pack_lines_close(&lines, &failure);
    if (status == ENTRAIN_OK && closed != ENTRAIN_OK) status = error_set(err, closed, "%s", failure.text);
    if (status == ENTRAIN_OK && s->l->count == 0 && s->l->faults.count == 0)
        status = error_set(err, ENTRAIN_DATA, "%s: the list is empty; expected lines 'PATH CLASS_INDEX'.", s->o->list);
    return status;
}

/* ---- both ---- */

static entrain_status imagefolder_list(const pack_options *o, pack_listing *l, class_table *table, shard_info *info, entrain_error *err) {
    (void)table; /* of label maps */
    source s = {.o = o, .l = l};
    entrain_status status = pack_need_root(o, LAYOUT, err);
    if (status == ENTRAIN_OK && o->list != NULL && o->classes == NULL)
        status = error_set(err, ENTRAIN_USAGE, "pack imagefolder: --list needs --classes FILE, too: the names of the classes, one a line.");
    if (status == ENTRAIN_OK && o->classes != NULL) status = class_names_read(&s.names, o->classes, err);
    if (status == ENTRAIN_OK) status = o->list != NULL ? list_lines(&s, info, err) : list_folders(&s, info, err);
    class_names_free(&s.names);
    pack_listing_sort(l);
    return status;
}

const packer packer_imagefolder = {
    .name = "imagefolder",
    .help = "classification: --root DIR with SPLIT/CLASS/*.jpg (ImageNet), or --list FILE and --classes FILE (WebVision)",
    .takes = PACK_TAKES_SOURCE | PACK_TAKES_CLASSES,
    .list = imagefolder_list,
};
