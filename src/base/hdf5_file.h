/*
 * HDF5 files that are complete or absent, and their attributes.
 *
 * A file is written beside its final name, flushed, synced and renamed. The bytes go through a file driver of our own (hdf5_driver.c),
 * because libhdf5 1.10 does not survive a failed write: the objects whose data did not reach the disk stay open for ever, and the library
 * crashes on them when the process exits. The driver remembers the first failure and takes everything after it for written, so that libhdf5
 * closes in order, and hdf5_commit then reports the failure.
 *
 * Metadata are written in HDF5 1.8's format, in which every header and index carries its own checksum, and texts as fixed-length UTF-8
 * attributes, which lie under it: libhdf5 then notices a damaged file instead of tripping over it. h5py gives such texts as bytes.
 */
#ifndef BASE_HDF5_FILE_H
#define BASE_HDF5_FILE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"

/* Where a loader may be reading meanwhile, the caller holds h5_lock (base/h5lock.h). */

/* A file being written. */
typedef struct hdf5_file {
    hid_t id;        /* the file, for groups and datasets */
    char *path;      /* its final name */
    char *temporary; /* path.tmp, where it is now */
    int fd;          /* of temporary */
    int write_error; /* errno of the first write that failed, or 0 */
} hdf5_file;

/* Start writing path. ENTRAIN_DATA where it cannot be created. */
entrain_status hdf5_create(const char *path, hdf5_file **out, entrain_error *err);
/* The first half of finishing: flush, close, sync. The whole file then lies under its temporary name, no longer open, until hdf5_commit or
 * hdf5_abandon. On failure as hdf5_commit. */
entrain_status hdf5_seal(hdf5_file *f, entrain_error *err);
/* Finish: flush, close, sync, rename. On failure nothing stays but the old file, if any; ENTRAIN_DATA with the reason. Frees f whatever
 * happens. */
entrain_status hdf5_commit(hdf5_file *f, entrain_error *err);
/* Throw the unfinished file away and free f; NULL is let pass. */
void hdf5_abandon(hdf5_file *f);
/* Say in err why building the file failed, and throw it away. Returns ENTRAIN_DATA. */
entrain_status hdf5_fail(hdf5_file *f, entrain_error *err);

/* Open for reading, without a file lock. ENTRAIN_DATA where there is no such file or it is no whole HDF5 file. Close with H5Fclose. */
entrain_status hdf5_open(const char *path, hid_t *file, entrain_error *err);

/* Keep libhdf5 from printing on this thread and remember its reasons instead. hdf5_create and hdf5_open do this; needed on a thread that
 * uses files opened by another. */
void hdf5_be_silent(void);
/* Whether a function of libhdf5 has failed on this thread since hdf5_create, hdf5_open or hdf5_reason. What is merely absent is no failure.
 */
bool hdf5_failed(void);
/* The reason that libhdf5 gave on this thread for the first failure since the last call, or since hdf5_create or hdf5_open. */
void hdf5_reason(char *text, size_t size);

/* ---- hdf5_items.c: neither groups nor datasets store times, so that equal contents make equal files ---- */

/* A new group, negative on failure. */
hid_t hdf5_group(hid_t where, const char *name);
/* A new dataset of float32 with these dimensions, negative on failure; and one with its values, row-major. */
hid_t hdf5_dataset(hid_t where, const char *name, int rank, const hsize_t dims[]);
hid_t hdf5_dataset_floats(hid_t where, const char *name, int rank, const hsize_t dims[], const float *values);

/* Attributes; false on failure. An empty text is stored as one zero byte. */
bool hdf5_put_int64(hid_t where, const char *name, int64_t value);
bool hdf5_put_uint64(hid_t where, const char *name, uint64_t value);
bool hdf5_put_uint32(hid_t where, const char *name, uint32_t value);
bool hdf5_put_double(hid_t where, const char *name, double value);
bool hdf5_put_text(hid_t where, const char *name, const char *text);
/* An array of count texts, each in its own size bytes and ended by a zero byte. */
bool hdf5_put_texts(hid_t where, const char *name, int count, size_t size, const char *texts);

/* False where there is no such attribute or it is not a single number. */
bool hdf5_get_int64(hid_t where, const char *name, int64_t *value);
bool hdf5_get_uint64(hid_t where, const char *name, uint64_t *value);
bool hdf5_get_double(hid_t where, const char *name, double *value);
/* Text of fixed or variable length as newly allocated memory; NULL where there is no such attribute or it is not one text. */
char *hdf5_get_text(hid_t where, const char *name);

/* ---- hdf5_driver.c ---- */

/* A file access list whose driver writes to fd and puts the errno of the first failure into *error. Negative on failure. */
hid_t hdf5_driver_access(int fd, int *error);

#endif
