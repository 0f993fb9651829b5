/* Bounds as the race checker sees them: it knows of every address that a kernel touches, also the host's, which a device could not reach.
 */
#include "race_bounds.h"
#include "block.h"
#include "host.h"
#include "memory.h"

#include <cstdio>

#include <dlfcn.h>
#include <link.h>

namespace cusim {

static bool within(const void *p, const void *begin, size_t bytes) {
    const uintptr_t a = reinterpret_cast<uintptr_t>(p), b = reinterpret_cast<uintptr_t>(begin);
    return a >= b && a - b < bytes;
}

std::string describe_code(void *address) {
    Dl_info info;
    char text[512];
    if (dladdr(address, &info) != 0 && info.dli_fname != nullptr)
        std::snprintf(text, sizeof text, "%s+0x%zx", info.dli_fname,
                      static_cast<size_t>(static_cast<char *>(address) - static_cast<char *>(info.dli_fbase)));
    else
        std::snprintf(text, sizeof text, "%p", address);
    return text;
}

struct Modules {
    std::vector<std::pair<const void *, size_t>> segments;
};

static int add_module(struct dl_phdr_info *info, size_t, void *to) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &header = info->dlpi_phdr[i];
        if (header.p_type == PT_LOAD)
            static_cast<Modules *>(to)->segments.emplace_back(reinterpret_cast<const void *>(info->dlpi_addr + header.p_vaddr),
                                                              header.p_memsz);
    }
    return 0;
}

/* Tables that the compiler made of constants, and variables: on the device they would be its own. */
static bool in_module(const void *p) {
    static Modules modules;
    if (modules.segments.empty()) dl_iterate_phdr(add_module, &modules);
    for (const auto &segment : modules.segments)
        if (within(p, segment.first, segment.second)) return true;
    return false;
}

Space space_of(const void *place, size_t bytes, void *caller) {
    enum { SLACK = 64 };
    const Block &b = the_block;
    if (within(place, b.running->stack, b.running->stack_bytes) || within(place, self, sizeof *self)) return SPACE_LOCAL;
    if (in_arena(place)) {
        if (on_device(place, bytes)) return SPACE_DEVICE;
        fault("access of %zu bytes at %p, which is outside of all allocations of the device (code at %s)", bytes, place,
              describe_code(caller).c_str());
        return SPACE_WRONG;
    }
    if (b.dynamic != nullptr && within(place, b.dynamic, b.dynamic_bytes + SLACK)) {
        if (within(static_cast<const char *>(place) + bytes - 1, b.dynamic, b.dynamic_bytes)) return SPACE_SHARED;
        fault("access of %zu bytes past the %zu bytes of dynamic shared memory (code at %s)", bytes, b.dynamic_bytes,
              describe_code(caller).c_str());
        return SPACE_WRONG;
    }
    const size_t static_bytes = static_cast<size_t>(cusim_shared_end - cusim_shared_begin);
    if (within(place, cusim_shared_begin, static_bytes)) return SPACE_SHARED;
    if (within(place, b.call->arguments, b.call->bytes) || is_pinned(place, bytes) || in_module(place)) return SPACE_LOCAL;
    fault("access of %zu bytes at %p, which is memory of the host (code at %s)", bytes, place, describe_code(caller).c_str());
    return SPACE_WRONG;
}

} // namespace cusim
