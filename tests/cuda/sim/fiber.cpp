/* Switching stacks: fifteen instructions on x86-64, the C library's contexts (a system call each) elsewhere. */
#include "fiber.h"
#include "host.h"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace cusim {

enum { STACK_BYTES = 256 << 10 };

static Fiber *left; /* the fiber that the running one was switched to from */

#ifndef CUSIM_UCONTEXT
extern "C" void cusim_switch(void **from, void *to);
__asm__(R"(
    .text
    .globl cusim_switch
    .hidden cusim_switch
    .type cusim_switch, @function
cusim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cusim_switch, .-cusim_switch
)");
#endif

void fiber_arrived() {
#if defined(__SANITIZE_ADDRESS__)
    /* The program's own stack is known to the sanitizer alone: take its bounds when it is left. */
    const void *bottom;
    size_t bytes;
    Fiber *from = left;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (from->stack == nullptr || from->stack_bytes == 0) {
        from->stack = static_cast<char *>(const_cast<void *>(bottom));
        from->stack_bytes = bytes;
    }
#endif
}

void fiber_switch(Fiber *from, Fiber *to) {
    left = from;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef CUSIM_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    cusim_switch(&from->stack_pointer, to->stack_pointer);
#endif
#if defined(__SANITIZE_ADDRESS__)
    const void *bottom;
    size_t bytes;
    Fiber *other = left;
    __sanitizer_finish_switch_fiber(from->fake_stack, &bottom, &bytes);
    if (other->stack == nullptr) {
        other->stack = static_cast<char *>(const_cast<void *>(bottom));
        other->stack_bytes = bytes;
    }
#endif
}

Fiber *fiber_create(void (*body)()) {
    Fiber *fiber = new Fiber;
    void *memory = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fatal("no memory for the stack of a simulated thread");
    mprotect(memory, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE); /* an overflow is to crash, not to spread */
    fiber->stack = static_cast<char *>(memory);
    fiber->stack_bytes = STACK_BYTES;
#ifdef CUSIM_UCONTEXT
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = fiber->stack_bytes;
    makecontext(&fiber->context, body, 0);
#else
    /* As if body had just been called: its stack pointer is then 8 modulo 16, which aligned vector stores rely on. */
    void **top = reinterpret_cast<void **>(fiber->stack + fiber->stack_bytes) - 3;
    *--top = reinterpret_cast<void *>(body);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fiber->stack_pointer = top;
#endif
    return fiber;
}

} // namespace cusim
