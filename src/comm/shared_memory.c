/*
 * Memory that all ranks of a host see. Each rank makes a file without a name and maps the others' through /proc, so that nothing is left
 * behind whatever becomes of the job, and the small /dev/shm of containers is no limit. Where that is forbidden, or ranks are on several
 * hosts, all ranks get NULL.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/shared_internal.h"

/* Map a file and close it; NULL when either it or the mapping failed. */
static char *map(int file, size_t bytes) {
    if (file < 0) return NULL;
    struct stat st;
    const bool fits = fstat(file, &st) == 0 && (size_t)st.st_size == bytes;
    void *p = fits ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (p == MAP_FAILED) return NULL;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* where the system gives them to shared memory at all */
    return p;
}

/* Each thread touches the part that it works on later, so that it is that thread's memory where processors have memories of their own. */
static void touch(char *p, size_t bytes) {
    const size_t page = 4096, pages = (bytes + page - 1) / page;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < pages; i++) memset(p + i * page, 0, bytes - i * page < page ? bytes - i * page : page);
}

/* This rank's own mapping. Its file stays open, for the others to find. */
static char *make_mine(int *file, size_t bytes, uint64_t owner) {
    *file = memfd_create("entrain", MFD_CLOEXEC);
    if (*file < 0 || ftruncate(*file, (off_t)bytes) != 0) return NULL;
    char *p = map(*file, bytes);
    if (p == NULL) return NULL;
    touch(p, bytes);
    ((shared_flags *)(void *)p)->owner = owner;
    return p;
}

static char *open_other(int64_t process, int64_t file, size_t bytes, uint64_t owner) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)process, (long long)file);
    const int other = file < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    char *p = map(other, bytes);
    if (other >= 0) (void)close(other);
    if (p == NULL || ((const shared_flags *)(const void *)p)->owner == owner) return p;
    (void)munmap(p, bytes); /* another process namespace's number */
    return NULL;
}

/* Which process each rank is and which file it offers: sums in which each rank fills its own places. */
static bool exchange(comm *c, int64_t *offers, int file) {
    memset(offers, 0, 2 * (size_t)c->size * sizeof *offers);
    offers[2 * c->rank] = getpid();
    offers[2 * c->rank + 1] = file;
    return comm_allreduce(c, offers, 2 * (size_t)c->size, COMM_I64, NULL) == ENTRAIN_OK;
}

static void unmap(shared *s, int size) {
    for (int rank = 0; s->ranks != NULL && rank < size; rank++)
        if (s->ranks[rank] != NULL) (void)munmap(s->ranks[rank], s->mapped);
    free(s->ranks);
    free(s);
}

/* Fill s. false on every rank when it did not work on one. */
static bool connect_all(comm *c, shared *s, int64_t *offers) {
    static uint64_t regions; /* all ranks count alike */
    const uint64_t number = ++regions << 32;
    int file = -1;
    bool good = s != NULL && offers != NULL && s->ranks != NULL;
    if (comm_any(c, !good) || !good) return false;
    s->ranks[c->rank] = make_mine(&file, s->mapped, number + (uint64_t)c->rank);
    good = exchange(c, offers, file) && s->ranks[c->rank] != NULL;
    for (int rank = 0; rank < c->size && good; rank++) {
        if (rank == c->rank) continue;
        s->ranks[rank] = open_other(offers[2 * rank], offers[2 * rank + 1], s->mapped, number + (uint64_t)rank);
        good = s->ranks[rank] != NULL;
    }
    good = !comm_any(c, !good);
    if (file >= 0) (void)close(file);
    return good;
}

void *comm_alloc_shared(comm *c, size_t bytes) {
    if (c->size == 1 || c->local_size != c->size) return NULL;
    shared *s = calloc(1, sizeof *s);
    int64_t *offers = calloc(2 * (size_t)c->size, sizeof *offers);
    if (s != NULL) {
        const size_t page = 4096;
        s->bytes = bytes;
        s->mapped = SHARED_HEAD + (bytes + page - 1) / page * page;
        s->ranks = calloc((size_t)c->size, sizeof *s->ranks);
    }
    const bool good = connect_all(c, s, offers);
    free(offers);
    if (!good) {
        if (s != NULL) unmap(s, c->size);
        return NULL;
    }
    s->mine = s->ranks[c->rank] + SHARED_HEAD;
    s->next = c->shared;
    c->shared = s;
    return s->mine;
}

void comm_release_shared(comm *c, void *p) {
    for (shared **at = &c->shared; *at != NULL; at = &(*at)->next) {
        shared *s = *at;
        if (s->mine != p) continue;
        *at = s->next;
        unmap(s, c->size);
        return;
    }
}
