/* Whole files: read at once; written beside, synced and renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sync.h"
#include "data/file_internal.h"
#include "data/image.h"

entrain_status file_read(const char *path, uint8_t **bytes, size_t *size, entrain_error *err) {
    struct stat status;
    *bytes = NULL;
    *size = 0;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not keep us waiting */
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (f == NULL && fd >= 0) (void)close(fd);
    if (f == NULL) return error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s", path, strerror(errno));
    if (fstat(fileno(f), &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)fclose(f);
        return error_set(err, ENTRAIN_DATA, "%s: is not a regular file", path);
    }
    *size = (size_t)status.st_size;
    *bytes = malloc(*size > 0 ? *size : 1);
    const size_t got = *bytes == NULL ? 0 : fread(*bytes, 1, *size, f);
    (void)fclose(f);
    if (*bytes != NULL && got == *size) return ENTRAIN_OK;
    const bool memory = *bytes == NULL;
    free(*bytes);
    *bytes = NULL;
    return memory ? error_set(err, ENTRAIN_DEVICE, "%s: out of memory for its %zu bytes", path, *size)
                  : error_set(err, ENTRAIN_DATA, "%s: only %zu of %zu bytes could be read", path, got, *size);
}

static bool write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

static entrain_status cannot_write(const char *path, int reason, entrain_error *err) {
    return error_set(err, ENTRAIN_DATA, "%s: cannot be written: %s. Check the folder, its permissions and free space.", path,
                     strerror(reason));
}

static entrain_status rename_to(const char *temporary, const char *path, entrain_error *err) {
    if (rename(temporary, path) == 0) return ENTRAIN_OK;
    const int reason = errno;
    (void)unlink(temporary);
    return cannot_write(path, reason, err);
}

entrain_status file_publish(const char *temporary, const char *path, entrain_error *err) {
    const entrain_status status = rename_to(temporary, path, err);
    if (status != ENTRAIN_OK || sync_folder_of(path)) return status;
    return error_set(err, ENTRAIN_DATA, "%s: the file is written, but its folder cannot be synced: %s.", path, strerror(errno));
}

/* sync: also last through a power cut. */
static entrain_status write_file(const char *path, const void *bytes, size_t size, bool sync, entrain_error *err) {
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", path);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    bool done = fd >= 0 && write_all(fd, bytes, size) && (!sync || fsync(fd) == 0);
    int reason = errno;
    if (fd >= 0 && close(fd) != 0 && done) {
        done = false;
        reason = errno;
    }
    if (!done && fd >= 0) (void)unlink(temporary);
    entrain_status status = ENTRAIN_OK;
    if (!done)
        status = cannot_write(path, reason, err);
    else
        status = sync ? file_publish(temporary, path, err) : rename_to(temporary, path, err);
    free(temporary);
    return status;
}

entrain_status file_write(const char *path, const void *bytes, size_t size, entrain_error *err) {
    return write_file(path, bytes, size, true, err);
}

entrain_status file_write_fast(const char *path, const void *bytes, size_t size, entrain_error *err) {
    return write_file(path, bytes, size, false, err);
}

entrain_status file_make_folder(const char *path, entrain_error *err) {
    char *copy = strdup(path);
    if (copy == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory", path);
    entrain_status status = ENTRAIN_OK;
    for (char *p = copy; status == ENTRAIN_OK && *p != '\0'; p++) {
        if ((p[1] != '/' && p[1] != '\0') || *p == '/') continue;
        const char end = p[1];
        p[1] = '\0';
        struct stat known;
        if (mkdir(copy, 0777) != 0 && (errno != EEXIST || stat(copy, &known) != 0 || !S_ISDIR(known.st_mode)))
            status = error_set(err, ENTRAIN_DATA, "%s: cannot make this folder: %s", copy, strerror(errno == EEXIST ? ENOTDIR : errno));
        p[1] = end;
    }
    free(copy);
    return status;
}
