/*
 * Toy street scenes with labels, drawn from random numbers: the built-in data set. A road runs to a vanishing point between pavements and
 * rows of buildings; trees, poles, signs and cars stand at their depths; light, lens and sensor then do their worst.
 */
#ifndef DATA_SCENE_H
#define DATA_SCENE_H

#include <stdint.h>

#include "data/image.h"
#include "entrain/status.h"

typedef enum scene_class {
    SCENE_SKY,
    SCENE_BUILDING,
    SCENE_ROAD,
    SCENE_PAVEMENT,
    SCENE_VEGETATION,
    SCENE_CAR,
    SCENE_POLE,
    SCENE_SIGN,
    SCENE_CLASSES,
    SCENE_VOID = 255
} scene_class;

enum { SCENE_LEAST_SIDE = 48, SCENE_MOST_SIDE = 4096 };

/* Draws scenes one after another, keeping its memory. */
typedef struct scene scene;
scene *scene_open(int height, int width); /* each side SCENE_LEAST_SIDE..SCENE_MOST_SIDE; NULL: no memory */
void scene_close(scene *s);
/* Scene `number` of a seed: picture (height,width,3) and label (height,width,1), a pure function of (seed, number, height, width). */
entrain_status scene_draw(scene *s, uint64_t seed, uint64_t number, image *picture, image *label, entrain_error *err);

#endif
