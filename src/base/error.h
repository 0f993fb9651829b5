/* Filling entrain_error: one generator for every message, so that each reads alike. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "entrain/status.h"

/* Set the error's status and text (printf format) and return the status, so that callers write `return error_set(...)`. err may be NULL. */
entrain_status error_set(entrain_error *err, entrain_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Append a line to the error's text, setting its status where none is set yet; cut silently at the text's end. Returns the status. */
entrain_status error_add(entrain_error *err, entrain_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the text, to say on whose behalf something failed. Returns the error's status. */
entrain_status error_prefix(entrain_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The static analyser does not see into other files: show it that error_set returns the status it is given. */
#define error_set(err, status, ...) ((void)(error_set)((err), (status), __VA_ARGS__), (status))
#endif

#endif
