/*
 * Running a group of tests once on every backend of this build: a new backend is one more row in ops_backends.c. The environment variable
 * ENTRAIN_TEST_DEVICE says on whose memory: cpu (as it is and guarded, see guarded_backend.h), which is what it is when unset, or cuda.
 */
#ifndef TESTS_OPS_BACKENDS_H
#define TESTS_OPS_BACKENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "comm/comm.h"

/* Each test gets the open backend as *state. Returns the number of failed tests over all backends. */
int ops_run(const struct CMUnitTest *tests, size_t count);
/* The same for tests of what the CPU backend alone promises: only there, and not at all where another device is tested. */
int ops_run_cpu(const struct CMUnitTest *tests, size_t count);

/* Whether ENTRAIN_TEST_DEVICE asks for a GPU and there is none: says why. A program ends with TEST_SKIPPED then, as ops_run does. */
enum { TEST_SKIPPED = 77 };
bool test_device_missing(void);
/* The device that ENTRAIN_TEST_DEVICE names, for tests that run on one backend, under mpirun too: each rank of a host has the next GPU. */
entrain_status open_test_backend(int threads, backend **out, entrain_error *err);
/* The ranks of this MPI job, each with such a backend: what lies in its memory they can add up. Close them before the backend. */
entrain_status open_test_ranks(backend *be, comm **out, entrain_error *err);

#endif
