#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

entrain_status(error_set)(entrain_error *err, entrain_status status, const char *format, ...) {
    if (err == NULL) return status;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->status = status;
    return status;
}

entrain_status error_add(entrain_error *err, entrain_status status, const char *format, ...) {
    if (err == NULL) return status;
    if (err->status == ENTRAIN_OK) {
        err->status = status;
        err->text[0] = '\0';
    }
    size_t used = strlen(err->text);
    if (used > 0 && used + 1 < sizeof err->text) err->text[used++] = '\n';
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text + used, sizeof err->text - used, format, args);
    va_end(args);
    return err->status;
}

entrain_status error_prefix(entrain_error *err, const char *format, ...) {
    if (err == NULL) return ENTRAIN_OK;
    entrain_error old = *err;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", old.text);
    return err->status;
}
