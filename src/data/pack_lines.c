/* Text files of a source, line by line: a list of millions is never held whole. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "data/pack_files.h"

static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf"; /* UTF-8's, which some editors write */

entrain_status pack_lines_open(pack_lines *r, const char *path, entrain_error *err) {
    struct stat status;
    *r = (pack_lines){.path = path};
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not keep us waiting */
    const bool regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (regular) r->file = fdopen(fd, "r");
    if (r->file != NULL) return ENTRAIN_OK;
    const int reason = errno;
    if (fd >= 0) (void)close(fd);
    return fd >= 0 && !regular ? error_set(err, ENTRAIN_DATA, "%s: is not a regular file", path)
                               : error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s", path, strerror(reason));
}

char *pack_lines_next(pack_lines *r) {
    while (getline(&r->line, &r->capacity, r->file) >= 0) {
        r->number++;
        char *begin = r->line, *end = r->line + strlen(r->line);
        if (r->number == 1 && strncmp(begin, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) begin += strlen(BYTE_ORDER_MARK);
        while (isspace((unsigned char)*begin)) begin++;
        while (end > begin && isspace((unsigned char)end[-1])) end--;
        *end = '\0';
        if (end > begin) return begin;
    }
    return NULL;
}

entrain_status pack_lines_close(pack_lines *r, entrain_error *err) {
    const bool failed = r->file != NULL && !feof(r->file);
    if (r->file != NULL) (void)fclose(r->file);
    free(r->line);
    r->file = NULL;
    r->line = NULL;
    return failed ? error_set(err, ENTRAIN_DATA, "%s: cannot be read after line %lld", r->path, (long long)r->number) : ENTRAIN_OK;
}
