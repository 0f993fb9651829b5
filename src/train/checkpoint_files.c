/* The checkpoints of a run folder: their names, the pointer `latest`, finding one, and deleting old ones. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/h5lock.h"
#include "base/hdf5_file.h"
#include "data/image.h"
#include "train/checkpoint.h"

static const char file_format[] = "step-%08" PRId64 ".h5";

void checkpoint_path(const char *run, int64_t step, char *path, size_t size) {
    char name[64];
    (void)snprintf(name, sizeof name, file_format, step);
    (void)snprintf(path, size, "%s/checkpoints/%s", run, name);
}

/* The step in a periodic checkpoint's file name; -1 for any other name. */
static int64_t step_of(const char *name) {
    char again[64];
    int64_t step = -1;
    if (sscanf(name, "step-%" SCNd64, &step) != 1 || step < 0) return -1;
    (void)snprintf(again, sizeof again, file_format, step);
    return strcmp(again, name) == 0 ? step : -1;
}

static bool is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

static bool is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static int descending(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps of the periodic checkpoints, newest first; the caller frees the list. False when the folder cannot be read. */
static bool list_steps(const char *folder, int64_t **steps, int *count) {
    *steps = NULL;
    *count = 0;
    DIR *d = opendir(folder);
    if (d == NULL) return false;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        const int64_t step = step_of(e->d_name);
        if (step < 0) continue;
        int64_t *more = realloc(*steps, (size_t)(*count + 1) * sizeof *more);
        if (more == NULL) break;
        *steps = more;
        more[(*count)++] = step;
    }
    (void)closedir(d);
    if (*count > 0) qsort(*steps, (size_t)*count, sizeof **steps, descending);
    return true;
}

/* The step that `latest` names; -1 where it is missing or names no periodic checkpoint. */
static int64_t latest_step(const char *run) {
    char path[PATH_MAX], line[80] = "";
    (void)snprintf(path, sizeof path, "%s/checkpoints/latest", run);
    FILE *f = fopen(path, "r");
    if (f == NULL) return -1;
    const bool read = fgets(line, sizeof line, f) != NULL;
    (void)fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    return read ? step_of(line) : -1;
}

/* Whether the file opens as a checkpoint with all its attributes; its values are checked when it is read. */
static bool looks_whole(const char *path) {
    hid_t file = -1;
    uint64_t sum = 0;
    bool whole = false;
    h5_lock();
    if (hdf5_open(path, &file, NULL) == ENTRAIN_OK) {
        whole = hdf5_get_uint64(file, "checksum", &sum);
        (void)H5Fclose(file);
    }
    h5_unlock();
    return whole;
}

static bool find_newest(const char *run, char *path, size_t size) {
    const int64_t latest = latest_step(run);
    if (latest >= 0) {
        checkpoint_path(run, latest, path, size);
        if (is_file(path)) return true;
    }
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/checkpoints", run);
    int64_t *steps;
    int count;
    (void)list_steps(folder, &steps, &count);
    bool found = false;
    for (int i = 0; i < count && !found; i++) {
        checkpoint_path(run, steps[i], path, size);
        found = looks_whole(path);
    }
    free(steps);
    return found;
}

entrain_status checkpoint_find(const char *file_or_run, bool prefer_best, char *path, size_t size, entrain_error *err) {
    if (strlen(file_or_run) + 64 > size || strlen(file_or_run) + 64 > PATH_MAX)
        return error_set(err, ENTRAIN_DATA, "%.200s...: the path is too long.", file_or_run);
    if (!is_folder(file_or_run)) {
        if (access(file_or_run, R_OK) != 0)
            return error_set(err, ENTRAIN_DATA, "%s: cannot open the checkpoint: %s. Give a checkpoint file or a run folder.", file_or_run,
                             strerror(errno));
        (void)snprintf(path, size, "%s", file_or_run);
        return ENTRAIN_OK;
    }
    (void)snprintf(path, size, "%s/checkpoints/best.h5", file_or_run);
    if (prefer_best && is_file(path)) return ENTRAIN_OK;
    if (find_newest(file_or_run, path, size)) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: no checkpoint under checkpoints/ in this run folder. Was the run stopped before its first one?", file_or_run);
}

entrain_status checkpoint_set_latest(const char *run, int64_t step, entrain_error *err) {
    char path[PATH_MAX], name[64];
    (void)snprintf(path, sizeof path, "%s/checkpoints/latest", run);
    (void)snprintf(name, sizeof name, file_format, step);
    const size_t length = strlen(name);
    name[length] = '\n';
    return file_write(path, name, length + 1, err);
}

static entrain_status remove_file(const char *path, entrain_error *err) {
    if (unlink(path) == 0 || errno == ENOENT) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: cannot delete the old checkpoint: %s.", path, strerror(errno));
}

/* What a killed process left half-written. */
static entrain_status remove_unfinished(const char *folder, entrain_error *err) {
    DIR *d = opendir(folder);
    entrain_status status = ENTRAIN_OK;
    for (const struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL && status == ENTRAIN_OK; e = readdir(d)) {
        const size_t length = strlen(e->d_name);
        if (length < 7 || strcmp(e->d_name + length - 7, ".h5.tmp") != 0) continue;
        char path[PATH_MAX + 300];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        status = remove_file(path, err);
    }
    if (d != NULL) (void)closedir(d);
    return status;
}

entrain_status checkpoint_prune(const char *run, int keep, entrain_error *err) {
    char folder[PATH_MAX], path[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/checkpoints", run);
    int64_t *steps;
    int count;
    if (!list_steps(folder, &steps, &count))
        return error_set(err, ENTRAIN_DATA, "%s: cannot read the folder: %s.", folder, strerror(errno));
    const int64_t latest = latest_step(run);
    entrain_status status = remove_unfinished(folder, err);
    for (int i = keep; keep > 0 && i < count && status == ENTRAIN_OK; i++) {
        if (steps[i] == latest) continue;
        checkpoint_path(run, steps[i], path, sizeof path);
        status = remove_file(path, err);
    }
    free(steps);
    return status;
}
