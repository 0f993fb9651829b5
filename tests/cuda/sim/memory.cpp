/*
 * Device memory. In builds with the address sanitizer each allocation is an exact one of the heap, so that the sanitizer knows its end. In
 * the others it is cut from one range of addresses which are never given twice: the race checker can tell what is not, or no longer,
 * allocated. New memory is all ones, which is NaN in every float type.
 */
#include "memory.h"
#include "block.h"
#include "host.h"
#include "race.h"

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>

#include <signal.h>
#include <sys/mman.h>

namespace cusim {

static const size_t ARENA_BYTES = static_cast<size_t>(256) << 30; /* of addresses */
enum { ALIGNMENT = 256, GUARD_BYTES = 256, GUARD_VALUE = 0xA5, PAGE = 4096, CHEAP_BYTES = 4 << 20 };

typedef std::map<uintptr_t, size_t> Areas; /* address -> bytes */
/* Never destroyed: they are looked at after everything else has ended. */
static Areas &device_areas = *new Areas, &pinned_areas = *new Areas;
static size_t used;

static bool inside(const Areas &areas, const void *p, size_t bytes) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(p);
    Areas::const_iterator it = areas.upper_bound(begin);
    if (it == areas.begin()) return false;
    --it;
    return begin + bytes <= it->first + it->second;
}

bool on_device(const void *p, size_t bytes) {
    return inside(device_areas, p, bytes);
}

bool is_pinned(const void *p, size_t bytes) {
    return inside(pinned_areas, p, bytes);
}

size_t device_limit() {
    return static_cast<size_t>(setting("CUSIM_MEMORY", 8l << 30));
}

size_t device_used() {
    return used;
}

#if defined(__SANITIZE_ADDRESS__)

static unsigned char *area_alloc(size_t bytes) {
    void *p = nullptr;
    return posix_memalign(&p, ALIGNMENT, bytes) == 0 ? static_cast<unsigned char *>(p) : nullptr;
}
static void area_free(unsigned char *p, size_t) {
    std::free(p);
}
static void area_check(const unsigned char *, size_t) {
}
bool in_arena(const void *) {
    return false;
}
void device_open() {
}
void device_waited() {
}
void device_close() {
}

#else

static unsigned char *arena;
static size_t arena_next;
static bool opened, waited;
static struct sigaction handler_before;

static void protect(unsigned char *p, size_t bytes, int protection) {
    if (bytes > 0 && mprotect(p, bytes, protection) != 0) fatal("mprotect of %zu bytes failed", bytes);
}

void device_open() {
    if (!opened) protect(arena, arena_next, PROT_READ | PROT_WRITE);
    opened = true;
}

void device_waited() {
    waited = true;
}

void device_close() {
    if (opened && (waited || used < CHEAP_BYTES)) {
        protect(arena, arena_next, PROT_NONE);
        opened = false;
    }
    waited = false;
}

/* A crash of a kernel, or in the arena, is the program under test's doing and is named; others are left to whoever handled them before. */
static void on_crash(int signal, siginfo_t *info, void *) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr), begin = reinterpret_cast<uintptr_t>(arena);
    if (running_kernel() != nullptr) fatal("crashed by an access at %p, which is outside of all allocations of the device", info->si_addr);
    if (address >= begin && address - begin < ARENA_BYTES) fatal("host code touched memory of the device at %p", info->si_addr);
    sigaction(signal, &handler_before, nullptr);
}

static void make_arena() {
    void *memory = mmap(nullptr, ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fatal("no range of %zu bytes of addresses for the device's memory", ARENA_BYTES);
    arena = static_cast<unsigned char *>(memory);
    struct sigaction handler = {};
    handler.sa_sigaction = on_crash;
    handler.sa_flags = SA_SIGINFO | SA_ONSTACK;
    static char stack[64 << 10]; /* a simulated thread's own may be what overflowed */
    stack_t other = {};
    other.ss_sp = stack;
    other.ss_size = sizeof stack;
    sigaltstack(&other, nullptr);
    sigaction(SIGSEGV, &handler, &handler_before);
}

static unsigned char *area_alloc(size_t bytes) {
    if (arena == nullptr) make_arena();
    /* Whole pages, so that they can be given back. */
    const size_t taken = (bytes + GUARD_BYTES + PAGE - 1) / PAGE * PAGE;
    if (taken > ARENA_BYTES - arena_next) return nullptr;
    device_open();
    unsigned char *p = arena + arena_next;
    protect(p, taken, PROT_READ | PROT_WRITE);
    arena_next += taken;
    memset(p + bytes, GUARD_VALUE, GUARD_BYTES);
    return p;
}
static void area_check(const unsigned char *p, size_t bytes) {
    device_open();
    for (size_t i = bytes; i < bytes + GUARD_BYTES; i++)
        if (p[i] != GUARD_VALUE) {
            fault("something wrote past the end of %zu bytes of device memory (at byte %zu)", bytes, i);
            return;
        }
}
static void area_free(unsigned char *p, size_t bytes) {
    const size_t taken = (bytes + GUARD_BYTES + PAGE - 1) / PAGE * PAGE;
    madvise(p, taken, MADV_DONTNEED);
    race_forget(p, taken);
}
bool in_arena(const void *p) {
    return p >= arena && p < arena + arena_next;
}

#endif

void *device_alloc(size_t bytes) {
    if (bytes > device_limit() || used > device_limit() - bytes) return nullptr;
    unsigned char *p = area_alloc(bytes);
    if (p == nullptr) return nullptr;
    memset(p, 0xFF, bytes);
    used += bytes;
    device_areas[reinterpret_cast<uintptr_t>(p)] = bytes;
    return p;
}

bool device_free(void *p) {
    Areas::iterator it = device_areas.find(reinterpret_cast<uintptr_t>(p));
    if (it == device_areas.end()) return false;
    const size_t bytes = it->second;
    area_check(static_cast<unsigned char *>(p), bytes);
    used -= bytes;
    device_areas.erase(it);
    area_free(static_cast<unsigned char *>(p), bytes);
    return true;
}

void *pinned_alloc(size_t bytes) {
    void *p = std::malloc(bytes > 0 ? bytes : 1);
    if (p == nullptr) return nullptr;
    memset(p, 0xFF, bytes);
    pinned_areas[reinterpret_cast<uintptr_t>(p)] = bytes;
    return p;
}

bool pinned_free(void *p) {
    if (pinned_areas.erase(reinterpret_cast<uintptr_t>(p)) == 0) return false;
    std::free(p);
    return true;
}

void check_memory_at_end() {
    for (const Areas::value_type &area : device_areas) area_check(reinterpret_cast<const unsigned char *>(area.first), area.second);
    if (setting("CUSIM_LEAKS", 0) != 0 && !device_areas.empty())
        fault("%zu allocations of the device, %zu bytes, were never freed", device_areas.size(), used);
}

} // namespace cusim
