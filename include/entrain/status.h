/*
 * Status codes and error texts: how every function of the library says that something went wrong.
 *
 * A function that can fail returns an entrain_status and takes an entrain_error, which it fills on failure: what happened,
 * where (file, key path, sample), what was expected and what to do. The codes are the program's exit codes.
 */
#ifndef ENTRAIN_STATUS_H
#define ENTRAIN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ENTRAIN_API __attribute__((visibility("default")))
#else
#define ENTRAIN_API
#endif

typedef enum entrain_status {
    ENTRAIN_OK = 0,
    ENTRAIN_USAGE = 2,     /* wrong command line */
    ENTRAIN_CONFIG = 3,    /* wrong configuration */
    ENTRAIN_DATA = 4,      /* missing, corrupt or contradictory data; a file that cannot be written */
    ENTRAIN_DEVICE = 5,    /* no such device, out of memory */
    ENTRAIN_COMM = 6,      /* communication between ranks failed */
    ENTRAIN_NONFINITE = 7, /* the loss, or a network's scores, are not finite numbers */
    ENTRAIN_STOPPED = 75   /* stopped on request after writing a checkpoint */
} entrain_status;

enum { ENTRAIN_ERROR_TEXT = 8192 };

/* Filled on failure; text is complete sentences, several lines when several things are wrong. Owned by the caller. */
typedef struct entrain_error {
    entrain_status status;
    char text[ENTRAIN_ERROR_TEXT];
} entrain_error;

#ifdef __cplusplus
}
#endif
#endif
