/* Warp operations: lanes that name the same mask wait for each other, then everyone reads what the others brought. */
#include "block.h"
#include "host.h"

namespace cusim {

static std::vector<Meeting *> &spare = *new std::vector<Meeting *>; /* never destroyed, for the leak checker's sake */

static const char *kind_name(int kind) {
    return kind == WARP_SHUFFLE ? "a shuffle" : kind == WARP_VOTE ? "a vote" : "__syncwarp()";
}

static unsigned check_mask(unsigned mask, unsigned lane, const Warp &warp) {
    if (!(mask >> lane & 1u)) fatal("warp operation with mask 0x%08x, which does not name the calling lane %u", mask, lane);
    /* A full mask in a warp that is not full is usual where the block is smaller than a warp; the device ignores what does not exist. */
    mask &= warp.existing;
    if (mask & warp.exited) {
        fault("warp operation with mask 0x%08x names lanes 0x%08x, which have ended", mask, mask & warp.exited);
        mask &= ~warp.exited;
    }
    return mask;
}

static Meeting *meet(unsigned mask, uint64_t value, WarpKind kind) {
    Block &b = the_block;
    const unsigned lane = self->linear % 32, bit = 1u << lane;
    Warp &warp = b.warps[self->linear / 32];
    mask = check_mask(mask, lane, warp);

    Meeting *meeting = nullptr;
    for (Meeting *candidate : warp.meetings)
        if (candidate->mask == mask && !(candidate->arrived & bit)) meeting = candidate;
    if (meeting == nullptr) {
        if (spare.empty()) spare.push_back(new Meeting);
        meeting = spare.back();
        spare.pop_back();
        meeting->mask = mask;
        meeting->arrived = 0;
        meeting->kind = kind;
        meeting->to_leave = __builtin_popcount(mask);
        warp.meetings.push_back(meeting);
    }
    if (meeting->kind != kind)
        fault("lane %u calls %s while others of the same mask 0x%08x are in %s", lane, kind_name(kind), mask, kind_name(meeting->kind));
    meeting->value[lane] = value;
    meeting->arrived |= bit;
    meeting->waiting[lane] = b.running;
    if (meeting->arrived != meeting->mask) {
        block_wait();
        return meeting;
    }

    /* The last one: everybody may go on. A shuffle or a vote promises nothing about memory, only __syncwarp() orders accesses. */
    if (kind == WARP_SYNC) warp.epoch++;
    for (Meeting *&place : warp.meetings)
        if (place == meeting) {
            place = warp.meetings.back();
            warp.meetings.pop_back();
            break;
        }
    for (unsigned i = 0; i < 32; i++)
        if ((meeting->mask >> i & 1u) && i != lane) b.ready.push_back(meeting->waiting[i]);
    if (shuffled) {
        b.ready.push_back(b.running);
        block_wait();
    }
    return meeting;
}

static void leave(Meeting *meeting) {
    if (--meeting->to_leave == 0) spare.push_back(meeting);
}

uint64_t warp_exchange(unsigned mask, uint64_t mine, unsigned source) {
    Meeting *meeting = meet(mask, mine, WARP_SHUFFLE);
    const uint64_t result = source < 32 && (meeting->mask >> source & 1u) ? meeting->value[source] : ~static_cast<uint64_t>(0);
    leave(meeting);
    return result;
}

unsigned warp_ballot(unsigned mask, bool vote) {
    Meeting *meeting = meet(mask, vote, WARP_VOTE);
    unsigned result = 0;
    for (unsigned i = 0; i < 32; i++)
        if ((meeting->mask >> i & 1u) && meeting->value[i]) result |= 1u << i;
    leave(meeting);
    return result;
}

void warp_sync(unsigned mask) {
    leave(meet(mask, 0, WARP_SYNC));
}

} // namespace cusim
