/* Memory for a test's samples: a test that cannot have it ends at once. */
#include "augment_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

const augment_options AUGMENT_CASE_OFF = {.scale_min = 1.0, .scale_max = 1.0, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};

image augment_case_image(int height, int width, int channels, uint64_t seed, uint32_t values) {
    const size_t n = (size_t)height * (size_t)width * (size_t)channels;
    image im = {.data = malloc(n), .height = height, .width = width, .channels = channels, .capacity = n};
    if (im.data == NULL) abort();
    random_stream r = random_open(seed, RANDOM_TEST, 0);
    for (size_t i = 0; i < n; i++) im.data[i] = (uint8_t)random_below(&r, values);
    return im;
}

augment_output augment_case_output(int h, int w) {
    const size_t n = (size_t)h * (size_t)w;
    augment_output out = {.h = h, .w = w, .pixels = malloc(n * 3), .labels = malloc(n)};
    if (out.pixels == NULL || out.labels == NULL) abort();
    return out;
}

void augment_case_free(augment_output *out) {
    free(out->pixels);
    free(out->labels);
}

void augment_case_run(const augment_options *o, const image *picture, const image *label, uint64_t position, augment_output *out,
                      augment_scratch *s) {
    entrain_error err;
    const size_t n = (size_t)out->h * (size_t)out->w;
    augment_output other = augment_case_output(out->h, out->w), *const both[] = {&other, out};
    for (int i = 0; i < 2; i++) {
        memset(both[i]->pixels, i == 0 ? 0 : 255, 3 * n);
        memset(both[i]->labels, i == 0 ? 77 : 78, n);
        assert_int_equal(
            augment_sample(o, picture, label, AUGMENT_CASE_SEED, position, out->h, out->w, both[i]->pixels, both[i]->labels, s, &err),
            ENTRAIN_OK);
    }
    assert_memory_equal(other.pixels, out->pixels, 3 * n);
    assert_memory_equal(other.labels, out->labels, n);
    augment_case_free(&other);
}

bool augment_case_is_mirror(const augment_output *a, const augment_output *b) {
    for (int y = 0; y < a->h; y++) {
        for (int x = 0; x < a->w; x++) {
            const int i = y * a->w + x, j = y * a->w + a->w - 1 - x;
            if (a->labels[i] != b->labels[j] || memcmp(a->pixels + 3 * i, b->pixels + 3 * j, 3) != 0) return false;
        }
    }
    return true;
}
