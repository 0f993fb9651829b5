/* Random pictures and augmented samples for tests of augmentation. */
#ifndef AUGMENT_CASE_H
#define AUGMENT_CASE_H

#include "data/loader.h"

/* Everything off; ImageNet's mean and deviation. */
extern const augment_options AUGMENT_CASE_OFF;

/* Random values below `values`; free with image_free. */
image augment_case_image(int height, int width, int channels, uint64_t seed, uint32_t values);

/* One augmented sample with its own memory. */
typedef struct augment_output {
    int h, w;
    uint8_t *pixels; /* (h,w,3) */
    uint8_t *labels; /* (h,w) */
} augment_output;
augment_output augment_case_output(int h, int w);
void augment_case_free(augment_output *out);

/* augment_sample with seed AUGMENT_CASE_SEED, twice, into memory filled with 0 and with 255: whatever is left unwritten differs and fails
 * the test, as an error does. */
enum { AUGMENT_CASE_SEED = 11 };
void augment_case_run(const augment_options *o, const image *picture, const image *label, uint64_t position, augment_output *out,
                      augment_scratch *s);

/* Whether one is the other's mirror image, to the bit. */
bool augment_case_is_mirror(const augment_output *a, const augment_output *b);

#endif
