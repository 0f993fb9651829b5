/* What every test program includes: cmocka with the headers it wants before it, and a comparison of numbers. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "entrain/status.h"

/* |got - want| <= tolerance; a NaN fails. */
static inline void check_near(double got, double want, double tolerance, const char *text, const char *file, int line) {
    if (fabs(got - want) <= tolerance) return;
    (void)fprintf(stderr, "%s: got %.17g, want %.17g within %g\n", text, got, want, tolerance);
    _fail(file, line);
}
#define assert_near(got, want, tolerance) check_near((got), (want), (tolerance), #got, __FILE__, __LINE__)

/* The call succeeds; otherwise its error's text is shown. `err` must be in scope. */
#define assert_ok(call)                                                                                                                    \
    do {                                                                                                                                   \
        if ((call) != ENTRAIN_OK) fail_msg("%s: %s", #call, err.text);                                                                     \
    } while (0)

#endif
