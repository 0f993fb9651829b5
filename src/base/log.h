/*
 * What a person reads while the program runs. Rank 0 prints to stdout and, once a file is opened, to log.txt as well;
 * other ranks stay silent, but for warnings, which go to stderr from any rank.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "entrain/status.h"

/* Say which rank this process is; only rank 0 speaks. Before the first call rank 0 is assumed. */
void log_set_rank(int rank);
/* Be silent on stdout (the file still gets everything). */
void log_set_quiet(bool quiet);
/* Append to this file from now on. Call on rank 0 only. */
entrain_status log_open(const char *path, entrain_error *err);
void log_close(void);

/* One line (the newline is added). */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line to stderr with the rank where there is more than one; also to the file. */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds on a clock that never goes back. */
double log_seconds(void);

#endif
