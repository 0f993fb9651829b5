/*
 * The scheduler of one block. A fiber runs simulated threads one after the other in a plain loop, and leaves the loop only where a thread
 * waits at a barrier or in a warp operation; only then another fiber takes over. So a kernel without barriers costs no switches at all.
 */
#include "block.h"
#include "host.h"

#include <utility>

#undef __syncthreads

namespace cusim {

Current *self;
uint3 block_index;
dim3 block_shape, grid_shape;
Block &the_block = *new Block; /* never destroyed: its fibers are not either */
const bool shuffled = setting("CUSIM_SHUFFLE", 0) != 0;
static unsigned long long switches;

const char *running_kernel() {
    return the_block.kernel;
}

unsigned long long switch_count() {
    return switches;
}

unsigned random_number() {
    static uint64_t state = 88172645463325252ull ^ static_cast<uint64_t>(setting("CUSIM_SHUFFLE", 0)) * 0x9E3779B97F4A7C15ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<unsigned>(state >> 32);
}

void shuffle_order(std::vector<unsigned> &order) {
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_number() % i]);
}

static void switch_to(Fiber *next) {
    Fiber *from = the_block.running;
    if (next == from) return;
    the_block.running = next;
    self = next == &the_block.main ? nullptr : &next->current;
    switches++;
    fiber_switch(from, next);
}

static bool anyone_ready() {
    return the_block.ready_head < the_block.ready.size();
}

static void fiber_body();

/* Who goes on when the running fiber cannot. */
static Fiber *choose() {
    Block &b = the_block;
    const bool may_begin = b.begun < b.threads;
    if (anyone_ready() && (!may_begin || (shuffled && (random_number() & 1u)))) {
        if (shuffled) std::swap(b.ready[b.ready_head], b.ready[b.ready_head + random_number() % (b.ready.size() - b.ready_head)]);
        Fiber *fiber = b.ready[b.ready_head++];
        if (!anyone_ready()) {
            b.ready.clear();
            b.ready_head = 0;
        }
        return fiber;
    }
    if (!may_begin) return &b.main;
    if (b.idle.empty()) return fiber_create(fiber_body);
    Fiber *fiber = b.idle.back();
    b.idle.pop_back();
    return fiber;
}

void block_wait() {
    switch_to(choose());
}

static void open_barrier() {
    Block &b = the_block;
    b.ready.insert(b.ready.end(), b.at_barrier.begin(), b.at_barrier.end());
    b.at_barrier.clear();
    b.barrier_file = nullptr;
    b.epoch++;
}

static void run_thread(Fiber *fiber, unsigned linear) {
    Block &b = the_block;
    fiber->current.linear = linear;
    fiber->current.thread.x = linear % block_shape.x;
    fiber->current.thread.y = linear / block_shape.x % block_shape.y;
    fiber->current.thread.z = linear / (block_shape.x * block_shape.y);
    b.call->run(b.call->arguments);
    b.ended++;
    Warp &warp = b.warps[linear / 32];
    const unsigned lane = 1u << (linear % 32);
    warp.exited |= lane;
    for (const Meeting *meeting : warp.meetings)
        if ((meeting->mask & lane) && !(meeting->arrived & lane))
            fatal("lane %u has ended while lanes 0x%08x wait for it in a warp operation with mask 0x%08x", linear % 32, meeting->arrived,
                  meeting->mask);
    /* Threads that have ended no longer count at the barrier. */
    if (!b.at_barrier.empty() && b.at_barrier.size() == b.threads - b.ended) open_barrier();
}

static void fiber_body() {
    fiber_arrived();
    for (;;) {
        Block &b = the_block;
        Fiber *me = b.running;
        while (b.begun < b.threads && !(shuffled && anyone_ready() && (random_number() & 1u))) run_thread(me, b.order[b.begun++]);
        b.idle.push_back(me);
        switch_to(choose());
    }
}

/* Past the sanitizer, for the variables' redzones lie in between; volatile, or it becomes a call of memset, which is checked again. */
__attribute__((no_sanitize("address"))) static void poison_static_shared() {
    volatile unsigned char *p = cusim_shared_begin;
    for (; p + 8 <= cusim_shared_end; p += 8) *reinterpret_cast<volatile uint64_t *>(p) = ~static_cast<uint64_t>(0);
    for (; p < cusim_shared_end; p++) *p = 0xFF;
}

void block_run(unsigned long block_number) {
    Block &b = the_block;
    const unsigned long x = grid_shape.x, y = grid_shape.y;
    block_index.x = static_cast<unsigned>(block_number % x);
    block_index.y = static_cast<unsigned>(block_number / x % y);
    block_index.z = static_cast<unsigned>(block_number / (x * y));
    b.linear = static_cast<uint32_t>(block_number);
    b.begun = b.ended = b.epoch = 0;
    b.barrier_file = nullptr;
    b.ready.clear();
    b.ready_head = 0;
    b.at_barrier.clear();
    for (size_t i = 0; i < b.warps.size(); i++) {
        const unsigned lanes = b.threads - static_cast<unsigned>(i) * 32;
        b.warps[i].existing = lanes >= 32 ? ~0u : (1u << lanes) - 1;
        b.warps[i].exited = b.warps[i].epoch = 0;
    }
    if (shuffled) shuffle_order(b.order);
    if (b.dynamic != nullptr) memset(b.dynamic, 0xFF, b.dynamic_bytes);
    poison_static_shared();

    b.running = &b.main;
    switch_to(choose());
    if (b.ended != b.threads)
        fatal("deadlock: %u of %u threads wait, %zu of them at __syncthreads()%s%s:%d", b.threads - b.ended, b.threads, b.at_barrier.size(),
              b.barrier_file != nullptr ? " of " : "", b.barrier_file != nullptr ? b.barrier_file : "", b.barrier_line);
}

} // namespace cusim

void cusim_syncthreads(const char *file, int line) {
    using namespace cusim;
    Block &b = the_block;
    if (b.at_barrier.empty()) {
        b.barrier_file = file;
        b.barrier_line = line;
    } else if (b.barrier_line != line || strcmp(b.barrier_file, file) != 0) {
        fault("divergent __syncthreads(): %s:%d here, but others of this block wait at %s:%d", file, line, b.barrier_file, b.barrier_line);
    }
    b.at_barrier.push_back(b.running);
    if (b.at_barrier.size() < b.threads - b.ended) {
        block_wait();
        return;
    }
    b.at_barrier.pop_back();
    open_barrier();
    if (shuffled) {
        b.ready.push_back(b.running);
        block_wait();
    }
}

void *cusim_dyn_shared(void) {
    using namespace cusim;
    if (the_block.dynamic_bytes == 0) fatal("uses dynamic shared memory, but was launched with none");
    return the_block.dynamic;
}
