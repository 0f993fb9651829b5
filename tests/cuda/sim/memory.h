/* Memory of the device, and host memory that the device may read by itself ("pinned"). */
#ifndef CUSIM_MEMORY_H
#define CUSIM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

namespace cusim {

void *device_alloc(size_t bytes);
bool device_free(void *p);
size_t device_limit();
size_t device_used();
/* Whether p lies in memory of the device, used or not. */
bool in_arena(const void *p);

void *pinned_alloc(size_t bytes);
bool pinned_free(void *p);
bool is_pinned(const void *p, size_t bytes);

/*
 * Between calls of the runtime the device's memory is out of the host's reach, as it is on a machine with a GPU. device_open lets the
 * simulator at it. device_close is for the end of each call; where there is much memory it takes effect only in calls that waited for the
 * device (device_waited), for it costs milliseconds.
 */
void device_open();
void device_waited();
void device_close();

void check_memory_at_end();

} // namespace cusim

#endif
