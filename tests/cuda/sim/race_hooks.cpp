/*
 * The functions that gcc's -fsanitize=thread makes code call at each access of memory. Only kernels are compiled with it and the
 * sanitizer's own runtime is not linked: these take its place.
 */
#include "race.h"

#ifdef CUSIM_RACE_HOOKS

using namespace cusim;

#define CALLER __builtin_return_address(0)
#define HOOKS(n)                                                                                                                           \
    void __tsan_read##n(void *p) {                                                                                                         \
        race_access(p, n, ACCESS_READ, CALLER);                                                                                            \
    }                                                                                                                                      \
    void __tsan_write##n(void *p) {                                                                                                        \
        race_access(p, n, ACCESS_WRITE, CALLER);                                                                                           \
    }                                                                                                                                      \
    void __tsan_unaligned_read##n(void *p) {                                                                                               \
        race_access(p, n, ACCESS_READ, CALLER);                                                                                            \
    }                                                                                                                                      \
    void __tsan_unaligned_write##n(void *p) {                                                                                              \
        race_access(p, n, ACCESS_WRITE, CALLER);                                                                                           \
    }                                                                                                                                      \
    void __tsan_volatile_read##n(void *p) {                                                                                                \
        race_access(p, n, ACCESS_READ, CALLER);                                                                                            \
    }                                                                                                                                      \
    void __tsan_volatile_write##n(void *p) {                                                                                               \
        race_access(p, n, ACCESS_WRITE, CALLER);                                                                                           \
    }                                                                                                                                      \
    void __tsan_unaligned_volatile_read##n(void *p) {                                                                                      \
        race_access(p, n, ACCESS_READ, CALLER);                                                                                            \
    }                                                                                                                                      \
    void __tsan_unaligned_volatile_write##n(void *p) {                                                                                     \
        race_access(p, n, ACCESS_WRITE, CALLER);                                                                                           \
    }

#pragma GCC diagnostic ignored "-Wmissing-declarations"
extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_init(void) {
}
void __tsan_func_entry(void *) {
}
void __tsan_func_exit(void) {
}
void __tsan_vptr_update(void *, void *) {
}
void __tsan_vptr_read(void *) {
}
void __tsan_read_range(void *p, size_t bytes) {
    race_access(p, bytes, ACCESS_READ, CALLER);
}
void __tsan_write_range(void *p, size_t bytes) {
    race_access(p, bytes, ACCESS_WRITE, CALLER);
}
}

#endif
