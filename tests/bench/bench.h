/* What the programs that measure share: memory that must be there, and numbers from the command line. Both end the program with a word. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdio.h>
#include <stdlib.h>

static inline void *must(void *p) {
    if (p != NULL) return p;
    (void)fprintf(stderr, "out of memory\n");
    exit(5);
}

/* A whole number above 0. */
static inline int number(const char *text) {
    const int n = atoi(text);
    if (n > 0) return n;
    (void)fprintf(stderr, "%s: expected a number above 0\n", text);
    exit(2);
}

#endif
