#include "base/random.h"

#include <math.h>
#include <stddef.h>

static const double TWO_PI = 6.283185307179586476925;

void random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Spread the bits of seed and purpose over the key (splitmix64), so that near seeds give unrelated keys. */
static uint64_t spread(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

random_stream random_open(uint64_t seed, random_purpose purpose, uint64_t index) {
    const uint64_t key = spread(spread(seed) + (uint64_t)purpose);
    random_stream s = {
        .key = {(uint32_t)key, (uint32_t)(key >> 32)}, .counter = {0, 0, (uint32_t)index, (uint32_t)(index >> 32)}, .used = 4};
    return s;
}

uint32_t random_u32(random_stream *s) {
    if (s->used == 4) {
        random_philox(s->key, s->counter, s->block);
        if (++s->counter[0] == 0) s->counter[1]++;
        s->used = 0;
    }
    return s->block[s->used++];
}

double random_uniform(random_stream *s) {
    const uint64_t high = random_u32(s) >> 5, low = random_u32(s) >> 6;
    return (double)((high << 26) | low) * 0x1.0p-53;
}

double random_range(random_stream *s, double low, double high) {
    return low + (high - low) * random_uniform(s);
}

uint32_t random_below(random_stream *s, uint32_t n) {
    const uint32_t reject_below = (0u - n) % n; /* 2^32 mod n: numbers below it would make small results likelier */
    uint32_t x;
    do x = random_u32(s);
    while (x < reject_below);
    return x % n;
}

double random_normal(random_stream *s) {
    const double u = 1.0 - random_uniform(s); /* (0, 1], so that the logarithm is finite */
    const double v = random_uniform(s);
    return sqrt(-2.0 * log(u)) * cos(TWO_PI * v);
}

uint64_t random_hash(const char *text) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; text[i] != '\0'; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    return hash;
}
