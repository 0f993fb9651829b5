/* Photometric distortion: how often and how much, and colours worked by hand. test_augment.c compares whole samples. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "data/photometric.h"

static void assert_distorted(photometric p, const float in[3], const double expected[3]) {
    float rgb[3] = {in[0], in[1], in[2]};
    photometric_row(&p, &rgb[0], &rgb[1], &rgb[2], 1);
    for (int c = 0; c < 3; c++) assert_true(fabs((double)rgb[c] - expected[c]) < 1e-3);
}

/* Each of the four changes comes in half of the samples, and its amount fills its range evenly. */
static void distortions_have_their_frequencies(void **state) {
    (void)state;
    enum { N = 4000 };
    static const double neutral[4] = {0.0, 1.0, 1.0, 0.0}, low[4] = {-32.0, 0.5, 0.5, -36.0}, high[4] = {32.0, 1.5, 1.5, 36.0};
    int changed[4] = {0}, first = 0;
    double sum[4] = {0}, widest[4] = {0};
    for (uint64_t i = 0; i < N; i++) {
        random_stream r = random_open(20, RANDOM_AUGMENT, i);
        const photometric p = photometric_draw(&r);
        const double values[4] = {(double)p.brightness, (double)p.contrast, (double)p.saturation, (double)p.hue};
        first += p.contrast_first;
        for (int k = 0; k < 4; k++) {
            assert_true(values[k] >= low[k] && values[k] <= high[k]);
            changed[k] += fabs(values[k] - neutral[k]) > 0.0;
            widest[k] = fmax(widest[k], fabs(values[k] - neutral[k]));
            sum[k] += (values[k] - neutral[k]) / (high[k] - low[k]);
        }
        random_stream after = random_open(20, RANDOM_AUGMENT, i);
        for (int k = 0; k < 9; k++) (void)random_uniform(&after);
        assert_int_equal(random_u32(&r), random_u32(&after)); /* always nine draws */
    }
    for (int k = 0; k < 4; k++) {
        assert_true(abs(changed[k] - N / 2) < 5.0 * sqrt(N / 4.0));
        assert_true(widest[k] > 0.49 * (high[k] - low[k]));
        assert_true(fabs(sum[k]) < 5.0 * sqrt(N / 24.0));
    }
    assert_true(abs(first - N / 2) < 5.0 * sqrt(N / 4.0));
}

/* Worked by hand. */
static void distortions_of_known_colours(void **state) {
    (void)state;
    const photometric none = {.contrast = 1.0f, .saturation = 1.0f};
    photometric p = none;
    assert_distorted(p, (float[]){10, 20, 30}, (double[]){10, 20, 30});
    p.brightness = 32;
    assert_distorted(p, (float[]){10, 240, 30}, (double[]){42, 255, 62});
    p.brightness = -32;
    assert_distorted(p, (float[]){10, 240, 32}, (double[]){0, 208, 0});
    p = none;
    p.contrast = 1.5f;
    assert_distorted(p, (float[]){10, 200, 30}, (double[]){15, 255, 45});
    p = none;
    p.saturation = 0.5f;
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){200, 150, 100});
    p.saturation = 1.5f;
    assert_distorted(p, (float[]){200, 150, 100}, (double[]){200, 125, 50});
    assert_distorted(p, (float[]){200, 20, 0}, (double[]){200, 20, 0}); /* as saturated as can be */
    assert_distorted(p, (float[]){90, 90, 90}, (double[]){90, 90, 90});
    p = none;
    p.hue = 36;
    assert_distorted(p, (float[]){200, 0, 0}, (double[]){200, 120, 0});
    assert_distorted(p, (float[]){0, 200, 0}, (double[]){0, 200, 120});
    assert_distorted(p, (float[]){0, 0, 200}, (double[]){120, 0, 200});
    assert_distorted(p, (float[]){0, 0, 0}, (double[]){0, 0, 0});
    p.hue = -36;
    assert_distorted(p, (float[]){200, 0, 0}, (double[]){200, 0, 120});
    p = (photometric){.contrast = 1.5f, .saturation = 0.5f, .contrast_first = true};
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){255, 202.5, 127.5});
    p.contrast_first = false;
    assert_distorted(p, (float[]){200, 100, 0}, (double[]){255, 225, 150});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distortions_have_their_frequencies),
        cmocka_unit_test(distortions_of_known_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
