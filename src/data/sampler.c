/*
 * Which sample stands at which position of the run. Epoch e is positions e*n .. e*n + n - 1, ordered by a Fisher-Yates shuffle whose draws
 * are a pure function of (seed, e): nothing is remembered from one epoch to the next, so a run can start anywhere. The permutations of two
 * epochs are kept, because a batch may straddle two.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "data/loader.h"

enum { KEPT = 2 };

struct sampler {
    uint64_t samples, seed;
    uint32_t *order[KEPT]; /* (samples), of epochs e with e % KEPT == slot; NULL where positions are taken as they come */
    uint64_t epoch[KEPT];
    bool known[KEPT];
};

sampler *sampler_open(int64_t samples, uint64_t seed, bool shuffle) {
    if (samples < 1 || samples > (int64_t)UINT32_MAX) return NULL;
    sampler *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->samples = (uint64_t)samples;
    s->seed = seed;
    for (int i = 0; shuffle && i < KEPT; i++) {
        s->order[i] = memory_alloc((size_t)samples * sizeof(uint32_t));
        if (s->order[i] == NULL) {
            sampler_close(s);
            return NULL;
        }
    }
    return s;
}

void sampler_close(sampler *s) {
    if (s == NULL) return;
    for (int i = 0; i < KEPT; i++) memory_free(s->order[i]);
    free(s);
}

static void shuffle_epoch(uint32_t *order, uint32_t n, uint64_t seed, uint64_t epoch) {
    random_stream r = random_open(seed, RANDOM_SHUFFLE, epoch);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t j = random_below(&r, i + 1);
        const uint32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

int64_t sampler_index(sampler *s, uint64_t position) {
    const uint64_t epoch = position / s->samples, place = position % s->samples;
    const int slot = (int)(epoch % KEPT);
    if (s->order[slot] == NULL) return (int64_t)place;
    if (!s->known[slot] || s->epoch[slot] != epoch) {
        shuffle_epoch(s->order[slot], (uint32_t)s->samples, s->seed, epoch);
        s->epoch[slot] = epoch;
        s->known[slot] = true;
    }
    return s->order[slot][place];
}
