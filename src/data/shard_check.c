/* Whether what a shard says of itself can be true: names that may be printed and made files of, bytes that the file really holds. */
#include <string.h>

#include "data/shard_internal.h"

bool shard_plain_text(const char *text, size_t size) {
    const char *end = memchr(text, '\0', size);
    if (end == NULL || end == text) return false;
    for (const char *p = text; p < end; p++)
        if ((unsigned char)*p < ' ' || *p == '\177') return false;
    return true;
}

bool shard_path_stays(const char *path) {
    for (const char *part = path;; part++) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length <= 2 && strncmp(part, "..", length) == 0)) return false;
        part += length;
        if (*part == '\0') return true;
    }
}

/*
 * HDF5's checksum of a table, Fletcher's, cannot tell bytes of 0 from bytes of 255, and the shard's own covers each id up to its end: what
 * stands behind it is looked at, too.
 */
static bool only_zeros(const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != '\0') return false;
    return true;
}

const char *shard_wrong_id(const char id[SHARD_ID]) {
    if (memchr(id, '\0', SHARD_ID) == NULL) return "is longer than the 127 bytes it may have";
    if (id[0] == '\0') return "is empty";
    if (!shard_plain_text(id, SHARD_ID)) return "has control characters";
    if (!only_zeros(id + strlen(id), SHARD_ID - strlen(id))) return "has bytes behind its end";
    if (!shard_path_stays(id)) return "is a path with an empty part, '.' or '..'";
    return NULL;
}

bool shard_holds(hid_t file, hid_t set, uint64_t bytes) {
    enum { DENSEST = 1100 }; /* deflate makes at most 1032 bytes of one */
    hsize_t size = 0;
    const hid_t list = H5Dget_create_plist(set);
    if (list < 0) return false;
    const bool own = H5Pget_layout(list) != H5D_VIRTUAL && H5Pget_external_count(list) == 0;
    const uint64_t densest = H5Pget_nfilters(list) == 0 ? 1 : DENSEST;
    (void)H5Pclose(list);
    const hsize_t stored = H5Dget_storage_size(set);
    return own && H5Fget_filesize(file, &size) >= 0 && stored <= size && bytes / densest <= stored;
}
