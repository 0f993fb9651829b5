/* What brings batches to the device, on every backend: memory to copy from, staged copies beside the computation, normalising of bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops_backends.h"
#include "ops_check.h"

enum { FLOATS = 1 << 18, ROUNDS = 7 };

static float value_of(int round, size_t i) {
    return (float)(round * 1000) + (float)(i % 977);
}

static bool all_zero(const unsigned char *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != 0) return false;
    return true;
}

/* As training does it: slots in turn, each with two copies, used by an operation and filled again once its copies are made. */
static void staged_copies_arrive(void **state) {
    backend *be = *state;
    const size_t bytes = FLOATS * sizeof(float), half = bytes / 2;
    float *host[BACKEND_SLOTS], *device[BACKEND_SLOTS], *results[ROUNDS];
    for (int slot = 0; slot < BACKEND_SLOTS; slot++) {
        host[slot] = be->ops->host_alloc(be, bytes);
        device[slot] = be->ops->alloc(be, bytes);
        assert_true(host[slot] != NULL && device[slot] != NULL);
        assert_true(all_zero((const unsigned char *)host[slot], bytes));
    }
    for (int round = 0; round < ROUNDS; round++) {
        const int slot = round % BACKEND_SLOTS;
        be->ops->stage_wait(be, slot); /* the first time there is nothing to wait for */
        for (size_t i = 0; i < FLOATS; i++) host[slot][i] = value_of(round, i);
        be->ops->stage(be, slot, device[slot], host[slot], half);
        be->ops->stage(be, slot, (char *)device[slot] + half, (const char *)host[slot] + half, bytes - half);
        be->ops->stage_use(be, slot);
        results[round] = check_blank(be, FLOATS);
        be->ops->relu_forward(be, device[slot], results[round], FLOATS, F32);
        be->ops->stage_end(be, slot);
    }
    be->ops->finish(be);
    float *got = malloc(bytes);
    assert_non_null(got);
    for (int round = 0; round < ROUNDS; round++) {
        be->ops->download(be, got, results[round], bytes);
        for (size_t i = 0; i < FLOATS; i++)
            if (!(got[i] == value_of(round, i)))
                fail_msg("round %d, [%zu]: got %g, want %g", round, i, (double)got[i], (double)value_of(round, i));
        be->ops->release(be, results[round]);
    }
    free(got);
    for (int slot = 0; slot < BACKEND_SLOTS; slot++) {
        be->ops->host_release(be, host[slot]);
        be->ops->release(be, device[slot]);
    }
}

/* Both slots' copies under way at once, used in the other order. */
static void slots_are_apart(void **state) {
    backend *be = *state;
    const size_t bytes = FLOATS * sizeof(float);
    float *host[BACKEND_SLOTS], *device[BACKEND_SLOTS], *sum = check_blank(be, FLOATS);
    for (int slot = 0; slot < BACKEND_SLOTS; slot++) {
        host[slot] = be->ops->host_alloc(be, bytes);
        device[slot] = be->ops->alloc(be, bytes);
        assert_true(host[slot] != NULL && device[slot] != NULL);
        for (size_t i = 0; i < FLOATS; i++) host[slot][i] = value_of(slot, i);
        be->ops->stage(be, slot, device[slot], host[slot], bytes);
    }
    for (int slot = BACKEND_SLOTS - 1; slot >= 0; slot--) be->ops->stage_use(be, slot);
    const void *const inputs[] = {device[0], device[1]};
    be->ops->add(be, inputs, 2, sum, FLOATS, F32);
    for (int slot = 0; slot < BACKEND_SLOTS; slot++) {
        be->ops->stage_end(be, slot);
        be->ops->stage_wait(be, slot);
        memset(host[slot], 0xFF, bytes); /* allowed from here on */
    }
    double *want = check_doubles(FLOATS);
    for (size_t i = 0; i < FLOATS; i++) want[i] = (double)value_of(0, i) + (double)value_of(1, i);
    assert_true(check_device("sum of two slots", be, sum, want, FLOATS, 0.0));
    free(want);
    be->ops->release(be, sum);
    for (int slot = 0; slot < BACKEND_SLOTS; slot++) {
        be->ops->host_release(be, host[slot]);
        be->ops->release(be, device[slot]);
    }
}

/* ---- normalising ---- */

static const int SIZES[][3] = {{1, 1, 1}, {3, 7, 5}, {1, 16, 16}, {2, 33, 31}, {1, 129, 97}, {3, 65, 63}};

/* Half a unit in the last place of a number stored in this type, and nothing to speak of for what was worked out in float64. */
static double rounding(double value, dtype type) {
    return fabs(value) * (type == BF16 ? 0x1.01p-8 : 0x1.001p-24) + 1e-15;
}

static void check_normalised(backend *be, const int *size, dtype type, const double mean[3], const double std[3]) {
    const size_t n = 3 * (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
    uint8_t *bytes = check_bytes(n);
    random_stream r = random_open(3, RANDOM_TEST, n);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(n >= 3 * 256 && i < 3 * 256 ? i / 3 : random_below(&r, 256));
    uint8_t *x = check_upload_bytes(be, bytes, n);
    float *blank = check_blank(be, n);
    tensor y = {blank, size[0], size[1], size[2], 3, type};
    be->ops->normalise(be, x, mean, std, &y);
    unsigned char *got = check_bytes(n * sizeof(float));
    be->ops->download(be, got, blank, n * dtype_size(type));
    for (size_t i = 0; i < n; i++) {
        float f = 0.0f;
        bf16 h = 0;
        if (type == F32) memcpy(&f, got + i * sizeof f, sizeof f);
        if (type == BF16) memcpy(&h, got + i * sizeof h, sizeof h);
        const double value = (double)(type == BF16 ? bf16_to_float(h) : f), want = (bytes[i] / 255.0 - mean[i % 3]) / std[i % 3];
        if (!(fabs(value - want) <= rounding(want, type)))
            fail_msg("%dx(%d,%d), type %d, byte %d of channel %zu: got %.9g, want %.9g", size[0], size[1], size[2], (int)type, bytes[i],
                     i % 3, value, want);
    }
    free(got);
    free(bytes);
    be->ops->release(be, x);
    be->ops->release(be, blank);
}

static void normalising(void **state) {
    static const double MEAN[][3] = {{0.485, 0.456, 0.406}, {0.0, 0.5, 1.0}}, STD[][3] = {{0.229, 0.224, 0.225}, {1.0, 0.003, 0.7}};
    for (size_t k = 0; k < sizeof SIZES / sizeof *SIZES; k++) {
        for (int i = 0; i < 2; i++) {
            check_normalised(*state, SIZES[k], F32, MEAN[i], STD[i]);
            check_normalised(*state, SIZES[k], BF16, MEAN[i], STD[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(staged_copies_arrive), cmocka_unit_test(slots_are_apart),
                                       cmocka_unit_test(normalising)};
    return ops_run(tests, sizeof tests / sizeof *tests);
}
