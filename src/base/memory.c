#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

size_t memory_round(size_t bytes) {
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

void *memory_alloc(size_t bytes) {
    void *p = memory_reserve(bytes);
    if (p != NULL) memset(p, 0, memory_round(bytes > 0 ? bytes : 1));
    return p;
}

void *memory_reserve(size_t bytes) {
    static const size_t huge = (size_t)2 << 20, large = (size_t)16 << 20; /* the rounding costs at most an eighth */
    const size_t size = memory_round(bytes > 0 ? bytes : 1);
    if (size < bytes) return NULL;
    if (size < large) return aligned_alloc(MEMORY_ALIGNMENT, size);
    const size_t rounded = (size + huge - 1) / huge * huge;
    void *p = aligned_alloc(huge, rounded);
    if (p != NULL) (void)madvise(p, rounded, MADV_HUGEPAGE); /* fewer address translations to look up; not everywhere to be had */
    return p;
}

void memory_free(void *p) {
    free(p);
}

double memory_resident_mib(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL) return 0.0;
    long total = 0, resident = 0;
    const int fields = fscanf(f, "%ld %ld", &total, &resident);
    (void)fclose(f);
    return fields == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576.0 : 0.0;
}

double memory_peak_mib(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024.0 : 0.0;
}
