#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

static int log_rank = 0;
static bool log_quiet = false;
static FILE *log_file = NULL;

void log_set_rank(int rank) {
    log_rank = rank;
}

void log_set_quiet(bool quiet) {
    log_quiet = quiet;
}

entrain_status log_open(const char *path, entrain_error *err) {
    log_close();
    log_file = fopen(path, "a");
    if (log_file == NULL)
        return error_set(err, ENTRAIN_DATA, "%s: cannot open the log for writing: %s. Check the folder and its permissions.", path,
                         strerror(errno));
    return ENTRAIN_OK;
}

void log_close(void) {
    if (log_file != NULL) (void)fclose(log_file);
    log_file = NULL;
}

__attribute__((format(printf, 3, 0))) static void print_line(FILE *to, const char *prefix, const char *format, va_list args) {
    (void)fputs(prefix, to);
    (void)vfprintf(to, format, args);
    (void)fputc('\n', to);
    (void)fflush(to);
}

void log_info(const char *format, ...) {
    if (log_rank != 0) return;
    va_list args;
    if (!log_quiet) {
        va_start(args, format);
        print_line(stdout, "", format, args);
        va_end(args);
    }
    if (log_file == NULL) return;
    va_start(args, format);
    print_line(log_file, "", format, args);
    va_end(args);
}

void log_warn(const char *format, ...) {
    char prefix[64] = "warning: ";
    if (log_rank != 0) (void)snprintf(prefix, sizeof prefix, "[rank %d] warning: ", log_rank);
    va_list args;
    va_start(args, format);
    print_line(stderr, prefix, format, args);
    va_end(args);
    if (log_file == NULL) return;
    va_start(args, format);
    print_line(log_file, prefix, format, args);
    va_end(args);
}

double log_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
