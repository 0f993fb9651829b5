/* Words in pictures: a fixed alphabet of 5x7 capitals, digits and signs. Small letters are drawn as capitals, what it lacks as a box. */
#ifndef TRAIN_LETTERING_H
#define TRAIN_LETTERING_H

#include <stdbool.h>
#include <stdint.h>

#include "data/image.h"

enum { LETTER_WIDTH = 6, LETTER_HEIGHT = 7 }; /* at scale 1, with the gap to the next letter */

/* UTF-8 characters of a text: as many letters, or columns of a terminal. */
int lettering_letters(const char *text);
/* Pixels along the line that the text takes. UTF-8 characters count as one letter each. */
int lettering_length(const char *text, int scale);
/*
 * Draw text in an RGB image, its upper left corner at (y,x); upwards: turned by a quarter, read from below, its lower left corner at (y,x).
 * What lies outside of the image is left out.
 */
void lettering_draw(image *rgb, int y, int x, const char *text, int scale, bool upwards, const uint8_t color[3]);

#endif
