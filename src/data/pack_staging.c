/*
 * Shards on their way to their names. Each is finished as NAME.h5.staged; beside them SPLIT.packing says to which work they belong. Killed
 * and started again, the same work finds its finished shards, other work removes them. When all are there, SPLIT.packing is rewritten to
 * say so, the shards are renamed, and it goes: killed in between, the next start renames the others.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sync.h"
#include "data/image.h"
#include "data/pack_internal.h"
#include "data/shard_internal.h"

static const char TAIL[] = "-00000-of-00000.h5";

/* A shard's name ends like TAIL, digits for zeros; `ending` follows. */
static bool is_shard(const char *name, const char *ending) {
    const size_t length = strlen(name), tail = sizeof TAIL - 1, more = strlen(ending);
    if (length <= tail + more || strcmp(name + length - more, ending) != 0) return false;
    const char *end = name + length - more - tail;
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

/* One folder holds one split with one number of shards, or it cannot be read any more. own: how many of this very set are there. */
static entrain_status check_folder(const pack_staging *s, int *own, entrain_error *err) {
    *own = 0;
    DIR *dir = opendir(s->folder);
    if (dir == NULL) return error_set(err, ENTRAIN_DATA, "%s: the folder cannot be opened: %s.", s->folder, strerror(errno));
    char found[256] = "";
    errno = 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (!is_shard(e->d_name, "")) continue;
        if (is_foreign(e->d_name, s->split, s->shards))
            (void)snprintf(found, sizeof found, "%s", e->d_name);
        else
            ++*own;
    }
    const int reason = errno;
    (void)closedir(dir);
    if (found[0] == '\0' && reason != 0) return error_set(err, ENTRAIN_DATA, "%s: cannot be read: %s.", s->folder, strerror(reason));
    if (found[0] == '\0') return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA,
                     "%s: holds %s already, of another set than the %d shards of '%s' to be written. One folder holds one split: choose "
                     "another --out or remove the old shards first.",
                     s->folder, found, s->shards, s->split);
}

/* Remove the split's files with this ending. */
static void remove_all(const pack_staging *s, const char *ending) {
    DIR *dir = opendir(s->folder);
    if (dir == NULL) return;
    const size_t split = strlen(s->split);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        if (is_shard(e->d_name, ending) && strncmp(e->d_name, s->split, split) == 0 &&
            strlen(e->d_name) == split + strlen(TAIL) + strlen(ending))
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    (void)closedir(dir);
}

/* ---- the file that says what waits ---- */

typedef struct manifest {
    uint64_t fingerprint;
    int shards;
    bool publishing;
} manifest;

static void manifest_path(const pack_staging *s, char path[PATH_MAX]) {
    (void)snprintf(path, PATH_MAX, "%s/%s" SHARD_PACKING, s->folder, s->split);
}

static void shard_path(const pack_staging *s, int shard, int shards, const char *ending, char path[PATH_MAX]) {
    (void)snprintf(path, PATH_MAX, "%s/%s-%05d-of-%05d.h5%s", s->folder, s->split, shard, shards, ending);
}

/* false: there is none, or it is none of ours. */
static bool read_manifest(const pack_staging *s, manifest *m) {
    char path[PATH_MAX], state[16] = "";
    manifest_path(s, path);
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    unsigned long long print = 0;
    const bool good = fscanf(f, "fingerprint %16llx shards %d state %15s", &print, &m->shards, state) == 3;
    (void)fclose(f);
    m->fingerprint = print;
    m->publishing = strcmp(state, "publishing") == 0;
    return good && m->shards >= 1 && m->shards <= SHARD_MAX_SHARDS;
}

static entrain_status write_manifest(const pack_staging *s, const char *state, entrain_error *err) {
    char path[PATH_MAX], text[512];
    manifest_path(s, path);
    const int length =
        snprintf(text, sizeof text,
                 "fingerprint %016llx\nshards %d\nstate %s\n\nentrain pack has not finished here: start the same command again "
                 "and it goes on. To give it up, remove this file and all *" SHARD_STAGED " files beside it.\n",
                 (unsigned long long)s->fingerprint, s->shards, state);
    return file_write(path, text, (size_t)length, err);
}

static entrain_status drop_manifest(const pack_staging *s, entrain_error *err) {
    char path[PATH_MAX];
    manifest_path(s, path);
    if (unlink(path) != 0 && errno != ENOENT) return error_set(err, ENTRAIN_DATA, "%s: cannot be removed: %s.", path, strerror(errno));
    return ENTRAIN_OK;
}

/* ---- steps ---- */

/* Every step-th shard from `first` on gets its final name; one that is not waiting has it already. */
static entrain_status rename_shards(const pack_staging *s, int shards, int first, int step, entrain_error *err) {
    char from[PATH_MAX], to[PATH_MAX];
    for (int shard = first; shard < shards; shard += step) {
        shard_path(s, shard, shards, SHARD_STAGED, from);
        shard_path(s, shard, shards, "", to);
        if (rename(from, to) == 0 || (errno == ENOENT && access(to, F_OK) == 0)) continue;
        return error_set(
            err, ENTRAIN_DATA,
            "%s: cannot get its final name: %s. Start the same command again; to start anew instead, remove %s/%s" SHARD_PACKING ".", from,
            strerror(errno), s->folder, s->split);
    }
    if (sync_folder(s->folder)) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: the folder cannot be synced: %s. Start the same command again.", s->folder, strerror(errno));
}

