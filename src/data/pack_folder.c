/* Whether a folder can take the shards of a split: a folder holds one split with one number of shards, or it cannot be read any more. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_internal.h"

static const char TAIL[] = "-00000-of-00000.h5";

/* A shard's name ends like TAIL, digits for zeros. */
static bool is_shard(const char *name) {
    const size_t length = strlen(name), tail = sizeof TAIL - 1;
    if (length <= tail) return false;
    const char *end = name + length - tail;
    for (size_t i = 0; i < tail; i++) {
        const bool good = TAIL[i] == '0' ? end[i] >= '0' && end[i] <= '9' : end[i] == TAIL[i];
        if (!good) return false;
    }
    return true;
}

/* Of another split, or of another number of shards. */
static bool is_foreign(const char *name, const char *split, int shards) {
    char prefix[SHARD_NAME + 1], suffix[32];
    (void)snprintf(prefix, sizeof prefix, "%s-", split);
    (void)snprintf(suffix, sizeof suffix, "-of-%05d.h5", shards);
    const size_t length = strlen(name), tail = sizeof TAIL - 1;
    const bool same_split = length == strlen(split) + tail && strncmp(name, prefix, strlen(prefix)) == 0;
    return !same_split || strcmp(name + length - strlen(suffix), suffix) != 0;
}

entrain_status pack_check_folder(const char *folder, const char *split, int shards, entrain_error *err) {
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return errno == ENOENT ? ENTRAIN_OK : error_set(err, ENTRAIN_DATA, "%s: the folder cannot be opened: %s.", folder, strerror(errno));
    char found[256] = "";
    for (const struct dirent *e = readdir(dir); e != NULL && found[0] == '\0'; e = readdir(dir))
        if (is_shard(e->d_name) && is_foreign(e->d_name, split, shards)) (void)snprintf(found, sizeof found, "%s", e->d_name);
    (void)closedir(dir);
    if (found[0] == '\0') return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: holds %s already, of another set than the %d shards of '%s' to be written. One folder holds one split: choose "
                     "another --out or remove the old shards first.",
                     folder, found, shards, split);
}
