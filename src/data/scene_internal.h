/* The parts of a scene: what the files that draw it share. */
#ifndef DATA_SCENE_INTERNAL_H
#define DATA_SCENE_INTERNAL_H

#include <stdbool.h>

#include "base/random.h"
#include "data/scene.h"
#include "data/scene_canvas.h"

enum { STREET_SEGMENTS = 24 };

/* A stretch of what lines the street on one side. */
typedef struct street_segment {
    float end;        /* distance at which it ends */
    bool is_building; /* else bushes and trees */
    float height;     /* in camera heights */
    color wall, window;
    float storey, bay; /* height of a storey; length of street for each window */
    uint32_t salt;
} street_segment;

/*
 * The street in perspective. The ground at depth t (0: horizon, 1: bottom row) lies at row horizon + t * drop; a point u road half-widths
 * off the middle at x = vanish + u * half * t. The distance along the street is 1/t. One camera height is `drop` pixels at t = 1.
 */
typedef struct street {
    float horizon, drop, vanish, half;
    float outer; /* u of the line of buildings; pavements reach from 1 to here */
    color sky_top, sky_low, cloud, asphalt, slabs, leaves;
    float clouds, wear, paint_wear;
    bool verge[2], edge_lines;
    float crossing; /* distance of a pedestrian crossing, 0 for none */
    float sun[2];   /* brightness of the left and the right walls */
    uint32_t salt;
    street_segment side[2][STREET_SEGMENTS]; /* nearest first */
} street;

void street_make(street *s, int height, int width, random_stream *r);
/* Sky, horizon, walls and ground: every pixel of the canvas. */
void street_draw(const street *s, canvas *c);

/* Trees, poles, signs and cars, the far ones first. */
void objects_draw(const street *s, canvas *c, random_stream *r);

/* Random numbers as float. */
static inline float pick(random_stream *r, float low, float high) {
    return (float)random_range(r, (double)low, (double)high);
}

static inline bool chance(random_stream *r, double probability) {
    return random_uniform(r) < probability;
}

/* A colour with each channel moved by up to `spread`. */
static inline color pick_near(random_stream *r, color base, float spread) {
    base.r += pick(r, -spread, spread);
    base.g += pick(r, -spread, spread);
    base.b += pick(r, -spread, spread);
    return base;
}

#endif
