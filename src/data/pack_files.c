/* Folders of a source: the files of one kind in them. */
#include "data/pack_files.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"

const char *const pack_png[] = {".png", NULL}, *const pack_pictures[] = {".jpg", ".jpeg", ".png", NULL};
/* Files that end so among those expected look like a mistake. */
static const char *const images[] = {".png",  ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff",
                                     ".webp", ".ppm", ".pgm",  ".npy", ".zip", ".tar", NULL};
enum { DEEPEST = 16 };

entrain_status pack_join(char *path, const char *a, const char *b, entrain_error *err) {
    if (snprintf(path, PATH_MAX, "%s/%s", a, b) < PATH_MAX) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_USAGE, "pack: a path is too long: %.200s.../%.200s", a, b);
}

bool pack_is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

entrain_status pack_need_root(const pack_options *o, const char *layout, entrain_error *err) {
    if (o->root != NULL && o->root[0] != '\0') return ENTRAIN_OK;
    return error_set(err, ENTRAIN_USAGE, "pack %s needs --root. %s", o->dataset, layout);
}

bool pack_folders_beside(const char *folder, char *text, size_t size) {
    char path[PATH_MAX], above[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", folder);
    (void)snprintf(above, sizeof above, "%s", dirname(path));
    struct dirent **entries = NULL;
    const int count = scandir(above, &entries, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const size_t used = strlen(text);
        const char *name = entries[i]->d_name;
        const bool fits = used + strlen(name) + 2 < size;
        if (name[0] != '.' && fits && pack_join(path, above, name, NULL) == ENTRAIN_OK && pack_is_folder(path))
            (void)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        free(entries[i]);
    }
    free(entries);
    return text[0] != '\0';
}

entrain_status pack_no_folder(const char *folder, const char *layout, entrain_error *err) {
    char beside[512];
    const int reason = errno;
    const bool others = reason == ENOENT && pack_folders_beside(folder, beside, sizeof beside);
    return error_set(err, ENTRAIN_DATA, "%s: the folder cannot be opened: %s. %s%s%s%s", folder, strerror(reason),
                     others ? "There are the folders: " : "", others ? beside : "", others ? ". " : "", layout);
}

/* ---- the list ---- */

static bool add_file(pack_files *f, const char *path, size_t name, size_t stem) {
    if (f->count == f->capacity) {
        const int64_t capacity = f->capacity > 0 ? 2 * f->capacity : 256;
        pack_file *files = realloc(f->files, (size_t)capacity * sizeof *files);
        if (files == NULL) return false;
        f->files = files;
        f->capacity = capacity;
    }
    const size_t size = strlen(path) + 1;
    char *block = malloc(size + stem + 1); /* both texts */
    if (block == NULL) return false;
    memcpy(block, path, size);
    memcpy(block + size, path + name, stem);
    block[size + stem] = '\0';
    f->files[f->count++] = (pack_file){.path = block, .stem = block + size};
    return true;
}

void pack_files_free(pack_files *f) {
    for (int64_t i = 0; i < f->count; i++) free(f->files[i].path);
    free(f->files);
    memset(f, 0, sizeof *f);
}

void pack_files_keep(pack_files *f, bool (*wanted)(const pack_file *file, void *context), void *context) {
    int64_t kept = 0;
    for (int64_t i = 0; i < f->count; i++) {
        if (wanted(&f->files[i], context))
            f->files[kept++] = f->files[i];
        else
            free(f->files[i].path);
    }
    f->count = kept;
}

static int by_stem(const void *a, const void *b) {
    const pack_file *x = a, *y = b;
    const int order = strcmp(x->stem, y->stem);
    return order != 0 ? order : strcmp(x->path, y->path);
}

/* ---- searching ---- */

size_t pack_stem(const char *name, const char *const *suffixes) {
    const size_t length = strlen(name);
    for (int i = 0; suffixes != NULL && suffixes[i] != NULL; i++) {
        const size_t suffix = strlen(suffixes[i]);
        if (length > suffix && strcasecmp(name + length - suffix, suffixes[i]) == 0) return length - suffix;
    }
    return 0;
}

typedef struct search {
    const pack_kind *kind;
    const char *layout;
    pack_listing *l;
    pack_files *out;
} search;

static void note_stranger(const search *s, const char *path) {
    char ends[256] = "";
    for (int i = 0; s->kind->suffixes[i] != NULL; i++) {
        const size_t used = strlen(ends);
        (void)snprintf(ends + used, sizeof ends - used, "%s%s", used > 0 ? ", " : "", s->kind->suffixes[i]);
    }
    pack_listing_fault(s->l, "%s: what is this file? The name of a %s ends in %s here.", path, s->kind->what, ends);
}

static entrain_status search_folder(const search *s, const char *folder, int depth, entrain_error *err);

static entrain_status take_entry(const search *s, const char *folder, const struct dirent *e, int depth, entrain_error *err) {
    char path[PATH_MAX];
    if (e->d_name[0] == '.') return ENTRAIN_OK;
    entrain_status status = pack_join(path, folder, e->d_name, err);
    if (status != ENTRAIN_OK) return status;
    const bool known = e->d_type != DT_UNKNOWN && e->d_type != DT_LNK;
    if (known ? e->d_type == DT_DIR : pack_is_folder(path)) {
        if (s->kind->deep) return search_folder(s, path, depth + 1, err);
        pack_listing_fault(s->l, "%s: a folder among the %ss; it is not searched.", path, s->kind->what);
        return ENTRAIN_OK;
    }
    const size_t stem = pack_stem(e->d_name, s->kind->suffixes);
    if (stem > 0) {
        if (add_file(s->out, path, strlen(path) - strlen(e->d_name), stem)) return ENTRAIN_OK;
        return error_set(err, ENTRAIN_DEVICE, "%s: no memory for the names of its files.", folder);
    }
    if (pack_stem(e->d_name, s->kind->others) == 0 && pack_stem(e->d_name, images) > 0) note_stranger(s, path);
    return ENTRAIN_OK;
}

static entrain_status search_folder(const search *s, const char *folder, int depth, entrain_error *err) {
    if (depth > DEEPEST) return error_set(err, ENTRAIN_DATA, "%s: more than %d folders in one another; is there a loop?", folder, DEEPEST);
    DIR *dir = opendir(folder);
    if (dir == NULL) return pack_no_folder(folder, s->layout, err);
    entrain_status status = ENTRAIN_OK;
    errno = 0;
    for (const struct dirent *e = readdir(dir); e != NULL && status == ENTRAIN_OK; e = readdir(dir)) {
        status = take_entry(s, folder, e, depth, err);
        errno = 0;
    }
    if (status == ENTRAIN_OK && errno != 0) status = error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s", folder, strerror(errno));
    (void)closedir(dir);
    return status;
}

entrain_status pack_files_find(const char *folder, const pack_kind *kind, const char *layout, pack_listing *l, pack_files *out,
                               entrain_error *err) {
    const search s = {.kind = kind, .layout = layout, .l = l, .out = out};
    const entrain_status status = search_folder(&s, folder, 0, err);
    if (out->count > 0) qsort(out->files, (size_t)out->count, sizeof *out->files, by_stem);
    return status;
}
