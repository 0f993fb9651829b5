/* Windows of the resized picture: the bits of the whole one, wherever they lie and whoever renders them. */
#include <stdlib.h>
#include <string.h>

#include "augment_case.h"
#include "check.h"
#include "data/augment_window.h"

static void test_windows_are_cut_from_the_whole(void **state) {
    (void)state;
    static const int sizes[][2] = {{40, 300}, {63, 411}, {17, 120}, {1, 1}};
    static const int windows[][4] = {{0, 0, 1, 1}, {3, 7, 11, 300}, {5, 0, 12, 57}, {16, 100, 1, 20}}; /* y, x, h, w */
    image picture = augment_case_image(40, 300, 3, 18, 256);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0] * 2; k++) {
        const int h = sizes[k / 2][0], w = sizes[k / 2][1];
        const bool flip = k % 2 == 1;
        const size_t row = (size_t)w * 3;
        float *whole = malloc((size_t)h * row * sizeof *whole), *part = malloc((size_t)h * row * sizeof *part);
        assert_true(whole != NULL && part != NULL);
        augment_plain(&AUGMENT_CASE_OFF, &picture, h, w, flip, whole);
        for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
            const int *at = windows[i];
            if (at[0] + at[2] > h || at[1] + at[3] > w) continue;
            const augment_place place = {h, w, flip, at[0], at[1], at[2], at[3]};
            const size_t values = (size_t)at[3] * 3;
            for (int threads = 1; threads < 20; threads += 5) {
                memset(part, 0xff, (size_t)h * row * sizeof *part);
                augment_window(&AUGMENT_CASE_OFF, &picture, &place, threads, part);
                for (int y = 0; y < at[2]; y++)
                    assert_memory_equal(part + (size_t)y * values, whole + (size_t)(at[0] + y) * row + (size_t)at[1] * 3,
                                        values * sizeof *part);
            }
        }
        free(whole);
        free(part);
    }
    image_free(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows_are_cut_from_the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
