/* Photometric distortion: random brightness, contrast, saturation and hue, as SSD and mmsegmentation train with. */
#ifndef DATA_PHOTOMETRIC_H
#define DATA_PHOTOMETRIC_H

#include <stdbool.h>

#include "base/random.h"

/* What was drawn for one sample; all zero but contrast = saturation = 1 changes nothing. */
typedef struct photometric {
    float brightness;    /* added, in units of 0..255 */
    float contrast;      /* factor */
    float saturation;    /* factor of HSV's S */
    float hue;           /* degrees added to HSV's H */
    bool contrast_first; /* contrast before saturation and hue, or after */
} photometric;

/* Draws nine uniforms, whatever comes of them. */
photometric photometric_draw(random_stream *r);

/* r, g, b (n), in units of 0..255; stay within 0..255. */
void photometric_row(const photometric *p, float *r, float *g, float *b, int n);

#endif
