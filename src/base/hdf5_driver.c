/*
 * A file driver for libhdf5 that never fails to write: it remembers the first failure (a full disk, for one) and drops everything after it.
 * Why stands in hdf5_file.h. The descriptor belongs to the caller, so opening and closing are only bookkeeping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hdf5_file.h"
#if defined(__has_include)
#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h> /* where libhdf5 1.14 keeps H5FD_class_t */
#endif
#endif

/* What the access list carries: libhdf5 copies it byte by byte. */
typedef struct driver_info {
    int fd;
    int *error;
} driver_info;

typedef struct driver_file {
    H5FD_t base; /* first: libhdf5 sees this part alone */
    driver_info info;
    haddr_t eoa, eof; /* end of allocated addresses; end of what was written */
} driver_file;

static driver_file *as_driver(H5FD_t *f) {
    return (driver_file *)(void *)f;
}

static const driver_file *as_const_driver(const H5FD_t *f) {
    return (const driver_file *)(const void *)f;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maxaddr) {
    (void)name, (void)flags, (void)maxaddr;
    const driver_info *info = H5Pget_driver_info(access);
    if (info == NULL) return NULL;
    driver_file *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->info = *info;
    return &f->base;
}

static herr_t driver_close(H5FD_t *f) {
    free(as_driver(f));
    return 0;
}

static herr_t driver_query(const H5FD_t *f, unsigned long *flags) {
    (void)f;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *f, H5FD_mem_t type) {
    (void)type;
    return as_const_driver(f)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *f, H5FD_mem_t type, haddr_t address) {
    (void)type;
    as_driver(f)->eoa = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *f, H5FD_mem_t type) {
    (void)type;
    return as_const_driver(f)->eof;
}

/* Bytes that were never written read as zero, as they do in a file. */
static herr_t driver_read(H5FD_t *f, H5FD_mem_t type, hid_t list, haddr_t address, size_t size, void *buffer) {
    (void)type, (void)list;
    char *to = buffer;
    while (size > 0) {
        const ssize_t n = pread(as_driver(f)->info.fd, to, size, (off_t)address);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        to += n;
        address += (haddr_t)n;
        size -= (size_t)n;
    }
    memset(to, 0, size);
    return 0;
}

static herr_t driver_write(H5FD_t *f, H5FD_mem_t type, hid_t list, haddr_t address, size_t size, const void *buffer) {
    (void)type, (void)list;
    driver_file *file = as_driver(f);
    const char *from = buffer;
    if (address + size > file->eof) file->eof = address + size;
    while (size > 0 && *file->info.error == 0) {
        const ssize_t n = pwrite(file->info.fd, from, size, (off_t)address);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            *file->info.error = n < 0 ? errno : EIO;
            break;
        }
        from += n;
        address += (haddr_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* Bring the file to its allocated length; libhdf5 refuses to read one that is shorter. */
static herr_t driver_truncate(H5FD_t *f, hid_t list, hbool_t closing) {
    (void)list, (void)closing;
    driver_file *file = as_driver(f);
    if (file->eof == file->eoa) return 0;
    if (*file->info.error == 0 && ftruncate(file->info.fd, (off_t)file->eoa) != 0) *file->info.error = errno;
    file->eof = file->eoa;
    return 0;
}

static const H5FD_class_t driver_class = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* libhdf5 leaves 512 and above to others */
#endif
    .name = "entrain",
    .maxaddr = ((haddr_t)1 << 62),
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(driver_info),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t hdf5_driver_access(int fd, int *error) {
    /* Registered once and for good: on closing a file libhdf5 looks at the driver after having given up the file's own hold on it. */
    static hid_t driver = -1;
    if (driver < 0) driver = H5FDregister(&driver_class);
    if (driver < 0) return -1;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    const driver_info info = {fd, error};
    if (access >= 0 && H5Pset_driver(access, driver, &info) < 0) {
        (void)H5Pclose(access);
        access = -1;
    }
    return access;
}
