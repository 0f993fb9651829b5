/*
 * Each launch is counted in three ways, reads and writes apart:
 *   asked     what its threads load and store, every one of them for itself
 *   blocks    bytes that a block touches, each once, added up over blocks: what leaves a multiprocessor whose cache holds all that a block
 *             comes back to
 *   distinct  bytes that the launch touches, each once: what must cross the memory bus at least
 * The file has a line for each launch and one for each area of memory that it touched; columns are separated by tabs:
 *   launch  kernel as written  code of the kernel as FILE+0xOFFSET  grid  block  bytes of dynamic shared memory
 *   area    name, - for any other  asked: read, written  blocks: read, written  distinct: read, written
 *   note    text of the program
 */
#include "traffic.h"
#include "host.h"
#include "race_bounds.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>

namespace cusim {

enum { LINE = 64 /* bytes, one bit each in a word; areas begin at multiples */ };

struct Touched {
    uint64_t block_read, block_written, launch_read, launch_written;
};

struct Count {
    uint64_t read, written;
};

struct Area {
    uintptr_t begin, end;
    std::string name;
    Count asked, blocks, distinct;
};

static std::FILE *file;
static bool looked;
static std::vector<Area> areas(1, Area{0, 0, "-", {}, {}, {}}); /* the first: whatever no other holds */
static size_t last_area;
static std::unordered_map<uintptr_t, Touched> lines;
static std::vector<std::pair<uintptr_t, Touched *>> of_block; /* those that the running block has touched */
static uint32_t block;

static bool counting() {
    if (!looked) {
        const char *name = std::getenv("CUSIM_TRAFFIC");
        looked = true;
        if (name != nullptr && *name != '\0') file = std::fopen(name, "w");
        if (name != nullptr && *name != '\0' && file == nullptr) fatal("cannot write CUSIM_TRAFFIC=%s", name);
    }
    return file != nullptr;
}

static bool holds(const Area &area, uintptr_t address) {
    return address >= area.begin && address < area.end;
}

static Area &area_of(uintptr_t address) {
    if (last_area > 0 && holds(areas[last_area], address)) return areas[last_area];
    for (last_area = areas.size() - 1; last_area > 0; last_area--)
        if (holds(areas[last_area], address)) break;
    return areas[last_area];
}

static uint64_t bits(uint64_t word) {
    return static_cast<uint64_t>(__builtin_popcountll(word));
}

static void end_block() {
    for (const std::pair<uintptr_t, Touched *> &line : of_block) {
        Touched &t = *line.second;
        Area &area = area_of(line.first * LINE);
        area.blocks.read += bits(t.block_read);
        area.blocks.written += bits(t.block_written);
        t.launch_read |= t.block_read;
        t.launch_written |= t.block_written;
        t.block_read = t.block_written = 0;
    }
    of_block.clear();
}

void traffic_begin() {
    if (!counting()) return;
    lines.clear();
    block = 0;
    for (Area &area : areas) area.asked = area.blocks = area.distinct = Count();
}

void traffic_access(const void *place, size_t bytes, bool reads, bool writes) {
    if (!counting()) return;
    if (block != the_block.linear) end_block();
    block = the_block.linear;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(place), end = begin + bytes;
    Area &area = area_of(begin);
    if (reads) area.asked.read += bytes;
    if (writes) area.asked.written += bytes;
    for (uintptr_t a = begin; a < end;) {
        const uintptr_t line = a / LINE, stop = (line + 1) * LINE < end ? (line + 1) * LINE : end;
        const uint64_t ones = stop - a == LINE ? ~0ull : (1ull << (stop - a)) - 1, mask = ones << (a % LINE);
        Touched &t = lines[line];
        if ((t.block_read | t.block_written) == 0) of_block.emplace_back(line, &t);
        if (reads) t.block_read |= mask;
        if (writes) t.block_written |= mask;
        a = stop;
    }
}

static void print_count(const Count &count) {
    std::fprintf(file, "\t%llu\t%llu", static_cast<unsigned long long>(count.read), static_cast<unsigned long long>(count.written));
}

void traffic_end(dim3 grid, dim3 shape, size_t shared) {
    if (!counting()) return;
    end_block();
    for (const std::pair<const uintptr_t, Touched> &line : lines) {
        Area &area = area_of(line.first * LINE);
        area.distinct.read += bits(line.second.launch_read);
        area.distinct.written += bits(line.second.launch_written);
    }
    std::fprintf(file, "launch\t%s\t%s\t%u,%u,%u\t%u,%u,%u\t%zu\n", the_block.kernel,
                 describe_code(const_cast<void *>(the_block.call->kernel)).c_str(), grid.x, grid.y, grid.z, shape.x, shape.y, shape.z,
                 shared);
    for (const Area &area : areas) {
        if (area.asked.read + area.asked.written == 0) continue;
        std::fprintf(file, "area\t%s", area.name.c_str());
        print_count(area.asked);
        print_count(area.blocks);
        print_count(area.distinct);
        std::fprintf(file, "\n");
    }
    std::fflush(file);
}

} // namespace cusim

using namespace cusim;

void cusim_traffic_note(const char *text) {
    Guard guard;
    if (!counting()) return;
    std::fprintf(file, "note\t%s\n", text);
    std::fflush(file);
}

void cusim_traffic_area(const void *p, size_t bytes, const char *name) {
    Guard guard;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(p);
    if (begin % LINE != 0) fatal("an area of memory to count for must begin at a multiple of %d bytes", LINE);
    areas.push_back(Area{begin, begin + bytes, name, {}, {}, {}});
}

void cusim_traffic_forget_areas(void) {
    Guard guard;
    areas.resize(1);
    last_area = 0;
}