/* What an earlier start has left: ended where it was publishing, kept where it was this work, cleared away otherwise. */
static entrain_status take_over(pack_staging *s, entrain_error *err) {
    manifest m = {0};
    const bool found = read_manifest(s, &m), same = found && m.fingerprint == s->fingerprint && m.shards == s->shards;
    if (found && m.publishing) {
        entrain_status status = rename_shards(s, m.shards, 0, 1, err);
        if (status == ENTRAIN_OK) status = drop_manifest(s, err);
        if (status != ENTRAIN_OK) return status;
        log_info("%s: the shards of an earlier start have got their names", s->folder);
        s->finished = same;
    }
    s->resumed = same;
    if (s->finished) return ENTRAIN_OK;
    int own = 0;
    const entrain_status status = check_folder(s, &own, err);
    if (status != ENTRAIN_OK) return status;
    if (own > 0) log_info("%s: the %d shards of '%s' that are there will be replaced", s->folder, own, s->split);
    remove_all(s, SHARD_STAGED ".tmp");
    if (same) return ENTRAIN_OK;
    if (found && !m.publishing) log_info("%s: shards that wait here are of other options or sources: starting anew", s->folder);
    pack_staging_remove(s);
    return ENTRAIN_OK;
}

/*
 * Two runs in one folder would take each other's files away. Where the file system has no locks, only the look at the folder before
 * publishing is left.
 */
static entrain_status lock_folder(pack_staging *s, entrain_error *err) {
    s->lock = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock < 0) return error_set(err, ENTRAIN_DATA, "%s: the folder cannot be opened: %s.", s->folder, strerror(errno));
    struct stat locked, there;
    const bool taken = flock(s->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    /* a run that has just failed may have removed the folder meanwhile */
    const bool gone = fstat(s->lock, &locked) != 0 || stat(s->folder, &there) != 0 || locked.st_ino != there.st_ino;
    s->mine = !taken && !gone;
    if (s->mine) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: another `entrain pack` is writing here. Wait for it, or choose another --out.", s->folder);
}

static entrain_status begin(pack_staging *s, entrain_error *err) {
    entrain_status status = file_make_folder(s->folder, err);
    if (status == ENTRAIN_OK) status = lock_folder(s, err);
    if (status == ENTRAIN_OK) status = take_over(s, err);
    return status == ENTRAIN_OK && !s->resumed ? write_manifest(s, "packing", err) : status;
}

void pack_staging_end(pack_staging *s) {
    if (s->lock >= 0) (void)close(s->lock); /* which gives the lock back */
    s->lock = -1;
    s->mine = false;
}

entrain_status pack_staging_begin(pack_staging *s, comm *c, entrain_error *err) {
    int64_t found[2] = {0, 0};
    s->resumed = s->finished = s->mine = false;
    s->lock = -1;
    if (strlen(s->folder) + strlen(s->split) + 64 > PATH_MAX) return error_set(err, ENTRAIN_USAGE, "pack: the path of --out is too long.");
    const entrain_status status = pack_agree(c, c->rank == 0 ? begin(s, err) : ENTRAIN_OK, err);
    if (status != ENTRAIN_OK) return status;
    found[0] = s->resumed;
    found[1] = s->finished;
    if (comm_broadcast(c, found, sizeof found, COMM_BYTE, 0, NULL) != ENTRAIN_OK) {
        *err = c->error;
        return c->error.status;
    }
    s->resumed = found[0] != 0;
    s->finished = found[1] != 0;
    return ENTRAIN_OK;
}

bool pack_staging_has(const pack_staging *s, int shard) {
    char path[PATH_MAX];
    shard_path(s, shard, s->shards, SHARD_STAGED, path);
    return access(path, F_OK) == 0;
}

static entrain_status begin_publishing(const pack_staging *s, entrain_error *err) {
    int own;
    const entrain_status status = check_folder(s, &own, err); /* shards of another set may have come meanwhile */
    return status == ENTRAIN_OK ? write_manifest(s, "publishing", err) : status;
}

entrain_status pack_staging_publish(const pack_staging *s, comm *c, entrain_error *err) {
    entrain_status status = pack_agree(c, c->rank == 0 ? begin_publishing(s, err) : ENTRAIN_OK, err);
    if (status == ENTRAIN_OK) status = pack_agree(c, rename_shards(s, s->shards, c->rank, c->size, err), err);
    if (status == ENTRAIN_OK) status = pack_agree(c, c->rank == 0 ? drop_manifest(s, err) : ENTRAIN_OK, err);
    return status;
}

void pack_staging_remove(const pack_staging *s) {
    char path[PATH_MAX];
    remove_all(s, SHARD_STAGED);
    remove_all(s, SHARD_STAGED ".tmp");
    manifest_path(s, path);
    (void)unlink(path);
}
