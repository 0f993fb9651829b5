/* Bytes of the device's memory that kernels move, counted in builds with the race checker's hooks where CUSIM_TRAFFIC names a file. */
#ifndef CUSIM_TRAFFIC_H
#define CUSIM_TRAFFIC_H

#include "block.h"

namespace cusim {

/* Around each launch. */
void traffic_begin();
void traffic_end(dim3 grid, dim3 block, size_t shared);
/* An access of the running thread to the device's memory; an atomic one reads and writes. */
void traffic_access(const void *place, size_t bytes, bool reads, bool writes);

} // namespace cusim

#endif
