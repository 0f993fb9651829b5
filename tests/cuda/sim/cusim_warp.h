/* Warp operations. Lanes that name the same mask meet in the runtime (warp.cpp); here are only the ways to find the lane to read from. */
#ifndef CUSIM_WARP_H
#define CUSIM_WARP_H

namespace cusim {

enum WarpKind { WARP_SHUFFLE, WARP_VOTE, WARP_SYNC };
/* Meets the lanes of mask and returns what `source` brought; all ones (a NaN) when source is not among them. */
uint64_t warp_exchange(unsigned mask, uint64_t mine, unsigned source);
unsigned warp_ballot(unsigned mask, bool vote);
void warp_sync(unsigned mask);

inline unsigned lane() {
    return self->linear & 31u;
}

template <class T> inline T shuffle(unsigned mask, T value, unsigned source) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = warp_exchange(mask, bits, source);
    memcpy(static_cast<void *>(&value), &bits, sizeof value);
    return value;
}

} // namespace cusim

/* width: a power of two; lanes are taken modulo sections of as many. */
template <class T> inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const unsigned section = static_cast<unsigned>(width) - 1u;
    return cusim::shuffle(mask, value, (cusim::lane() & ~section) | (static_cast<unsigned>(source) & section));
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = cusim::lane(), section = static_cast<unsigned>(width) - 1u;
    return cusim::shuffle(mask, value, (lane & section) + delta <= section ? lane + delta : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = cusim::lane(), section = static_cast<unsigned>(width) - 1u;
    return cusim::shuffle(mask, value, (lane & section) >= delta ? lane - delta : lane);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const unsigned lane = cusim::lane(), section = static_cast<unsigned>(width) - 1u;
    const unsigned source = lane ^ static_cast<unsigned>(bits);
    return cusim::shuffle(mask, value, (source & ~section) <= (lane & ~section) ? source : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return cusim::warp_ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
    return cusim::warp_ballot(mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
    return cusim::warp_ballot(mask, predicate == 0) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    cusim::warp_sync(mask);
}

#endif
