/* Writing HDF5 files beside their names and renaming them when they are whole: see hdf5_file.h. */
#include "base/hdf5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sync.h"

/* The first reason since hdf5_be_silent or hdf5_reason: clearing up after a failure calls libhdf5 again, which wipes its own error stack.
 */
static _Thread_local char first_reason[256];

bool hdf5_failed(void) {
    return first_reason[0] != '\0';
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *e, void *text) {
    if (n == 0 && e->desc != NULL) (void)snprintf(text, sizeof first_reason, "%s", e->desc[0] != '\0' ? e->desc : "an error without words");
    return 0;
}

/* libhdf5 calls this in place of printing its error stack on stderr. */
static herr_t keep_reason(hid_t stack, void *unused) {
    (void)unused;
    return hdf5_failed() ? 0 : H5Ewalk2(stack, H5E_WALK_UPWARD, keep_innermost, first_reason);
}

void hdf5_be_silent(void) {
    first_reason[0] = '\0';
    (void)H5Eset_auto2(H5E_DEFAULT, keep_reason, NULL);
}

void hdf5_reason(char *text, size_t size) {
    (void)snprintf(text, size, "libhdf5 says: %s", hdf5_failed() ? first_reason : "nothing");
    first_reason[0] = '\0';
}

static void release(hdf5_file *f) {
    free(f->path);
    free(f->temporary);
    free(f);
}

static entrain_status cannot_write(const hdf5_file *f, const char *step, const char *reason, entrain_error *err) {
    return error_set(
        err, ENTRAIN_DATA,
        "%s: %s: %s. The unfinished file was removed; an older file of this name is as it was. Check the folder, its permissions and the "
        "space left.",
        f->path, step, reason);
}

static bool open_temporary(hdf5_file *f) {
    f->fd = open(f->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return f->fd >= 0;
}

static entrain_status create_in(hdf5_file *f, entrain_error *err) {
    const hid_t access = hdf5_driver_access(f->fd, &f->write_error);
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_obj_track_times(creation, 0) >= 0)
        f->id = H5Fcreate(f->temporary, H5F_ACC_TRUNC, creation, access);
    const entrain_status status = f->id >= 0 ? ENTRAIN_OK : hdf5_fail(f, err);
    if (creation >= 0) (void)H5Pclose(creation);
    if (access >= 0) (void)H5Pclose(access);
    return status;
}

entrain_status hdf5_create(const char *path, hdf5_file **out, entrain_error *err) {
    hdf5_be_silent();
    *out = NULL;
    hdf5_file *f = calloc(1, sizeof *f);
    if (f == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory.", path);
    f->id = -1;
    f->fd = -1;
    f->path = strdup(path);
    if (f->path == NULL || asprintf(&f->temporary, "%s.tmp", path) < 0) {
        f->temporary = NULL;
        release(f);
        return error_set(err, ENTRAIN_DEVICE, "%s: out of memory.", path);
    }
    if (!open_temporary(f)) {
        const entrain_status status = cannot_write(f, "cannot create the file", strerror(errno), err);
        release(f);
        return status;
    }
    const entrain_status status = create_in(f, err);
    if (status == ENTRAIN_OK) *out = f;
    return status;
}

void hdf5_abandon(hdf5_file *f) {
    if (f == NULL) return;
    if (f->write_error == 0) f->write_error = ECANCELED; /* what is still in libhdf5's buffers need not reach the disk */
    if (f->id >= 0) (void)H5Fclose(f->id);
    if (f->fd >= 0) (void)close(f->fd);
    (void)unlink(f->temporary);
    release(f);
}

entrain_status hdf5_fail(hdf5_file *f, entrain_error *err) {
    char reason[320];
    hdf5_reason(reason, sizeof reason);
    const entrain_status status = cannot_write(f, "cannot write the file", f->write_error != 0 ? strerror(f->write_error) : reason, err);
    hdf5_abandon(f);
    return status;
}

entrain_status hdf5_seal(hdf5_file *f, entrain_error *err) {
    if (H5Fflush(f->id, H5F_SCOPE_GLOBAL) < 0) return hdf5_fail(f, err);
    const hid_t id = f->id;
    f->id = -1;
    if (H5Fclose(id) < 0 || f->write_error != 0) return hdf5_fail(f, err);

    const char *step = NULL;
    if (fsync(f->fd) != 0) step = "cannot sync the file";
    const int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0 && step == NULL) step = "cannot close the file";
    if (step == NULL) return ENTRAIN_OK;
    const entrain_status status = cannot_write(f, step, strerror(errno), err);
    hdf5_abandon(f);
    return status;
}

entrain_status hdf5_commit(hdf5_file *f, entrain_error *err) {
    if (f->id >= 0) {
        const entrain_status sealed = hdf5_seal(f, err);
        if (sealed != ENTRAIN_OK) return sealed;
    }
    if (rename(f->temporary, f->path) != 0) {
        const entrain_status status = cannot_write(f, "cannot rename the finished file", strerror(errno), err);
        hdf5_abandon(f);
        return status;
    }
    entrain_status status = ENTRAIN_OK;
    if (!sync_folder_of(f->path))
        status = error_set(err, ENTRAIN_DATA, "%s: the file is written, but its folder cannot be synced: %s.", f->path, strerror(errno));
    release(f);
    return status;
}

static entrain_status cannot_open(const char *path, int reason, entrain_error *err) {
    if (reason != EMFILE && reason != ENFILE) return error_set(err, ENTRAIN_DATA, "%s: cannot open the file: %s.", path, strerror(reason));
    return error_set(err, ENTRAIN_DEVICE, "%s: cannot open the file: %s. Raise `ulimit -n`, or pack with fewer --shards.", path,
                     strerror(reason));
}

entrain_status hdf5_open(const char *path, hid_t *file, entrain_error *err) {
    hdf5_be_silent();
    struct stat known;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* libhdf5's words for a missing file are hard to read */
    if (fd < 0) return cannot_open(path, errno, err);
    const bool regular = fstat(fd, &known) == 0 && S_ISREG(known.st_mode);
    (void)close(fd);
    if (!regular) return error_set(err, ENTRAIN_DATA, "%s: is not a regular file.", path);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    (void)H5Pset_file_locking(access, 0, 1); /* some network file systems have no locks, and nothing here needs one */
#endif
    (void)H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    char reason[320];
    if (*file < 0) hdf5_reason(reason, sizeof reason);
    (void)H5Pclose(access);
    if (*file >= 0) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: not a whole HDF5 file (%s). It may be cut off or damaged; use another copy.", path, reason);
}
