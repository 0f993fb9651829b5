/* Shapes and noise: see scene_canvas.h. */
#include "data/scene_canvas.h"

#include <math.h>
#include <stdbool.h>

/* A well-mixed 32-bit hash of a lattice point. */
static uint32_t hash(int x, int y, uint32_t salt) {
    uint32_t h = (uint32_t)x * 0x9e3779b1u ^ (uint32_t)y * 0x85ebca77u ^ salt * 0xc2b2ae3du;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return h ^ h >> 15;
}

float noise_cell(int x, int y, uint32_t salt) {
    return (float)(hash(x, y, salt) >> 8) * 0x1p-24f;
}

float noise_smooth(float x, float y, uint32_t salt) {
    const float fx = floorf(x), fy = floorf(y);
    const int ix = (int)fx, iy = (int)fy;
    float u = x - fx, v = y - fy;
    u = u * u * (3.0f - 2.0f * u);
    v = v * v * (3.0f - 2.0f * v);
    const float top = noise_cell(ix, iy, salt) * (1.0f - u) + noise_cell(ix + 1, iy, salt) * u;
    const float bottom = noise_cell(ix, iy + 1, salt) * (1.0f - u) + noise_cell(ix + 1, iy + 1, salt) * u;
    return 2.0f * (top * (1.0f - v) + bottom * v) - 1.0f;
}

float noise_rough(float x, float y, uint32_t salt) {
    return 0.57f * noise_smooth(x, y, salt) + 0.29f * noise_smooth(2.0f * x, 2.0f * y, salt + 1) +
           0.14f * noise_smooth(4.0f * x, 4.0f * y, salt + 2);
}

color color_mix(color a, color b, float part_of_b) {
    const float p = part_of_b < 0.0f ? 0.0f : part_of_b > 1.0f ? 1.0f : part_of_b;
    return (color){a.r + (b.r - a.r) * p, a.g + (b.g - a.g) * p, a.b + (b.b - a.b) * p};
}

color color_scale(color a, float factor) {
    return (color){a.r * factor, a.g * factor, a.b * factor};
}

void canvas_put(canvas *c, int x, int y, uint8_t label, color value) {
    const long at = (long)y * c->width + x;
    c->rgb[3 * at] = value.r;
    c->rgb[3 * at + 1] = value.g;
    c->rgb[3 * at + 2] = value.b;
    c->label[at] = label;
}

static void fill(canvas *c, int x, int y, const paint *p) {
    const float n = p->grain > 0.0f ? noise_rough((float)x / p->period, (float)y / p->period, p->salt) : 0.0f;
    canvas_put(c, x, y, p->label, color_scale(p->base, 1.0f + p->grain * n));
}

/* The first pixel whose centre is at or beyond a coordinate, within 0..size. */
static int first_pixel(float at, int size) {
    const float p = ceilf(at - 0.5f);
    return p < 0.0f ? 0 : p > (float)size ? size : (int)p;
}

void canvas_rectangle(canvas *c, float x0, float y0, float x1, float y1, const paint *p) {
    const int left = first_pixel(x0, c->width), right = first_pixel(x1, c->width);
    const int top = first_pixel(y0, c->height), bottom = first_pixel(y1, c->height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) fill(c, x, y, p);
}

void canvas_ellipse(canvas *c, float x, float y, float rx, float ry, const paint *p) {
    const int top = first_pixel(y - ry, c->height), bottom = first_pixel(y + ry, c->height);
    for (int py = top; py < bottom; py++) {
        const float dy = ((float)py + 0.5f - y) / ry;
        const float reach = rx * sqrtf(fmaxf(0.0f, 1.0f - dy * dy));
        const int left = first_pixel(x - reach, c->width), right = first_pixel(x + reach, c->width);
        for (int px = left; px < right; px++) fill(c, px, py, p);
    }
}

/* Whether a point lies inside, by counting the edges to its left. */
static bool inside(int corners, const float *x, const float *y, float px, float py) {
    bool in = false;
    for (int i = 0, j = corners - 1; i < corners; j = i++)
        if ((y[i] > py) != (y[j] > py) && px < (x[j] - x[i]) * (py - y[i]) / (y[j] - y[i]) + x[i]) in = !in;
    return in;
}

void canvas_polygon(canvas *c, int corners, const float *x, const float *y, const paint *p) {
    float x0 = x[0], x1 = x[0], y0 = y[0], y1 = y[0];
    for (int i = 1; i < corners; i++) {
        x0 = fminf(x0, x[i]);
        x1 = fmaxf(x1, x[i]);
        y0 = fminf(y0, y[i]);
        y1 = fmaxf(y1, y[i]);
    }
    const int left = first_pixel(x0, c->width), right = first_pixel(x1, c->width);
    const int top = first_pixel(y0, c->height), bottom = first_pixel(y1, c->height);
    for (int py = top; py < bottom; py++)
        for (int px = left; px < right; px++)
            if (inside(corners, x, y, (float)px + 0.5f, (float)py + 0.5f)) fill(c, px, py, p);
}

void canvas_shadow(canvas *c, float x, float y, float rx, float ry, float strength) {
    const int top = first_pixel(y - ry, c->height), bottom = first_pixel(y + ry, c->height);
    const int left = first_pixel(x - rx, c->width), right = first_pixel(x + rx, c->width);
    for (int py = top; py < bottom; py++)
        for (int px = left; px < right; px++) {
            const float dx = ((float)px + 0.5f - x) / rx, dy = ((float)py + 0.5f - y) / ry;
            const float fade = 1.0f - dx * dx - dy * dy;
            if (fade <= 0.0f) continue;
            const float keep = 1.0f - strength * fminf(1.0f, 2.0f * fade);
            for (int k = 0; k < 3; k++) c->rgb[3 * ((long)py * c->width + px) + k] *= keep;
        }
}
