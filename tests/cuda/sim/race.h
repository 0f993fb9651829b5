/* The race checker: told of each access of a kernel, it knows whether another thread's access to the same bytes is ordered with it. */
#ifndef CUSIM_RACE_H
#define CUSIM_RACE_H

#include <stddef.h>

namespace cusim {

enum Access { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC };
void race_access(const void *place, size_t bytes, Access access, void *caller);
/* These addresses are no longer in use. */
void race_forget(const void *place, size_t bytes);

} // namespace cusim

#endif
