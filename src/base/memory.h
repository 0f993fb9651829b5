/* Aligned memory: every large buffer starts on a 64-byte line, is counted, and is zeroed. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

enum { MEMORY_ALIGNMENT = 64 };

/* bytes zeroed bytes on a 64-byte boundary, or NULL (bytes 0 gives a valid pointer). Free with memory_free. */
void *memory_alloc(size_t bytes);
/*
 * The same, but not zeroed, which leaves it to the caller's threads to touch it first: a page belongs to the memory next to whoever does.
 * Large blocks ask for large pages.
 */
void *memory_reserve(size_t bytes);
void memory_free(void *p);

/* Round up to the alignment. */
size_t memory_round(size_t bytes);

/* Resident memory of this process in MiB, now and at its highest; 0 where the system does not say. */
double memory_resident_mib(void);
double memory_peak_mib(void);

#endif
