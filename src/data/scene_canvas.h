/* A canvas of colours and labels, and the shapes that scenes are made of. */
#ifndef DATA_SCENE_CANVAS_H
#define DATA_SCENE_CANVAS_H

#include <stdint.h>

typedef struct canvas {
    int height, width;
    float *rgb;     /* (height, width, 3), 0..1 and a little beyond */
    uint8_t *label; /* (height, width) */
} canvas;

typedef struct color {
    float r, g, b;
} color;

/* What a shape is filled with. */
typedef struct paint {
    uint8_t label;
    color base;
    float grain;  /* strength of the noise in it, relative to the colour */
    float period; /* size of the noise's blobs, pixels */
    uint32_t salt;
} paint;

/* Smooth noise in -1..1 with blobs of about one unit; another field for another salt. */
float noise_smooth(float x, float y, uint32_t salt);
/* Three octaves of it. */
float noise_rough(float x, float y, uint32_t salt);
/* A number in 0..1 that belongs to a lattice cell. */
float noise_cell(int x, int y, uint32_t salt);

color color_mix(color a, color b, float part_of_b);
color color_scale(color a, float factor);

/* One pixel; the caller keeps x and y inside. */
void canvas_put(canvas *c, int x, int y, uint8_t label, color value);
/* Shapes, clipped to the canvas; a pixel belongs to a shape when its centre does. */
void canvas_rectangle(canvas *c, float x0, float y0, float x1, float y1, const paint *p);
void canvas_ellipse(canvas *c, float x, float y, float rx, float ry, const paint *p);
/* Any polygon of up to 16 corners, even-odd. */
void canvas_polygon(canvas *c, int corners, const float *x, const float *y, const paint *p);
/* Darken what lies under an ellipse, softly at its edge; labels stay. */
void canvas_shadow(canvas *c, float x, float y, float rx, float ry, float strength);

#endif
