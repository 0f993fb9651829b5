/* Running a group of tests once on every backend of this build: a new backend is one more row in ops_backends.c. */
#ifndef TESTS_OPS_BACKENDS_H
#define TESTS_OPS_BACKENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"

/* Each test gets the open backend as *state. Returns the number of failed tests over all backends. */
int ops_run(const struct CMUnitTest *tests, size_t count);

#endif
