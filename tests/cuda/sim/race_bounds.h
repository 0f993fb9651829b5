/* What kind of memory an address of a kernel's access belongs to, and whether a kernel may use it. */
#ifndef CUSIM_RACE_BOUNDS_H
#define CUSIM_RACE_BOUNDS_H

#include <string>

#include <stddef.h>

namespace cusim {

enum Space { SPACE_SHARED, SPACE_DEVICE, SPACE_LOCAL, SPACE_WRONG };
/* Reports what is SPACE_WRONG. */
Space space_of(const void *place, size_t bytes, void *caller);
/* An address of code as module+offset, which addr2line understands. */
std::string describe_code(void *address);

} // namespace cusim

#endif
