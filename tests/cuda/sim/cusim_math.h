/* Intrinsics by their plain meaning. Where the device's are approximations these are exact, so tests compare with tolerances. */
#ifndef CUSIM_MATH_H
#define CUSIM_MATH_H

template <class T> inline T __ldg(const T *place) {
    return *place;
}

inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x) {
    return 1.0 / sqrt(x);
}
inline float __expf(float x) {
    return expf(x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float __powf(float x, float y) {
    return powf(x, y);
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline float __frcp_rn(float x) {
    return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
inline float __frsqrt_rn(float x) {
    return static_cast<float>(1.0 / sqrt(static_cast<double>(x)));
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fsub_rn(float a, float b) {
    return a - b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b) {
    return a + b;
}
inline double __dmul_rn(double a, double b) {
    return a * b;
}
inline double __fma_rn(double a, double b, double c) {
    return fma(a, b, c);
}
inline float __saturatef(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; /* NaN becomes 0, as on the device */
}

/* The same bits as another type. */
template <class To, class From> inline To cusim_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To result;
    memcpy(&result, &value, sizeof result);
    return result;
}
inline int __float_as_int(float x) {
    return cusim_bits<int>(x);
}
inline unsigned __float_as_uint(float x) {
    return cusim_bits<unsigned>(x);
}
inline float __int_as_float(int x) {
    return cusim_bits<float>(x);
}
inline float __uint_as_float(unsigned x) {
    return cusim_bits<float>(x);
}
inline long long __double_as_longlong(double x) {
    return cusim_bits<long long>(x);
}
inline double __longlong_as_double(long long x) {
    return cusim_bits<double>(x);
}

inline float __int2float_rn(int x) {
    return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
inline int __float2int_rn(float x) {
    return static_cast<int>(rintf(x));
}
inline int __float2int_rz(float x) {
    return static_cast<int>(x);
}
inline int __float2int_rd(float x) {
    return static_cast<int>(floorf(x));
}
inline float __double2float_rn(double x) {
    return static_cast<float>(x);
}

inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline int __mulhi(int a, int b) {
    return static_cast<int>((static_cast<int64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    __extension__ typedef unsigned __int128 wide;
    return static_cast<unsigned long long>((static_cast<wide>(a) * b) >> 64);
}
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
inline int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}

/* min and max without std::, of equal types and of the mixed pairs that CUDA has. */
#define CUSIM_MIN_MAX(T, A, B)                                                                                                             \
    inline T min(A a, B b) {                                                                                                               \
        return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);                                              \
    }                                                                                                                                      \
    inline T max(A a, B b) {                                                                                                               \
        return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);                                              \
    }
CUSIM_MIN_MAX(int, int, int)
CUSIM_MIN_MAX(unsigned, unsigned, unsigned)
CUSIM_MIN_MAX(unsigned, int, unsigned)
CUSIM_MIN_MAX(unsigned, unsigned, int)
CUSIM_MIN_MAX(long, long, long)
CUSIM_MIN_MAX(unsigned long, unsigned long, unsigned long)
CUSIM_MIN_MAX(unsigned long, long, unsigned long)
CUSIM_MIN_MAX(unsigned long, unsigned long, long)
CUSIM_MIN_MAX(long long, long long, long long)
CUSIM_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef CUSIM_MIN_MAX
/* A NaN loses against a number, as on the device. */
inline float min(float a, float b) {
    return fminf(a, b);
}
inline float max(float a, float b) {
    return fmaxf(a, b);
}
inline double min(double a, double b) {
    return fmin(a, b);
}
inline double max(double a, double b) {
    return fmax(a, b);
}

#endif
