/*
 * Atomics. Only one simulated thread runs at a time, so reading, computing and writing is atomic by itself; the race checker is told, as it
 * must tell these from plain accesses.
 */
#ifndef CUSIM_ATOMIC_H
#define CUSIM_ATOMIC_H

namespace cusim {

void note_atomic(const void *place, unsigned bytes);

template <class T, class Function> __attribute__((no_sanitize("thread"))) inline T read_modify_write(T *place, Function function) {
    note_atomic(place, sizeof(T));
    const T old = *place;
    *place = function(old);
    return old;
}

/* An argument's type must not take part in deducing T: atomicAdd(&counter, 1) with an unsigned counter is fine. */
template <class T> struct As { typedef T type; };

} // namespace cusim

template <class T> inline T atomicAdd(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return static_cast<T>(old + value); });
}
template <class T> inline T atomicSub(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return static_cast<T>(old - value); });
}
template <class T> inline T atomicMin(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return value < old ? value : old; });
}
template <class T> inline T atomicMax(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return old < value ? value : old; });
}
template <class T> inline T atomicAnd(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return static_cast<T>(old & value); });
}
template <class T> inline T atomicOr(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T old) { return static_cast<T>(old | value); });
}
template <class T> inline T atomicExch(T *place, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [value](T) { return value; });
}
template <class T> inline T atomicCAS(T *place, typename cusim::As<T>::type expected, typename cusim::As<T>::type value) {
    return cusim::read_modify_write(place, [expected, value](T old) { return old == expected ? value : old; });
}
inline unsigned atomicInc(unsigned *place, unsigned limit) {
    return cusim::read_modify_write(place, [limit](unsigned old) { return old >= limit ? 0u : old + 1u; });
}

#endif
