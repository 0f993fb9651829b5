/* What the entry points of the CUDA runtime share: the last error, and how each of them begins. */
#ifndef CUSIM_RUNTIME_H
#define CUSIM_RUNTIME_H

#include "host.h"

namespace cusim {

enum { SHARED_MOST = 227 << 10 }; /* dynamic shared memory that a kernel can be allowed, as on a device of capability 9.0 */

/* Remembers an error for cudaGetLastError and returns it. */
cudaError_t set_error(cudaError_t error);
/* The failure after which the device does nothing any more, as after an illegal access; cudaSuccess while there is none. */
cudaError_t pending_failure();
/* What cudaGetDeviceCount would say is wrong, or cudaSuccess. */
cudaError_t device_error();

} // namespace cusim

#define CUSIM_ENTER(failure)                                                                                                               \
    cusim::Guard cusim_guard;                                                                                                              \
    do {                                                                                                                                   \
        int cusim_code;                                                                                                                    \
        if (cusim::device_error() != cudaSuccess) return cusim::set_error(cusim::device_error());                                          \
        if (cusim::injected(__func__, failure, &cusim_code)) return cusim::set_error(static_cast<cudaError_t>(cusim_code));                \
        if (cusim::pending_failure() != cudaSuccess) return cusim::pending_failure();                                                      \
    } while (0)

#endif
