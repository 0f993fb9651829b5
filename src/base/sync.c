#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool sync_folder(const char *folder) {
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool done = fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    const int kept = errno;
    (void)close(fd);
    errno = kept;
    return done;
}

bool sync_folder_of(const char *path) {
    char *copy = strdup(path);
    if (copy == NULL) return false;
    const bool done = sync_folder(dirname(copy));
    const int kept = errno;
    free(copy);
    errno = kept;
    return done;
}
