/* Fibers: stacks that take turns on one processor. A simulated thread that waits leaves its stack as it is and another one goes on. */
#ifndef CUSIM_FIBER_H
#define CUSIM_FIBER_H

#include "cusim.h"

#if !defined(__x86_64__) && !defined(CUSIM_UCONTEXT)
#define CUSIM_UCONTEXT
#endif
#ifdef CUSIM_UCONTEXT
#include <ucontext.h>
#endif

namespace cusim {

struct Fiber {
    Current current = {{0, 0, 0}, 0}; /* the simulated thread that runs on it */
    char *stack = nullptr;
    size_t stack_bytes = 0;
    void *fake_stack = nullptr; /* the address sanitizer's */
#ifdef CUSIM_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer = nullptr;
#endif
};

/* A fiber that will call body, which must not return. */
Fiber *fiber_create(void (*body)());
void fiber_switch(Fiber *from, Fiber *to);
/* What body calls first. */
void fiber_arrived();

} // namespace cusim

#endif
