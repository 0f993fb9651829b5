/*
 * The CPU backend with memory that behaves as a device's does: the host may not touch it (it is there only while an operation runs), and an
 * operation that is given the host's memory where the device's belongs ends the program, as does one that is given the device's where the
 * host's belongs. host_memory is false, so that what is above the table takes the same ways as for a real device.
 */
#ifndef TESTS_GUARDED_BACKEND_H
#define TESTS_GUARDED_BACKEND_H

#include "backend/backend.h"

/* backend_open_cpu, guarded. One at a time. */
entrain_status backend_open_guarded(int threads, backend **out, entrain_error *err);

#endif
