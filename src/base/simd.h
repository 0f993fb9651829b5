/*
 * SIMD_CLONES before a static function makes the compiler emit it for AVX-512, AVX2+FMA and plain x86-64; the program picks one at start.
 * Put it on leaf functions that hold the vectorisable loop, not on functions with OpenMP pragmas: their outlined bodies would not be
 * cloned.
 */
#ifndef BASE_SIMD_H
#define BASE_SIMD_H

/*
 * gcc only: clang 14 refuses noinline beside it, and gives the resolvers of static functions global names, which clash between files. Not
 * under ThreadSanitizer, whose instrumented resolvers crash: they run before its own start.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
/* Levels, not models: "arch=skylake-avx512" would be picked on that very model alone, and newer processors would run the plain clone. */
#if __GNUC__ >= 12
#define SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), noinline))
#else
#define SIMD_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), noinline))
#endif
#else
#define SIMD_CLONES
#endif

#endif
