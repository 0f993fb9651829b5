/*
 * Photometric distortion in float, row by row. Each of the four changes happens with probability 1/2; brightness and contrast are clamped
 * to 0..255, saturation to HSV's cone, so that a later change sees a colour that a picture could hold. The hue turns by up to 18 degrees,
 * as in SSD (in mmsegmentation the same 18 are OpenCV's half degrees).
 *
 * HSV needs no table of six cases here. With V the largest channel and C = V - smallest, the saturation S = C/V, so scaling S by f scales C
 * by f (at most up to V). And with hue h in 0..6 a channel is V - C*clamp(min(k, 4-k), 0, 1), k = (n + h) mod 6, n = 5, 3, 1 for red,
 * green, blue.
 */
#include "data/photometric.h"

#include "base/simd.h"

static const double BRIGHTNESS = 32.0, FACTOR_MIN = 0.5, FACTOR_MAX = 1.5, HUE = 18.0;

/* Two draws: whether, and how much. */
static float draw_change(random_stream *r, double low, double high, double neutral) {
    const bool change = random_uniform(r) < 0.5;
    const double value = random_range(r, low, high);
    return (float)(change ? value : neutral);
}

photometric photometric_draw(random_stream *r) {
    photometric p;
    p.brightness = draw_change(r, -BRIGHTNESS, BRIGHTNESS, 0.0);
    p.contrast_first = random_uniform(r) < 0.5;
    p.contrast = draw_change(r, FACTOR_MIN, FACTOR_MAX, 1.0);
    p.saturation = draw_change(r, FACTOR_MIN, FACTOR_MAX, 1.0);
    p.hue = draw_change(r, -HUE, HUE, 0.0);
    return p;
}

static inline float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

SIMD_CLONES static void brightness_row(float *x, int n, float add) {
    for (int i = 0; i < n; i++) x[i] = clamp(x[i] + add, 0.0f, 255.0f);
}

SIMD_CLONES static void contrast_row(float *x, int n, float factor) {
    for (int i = 0; i < n; i++) x[i] = clamp(x[i] * factor, 0.0f, 255.0f);
}

/* How far the channel of offset n stands below V, as a part of C, at hue h in 0..6. */
static inline float below_value(float n, float h) {
    float k = n + h;
    k = k >= 6.0f ? k - 6.0f : k;
    return clamp(k < 4.0f - k ? k : 4.0f - k, 0.0f, 1.0f);
}

SIMD_CLONES static void saturation_hue_row(float *rgb, int n, float saturation, float hue) {
    const float turn = hue / 60.0f;
    for (int i = 0; i < n; i++) {
        const float r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];
        const float rg_max = r > g ? r : g, rg_min = r < g ? r : g;
        const float value = rg_max > b ? rg_max : b, smallest = rg_min < b ? rg_min : b;
        const float chroma = value - smallest;
        const float inverse = 1.0f / (chroma > 0.0f ? chroma : 1.0f); /* a grey's hue is nothing, and does not matter */
        const float h_red = (g - b) * inverse, h_green = (b - r) * inverse + 2.0f, h_blue = (r - g) * inverse + 4.0f;
        float h = (value == r ? h_red : value == g ? h_green : h_blue) + turn; /* -1.3 .. 5.3 */
        h = h < 0.0f ? h + 6.0f : h;
        const float scaled = chroma * saturation;
        const float c = scaled < value ? scaled : value;
        rgb[3 * i] = value - c * below_value(5.0f, h);
        rgb[3 * i + 1] = value - c * below_value(3.0f, h);
        rgb[3 * i + 2] = value - c * below_value(1.0f, h);
    }
}

void photometric_row(const photometric *p, float *rgb, int n) {
    if (p->brightness < 0.0f || p->brightness > 0.0f) brightness_row(rgb, 3 * n, p->brightness);
    const bool contrast = p->contrast < 1.0f || p->contrast > 1.0f;
    if (contrast && p->contrast_first) contrast_row(rgb, 3 * n, p->contrast);
    const bool saturation = p->saturation < 1.0f || p->saturation > 1.0f, hue = p->hue < 0.0f || p->hue > 0.0f;
    if (saturation || hue) saturation_hue_row(rgb, n, p->saturation, p->hue);
    if (contrast && !p->contrast_first) contrast_row(rgb, 3 * n, p->contrast);
}
