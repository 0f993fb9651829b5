/*
 * Photometric distortion as mmsegmentation's PhotoMetricDistortion: brightness, contrast, saturation, hue, each with probability 1/2;
 * contrast comes before saturation or after hue, by a coin. In float, row by row, without the roundings to bytes in between. Brightness and
 * contrast are clamped to 0..255, saturation to HSV's cone, so that a later change sees a colour that a picture could hold. The hue turns
 * by up to 36 degrees: mmsegmentation's 18 are OpenCV's, which counts the circle as 180.
 *
 * HSV needs no table of six cases here. With V the largest channel and C = V - smallest, the saturation S = C/V, so scaling S by f scales C
 * by f (at most up to V). And with hue h in 0..6 a channel is V - C*clamp(min(k, 4-k), 0, 1), k = (n + h) mod 6, n = 5, 3, 1 for red,
 * green, blue.
 */
#include "data/photometric.h"

#include "base/simd.h"

static const double BRIGHTNESS = 32.0, FACTOR_MIN = 0.5, FACTOR_MAX = 1.5, HUE = 36.0;

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

/* Where there is nothing to add or to multiply, 0 and 1 change nothing. */
SIMD_CLONES static void linear_row(float *x, int n, float factor, float add) {
    for (int i = 0; i < n; i++) x[i] = clamp(x[i] * factor + add, 0.0f, 255.0f);
}

/* How far the channel of offset n stands below V, as a part of C, at hue h in 0..6. */
static inline float below_value(float n, float h) {
    float k = n + h;
    k = k >= 6.0f ? k - 6.0f : k;
    return clamp(k < 4.0f - k ? k : 4.0f - k, 0.0f, 1.0f);
}

SIMD_CLONES static void saturation_hue_row(float *restrict reds, float *restrict greens, float *restrict blues, int n, float saturation,
                                           float hue) {
    const float turn = hue / 60.0f;
    for (int i = 0; i < n; i++) {
        const float r = reds[i], g = greens[i], b = blues[i];
        const float rg_max = r > g ? r : g, rg_min = r < g ? r : g;
        const float value = rg_max > b ? rg_max : b, smallest = rg_min < b ? rg_min : b;
        const float chroma = value - smallest;
        const float inverse = 1.0f / (chroma > 0.0f ? chroma : 1.0f); /* a grey's hue is nothing, and does not matter */
        const float h_red = (g - b) * inverse, h_green = (b - r) * inverse + 2.0f, h_blue = (r - g) * inverse + 4.0f;
        float h = (value == r ? h_red : value == g ? h_green : h_blue) + turn; /* -1.6 .. 5.6 */
        h = h < 0.0f ? h + 6.0f : h;
        const float scaled = chroma * saturation;
        const float c = scaled < value ? scaled : value;
        reds[i] = value - c * below_value(5.0f, h);
        greens[i] = value - c * below_value(3.0f, h);
        blues[i] = value - c * below_value(1.0f, h);
    }
}

static void linear_rows(float *r, float *g, float *b, int n, float factor, float add) {
    linear_row(r, n, factor, add);
    linear_row(g, n, factor, add);
    linear_row(b, n, factor, add);
}

void photometric_row(const photometric *p, float *r, float *g, float *b, int n) {
    const bool contrast = p->contrast < 1.0f || p->contrast > 1.0f;
    const bool saturation = p->saturation < 1.0f || p->saturation > 1.0f, hue = p->hue < 0.0f || p->hue > 0.0f;
    if (p->brightness < 0.0f || p->brightness > 0.0f) linear_rows(r, g, b, n, 1.0f, p->brightness);
    if (contrast && p->contrast_first) linear_rows(r, g, b, n, p->contrast, 0.0f);
    if (saturation || hue) saturation_hue_row(r, g, b, n, p->saturation, p->hue);
    if (contrast && !p->contrast_first) linear_rows(r, g, b, n, p->contrast, 0.0f);
}
