/*
 * For each byte (each four bytes where nobody uses less) it remembers the last write and the last reads of this launch, with their block,
 * thread, and how many barriers and warp barriers that thread had passed. Two accesses conflict when one writes and nothing puts them in an
 * order: a barrier between threads of a block, __syncwarp() between lanes of a warp. Nothing orders two blocks of one launch. The result
 * does not depend on the order in which threads happened to run.
 */
#include "race.h"
#include "block.h"
#include "host.h"
#include "memory.h"
#include "race_bounds.h"
#include "traffic.h"

#include <memory>
#include <unordered_map>
#include <vector>

namespace cusim {

namespace {

struct Mark {
    uint32_t launch, block, epoch, warp_epoch;
    uint16_t thread;
    uint16_t atomic;
};

/*
 * Of all reads, those are kept that any later write can conflict with: the last one, the last by another lane of its warp, the last by
 * another warp of its block, and the last by another block.
 */
struct Cell {
    Mark write;
    Mark read, read_lane, read_warp, read_block;
};

enum { PAGE_SHIFT = 10, PAGE_BYTES = 1 << PAGE_SHIFT };

struct Page {
    unsigned grain = 4; /* bytes per cell */
    std::vector<Cell> cells = std::vector<Cell>(PAGE_BYTES / 4);
};

} // namespace

static std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
static uintptr_t last_number = ~static_cast<uintptr_t>(0);
static Page *last_page;

static Page *page_of(uintptr_t address) {
    const uintptr_t number = address >> PAGE_SHIFT;
    if (number != last_number) {
        std::unique_ptr<Page> &page = pages[number];
        if (page == nullptr) page.reset(new Page);
        last_page = page.get();
        last_number = number;
    }
    return last_page;
}

static void split_into_bytes(Page *page) {
    std::vector<Cell> cells(PAGE_BYTES);
    for (size_t i = 0; i < PAGE_BYTES; i++) cells[i] = page->cells[i / 4];
    page->cells.swap(cells);
    page->grain = 1;
}

void race_forget(const void *place, size_t bytes) {
    if (pages.empty()) return;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(place);
    for (uintptr_t a = begin; a < begin + bytes; a += PAGE_BYTES) pages.erase(a >> PAGE_SHIFT);
    last_number = ~static_cast<uintptr_t>(0);
}

static bool same_thread(const Mark &a, const Mark &b) {
    return a.block == b.block && a.thread == b.thread;
}

static bool same_warp(const Mark &a, const Mark &b) {
    return a.block == b.block && a.thread / 32 == b.thread / 32;
}

/* Whether nothing orders an earlier access and mine. Shared memory is another one in each block. */
static bool unordered(const Mark &earlier, const Mark &mine, bool shared) {
    if (earlier.launch != mine.launch) return false;
    if (earlier.block != mine.block) return !shared;
    if (earlier.thread == mine.thread || earlier.epoch != mine.epoch) return false;
    return !same_warp(earlier, mine) || earlier.warp_epoch == mine.warp_epoch;
}

static void report(const char *what, const Mark &earlier, const void *place, void *caller) {
    fault("%s race at %p between thread %u of block %u and thread %u of block %u (code at %s)", what, place, earlier.thread, earlier.block,
          self->linear, the_block.linear, describe_code(caller).c_str());
}

static void note_read(Cell &cell, const Mark &mine) {
    const Mark old = cell.read;
    if (old.launch != mine.launch) {
        cell.read_lane = cell.read_warp = cell.read_block = Mark();
    } else if (old.block != mine.block) {
        cell.read_block = old;
        cell.read_lane = cell.read_warp = Mark();
    } else if (!same_warp(old, mine)) {
        cell.read_warp = old;
        cell.read_lane = Mark();
    } else if (!same_thread(old, mine)) {
        cell.read_lane = old;
    }
    cell.read = mine;
}

static void check_cell(Cell &cell, const Mark &mine, Access access, bool shared, const void *place, void *caller) {
    if (!(access == ACCESS_ATOMIC && cell.write.atomic) && unordered(cell.write, mine, shared))
        report(access == ACCESS_READ ? "read after write" : "write-write", cell.write, place, caller);
    if (access == ACCESS_READ) {
        note_read(cell, mine);
        return;
    }
    for (const Mark *read : {&cell.read, &cell.read_lane, &cell.read_warp, &cell.read_block})
        if (unordered(*read, mine, shared)) {
            report("write after read", *read, place, caller);
            break;
        }
    cell.write = mine;
}

void race_access(const void *place, size_t bytes, Access access, void *caller) {
    if (self == nullptr || bytes == 0) return;
    const Space space = space_of(place, bytes, caller);
    if (space != SPACE_SHARED && space != SPACE_DEVICE) return;
    if (space == SPACE_DEVICE) traffic_access(place, bytes, access != ACCESS_WRITE, access != ACCESS_READ);
    const Block &b = the_block;
    const Mark mine = {b.launch,
                       b.linear,
                       b.epoch,
                       b.warps[self->linear / 32].epoch,
                       static_cast<uint16_t>(self->linear),
                       static_cast<uint16_t>(access == ACCESS_ATOMIC)};
    const uintptr_t begin = reinterpret_cast<uintptr_t>(place), end = begin + bytes;
    for (uintptr_t a = begin; a < end;) {
        Page *page = page_of(a);
        if (page->grain == 4 && ((a | bytes) & 3u)) split_into_bytes(page);
        check_cell(page->cells[(a & (PAGE_BYTES - 1)) / page->grain], mine, access, space == SPACE_SHARED, reinterpret_cast<void *>(a),
                   caller);
        a += page->grain;
    }
}

#ifndef CUSIM_RACE_HOOKS
void note_atomic(const void *, unsigned) {
}
#else
void note_atomic(const void *place, unsigned bytes) {
    race_access(place, bytes, ACCESS_ATOMIC, __builtin_return_address(0));
}
#endif

} // namespace cusim
