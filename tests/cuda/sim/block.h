/* One block of a kernel: its threads, their barriers and the meeting places of its warps. */
#ifndef CUSIM_BLOCK_H
#define CUSIM_BLOCK_H

#include "fiber.h"

#include <vector>

namespace cusim {

/* Where lanes that named the same mask meet. */
struct Meeting {
    unsigned mask, arrived;
    int kind;
    int to_leave; /* lanes that have yet to read */
    uint64_t value[32];
    Fiber *waiting[32];
};

struct Warp {
    unsigned existing, exited; /* lanes */
    unsigned epoch;            /* how often all of __syncwarp's lanes have met */
    std::vector<Meeting *> meetings;
};

struct Block {
    const char *kernel = nullptr; /* NULL while none runs */
    const Call *call = nullptr;
    uint32_t launch = 0; /* number of the launch */
    uint32_t linear = 0; /* the block's place in the grid */
    unsigned threads = 0, begun = 0, ended = 0;
    std::vector<unsigned> order; /* in which threads are begun */
    std::vector<Warp> warps;
    unsigned epoch = 0; /* barriers passed */
    /* the barrier that is filling up */
    const char *barrier_file = nullptr;
    int barrier_line = 0;
    std::vector<Fiber *> at_barrier;
    /* fibers: the running one, those that may go on, those without a thread */
    Fiber main;
    Fiber *running = nullptr;
    std::vector<Fiber *> ready, idle;
    size_t ready_head = 0;
    /* dynamic shared memory */
    unsigned char *dynamic = nullptr;
    size_t dynamic_bytes = 0;
};
extern Block &the_block;
extern const bool shuffled;

/* Runs the call of the launched kernel for one block. */
void block_run(unsigned long block_number);
/* The running thread waits until somebody puts its fiber in ready. */
void block_wait();

const char *running_kernel();

/* Bounds of static shared memory, from shared.ld. */
extern "C" {
extern unsigned char cusim_shared_begin[] __attribute__((weak, visibility("hidden")));
extern unsigned char cusim_shared_end[] __attribute__((weak, visibility("hidden")));
}

/* The same in every run with the same CUSIM_SHUFFLE. */
unsigned random_number();
void shuffle_order(std::vector<unsigned> &order);

} // namespace cusim

#endif
