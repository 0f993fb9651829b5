/* The street itself, cast pixel by pixel: each is sky, wall of either side, or ground, and its texture lies in the street's own
 * coordinates. */
#include <math.h>

#include "data/scene_internal.h"

static const float NEAR = 0.6f; /* distance at which the first segments begin: outside the picture */

/* Brick, plaster, concrete, sandstone, slate, painted. */
static const color walls[] = {{0.55f, 0.30f, 0.24f}, {0.78f, 0.72f, 0.60f}, {0.58f, 0.57f, 0.55f}, {0.68f, 0.58f, 0.42f},
                              {0.36f, 0.40f, 0.47f}, {0.62f, 0.66f, 0.70f}, {0.72f, 0.50f, 0.40f}, {0.46f, 0.38f, 0.33f}};
enum { WALLS = sizeof walls / sizeof walls[0] };

static void make_side(street_segment *side, random_stream *r) {
    const bool park = chance(r, 0.15);
    float at = NEAR;
    for (int i = 0; i < STREET_SEGMENTS; i++) {
        street_segment *g = &side[i];
        g->is_building = !park && chance(r, 0.8);
        at += (g->is_building ? pick(r, 0.4f, 1.0f) : pick(r, 0.5f, 0.9f)) * (1.0f + 0.3f * (float)i);
        g->end = at;
        g->height = g->is_building ? pick(r, 1.35f, 2.5f) : pick(r, 1.05f, 1.5f);
        g->wall = pick_near(r, walls[random_below(r, WALLS)], 0.07f);
        g->window = chance(r, 0.3) ? pick_near(r, (color){0.70f, 0.75f, 0.80f}, 0.08f) : pick_near(r, (color){0.16f, 0.19f, 0.24f}, 0.06f);
        g->storey = pick(r, 0.28f, 0.42f);
        g->bay = pick(r, 0.16f, 0.28f);
        g->salt = random_u32(r);
    }
    side[STREET_SEGMENTS - 1].end = 1e9f;
}

static void make_sky(street *s, random_stream *r) {
    static const color tops[] = {{0.30f, 0.50f, 0.82f}, {0.62f, 0.66f, 0.70f}, {0.45f, 0.58f, 0.75f}, {0.50f, 0.45f, 0.58f}};
    static const color lows[] = {{0.72f, 0.83f, 0.93f}, {0.82f, 0.83f, 0.84f}, {0.88f, 0.88f, 0.86f}, {0.95f, 0.74f, 0.56f}};
    const uint32_t kind = random_below(r, 4);
    s->sky_top = pick_near(r, tops[kind], 0.06f);
    s->sky_low = pick_near(r, lows[kind], 0.04f);
    s->cloud = pick_near(r, (color){0.90f, 0.90f, 0.91f}, 0.06f);
    s->clouds = pick(r, 0.0f, 0.9f);
}

void street_make(street *s, int height, int width, random_stream *r) {
    const float h = (float)height, w = (float)width;
    s->horizon = h * pick(r, 0.36f, 0.48f);
    s->drop = h - s->horizon;
    s->vanish = w * pick(r, 0.36f, 0.64f);
    s->half = w * pick(r, 0.36f, 0.50f);
    s->outer = pick(r, 1.6f, 2.1f);
    make_sky(s, r);
    const float grey = pick(r, 0.24f, 0.46f);
    s->asphalt = pick_near(r, (color){grey, grey, grey * 1.03f}, 0.015f);
    const float stone = pick(r, 0.42f, 0.66f);
    s->slabs = pick_near(r, (color){stone * 1.04f, stone, stone * 0.93f}, 0.05f);
    s->leaves = pick_near(r, chance(r, 0.12) ? (color){0.50f, 0.36f, 0.14f} : (color){0.22f, 0.38f, 0.15f}, 0.06f);
    s->wear = pick(r, 0.05f, 0.22f);
    s->paint_wear = pick(r, 0.55f, 0.95f);
    s->verge[0] = chance(r, 0.15);
    s->verge[1] = chance(r, 0.15);
    s->edge_lines = chance(r, 0.5);
    s->crossing = chance(r, 0.3) ? pick(r, 1.3f, 2.4f) : 0.0f;
    s->sun[0] = pick(r, 0.72f, 1.1f);
    s->sun[1] = 1.8f - s->sun[0];
    s->salt = random_u32(r);
    make_side(s->side[0], r);
    make_side(s->side[1], r);
}

/* Part of a period that a coordinate has gone through, 0..1. */
static float phase(float at, float period) {
    const float p = at / period;
    return p - floorf(p);
}

static color sky_at(const street *s, float x, float y) {
    const float down = y / s->horizon;
    const color clear = color_mix(s->sky_top, s->sky_low, down * down);
    const float n = noise_rough(x / (0.55f * s->drop), y / (0.2f * s->drop), s->salt + 11);
    return color_mix(clear, s->cloud, s->clouds * fmaxf(0.0f, n * 1.6f));
}

/* A storefront at the bottom, then storeys of windows; far away the windows blur into the wall. */
static color wall_at(const street_segment *g, float distance, float above, float t) {
    const float roof = g->height - above;
    color value = color_scale(g->wall, 1.0f + 0.14f * noise_rough(distance * 9.0f, above * 9.0f, g->salt));
    if (roof < 0.06f) return color_scale(value, 0.75f); /* cornice */
    const int storey = (int)floorf(above / g->storey), bay = (int)floorf(distance / g->bay);
    const float up = phase(above, g->storey), along = phase(distance, g->bay);
    const bool shop = storey == 0 && g->salt % 3 == 0;
    const bool glass = shop ? up < 0.7f && along > 0.08f && along < 0.92f : up > 0.25f && up < 0.78f && along > 0.24f && along < 0.76f;
    if (!glass || roof < 0.12f) return value;
    const color window = color_scale(g->window, 0.7f + 0.6f * noise_cell(bay, storey, g->salt));
    return color_mix(value, window, t > 0.3f ? 0.92f : 0.4f + 1.7f * t);
}

static color leaves_at(const street *s, float x, float y, float scale, uint32_t salt) {
    const float fine = noise_smooth(x / (0.035f * scale), y / (0.035f * scale), salt),
                rough = noise_rough(x / (0.16f * scale), y / (0.16f * scale), salt + 5);
    return color_scale(s->leaves, 1.0f + 0.30f * fine + 0.42f * rough);
}

static const street_segment *segment_at(const street *s, int side, float distance) {
    const street_segment *g = s->side[side];
    while (g->end < distance) g++;
    return g;
}

static void road_at(const street *s, canvas *c, int x, int y, float u, float distance) {
    const float stripes = noise_smooth(u * 3.0f, distance * 0.5f, s->salt + 2),
                patches = noise_rough(u * 2.5f, distance * 4.0f, s->salt + 3);
    color value = color_scale(s->asphalt, 1.0f + s->wear * stripes + 0.6f * s->wear * patches);
    const bool middle = fabsf(u) < 0.035f && phase(distance, 0.7f) < 0.5f;
    const bool edge = s->edge_lines && fabsf(u) > 0.90f && fabsf(u) < 0.95f;
    const bool crossing =
        s->crossing > 0.0f && distance > s->crossing && distance < s->crossing + 0.3f && phase(u, 0.22f) < 0.5f && fabsf(u) < 0.9f;
    if (middle || edge || crossing) value = color_mix(value, (color){0.86f, 0.86f, 0.83f}, s->paint_wear * (0.85f + 0.3f * patches));
    canvas_put(c, x, y, SCENE_ROAD, value);
}

static void pavement_at(const street *s, canvas *c, int x, int y, float u, float distance) {
    const float side = fabsf(u);
    if (side < 1.05f) { /* kerb */
        canvas_put(c, x, y, SCENE_PAVEMENT,
                   color_scale((color){0.66f, 0.65f, 0.63f}, 1.0f + 0.1f * noise_smooth(u * 8.0f, distance * 8.0f, s->salt)));
        return;
    }
    if (s->verge[u > 0.0f] && side > 1.0f + 0.62f * (s->outer - 1.0f)) {
        canvas_put(c, x, y, SCENE_VEGETATION, leaves_at(s, (float)x, (float)y, 0.6f * s->drop, s->salt + 21));
        return;
    }
    const bool joint = phase(side, 0.15f) < 0.1f || phase(distance, 0.12f) < 0.12f;
    const float tone = 0.86f + 0.28f * noise_cell((int)floorf(side / 0.15f), (int)floorf(distance / 0.12f), s->salt + 7);
    canvas_put(c, x, y, SCENE_PAVEMENT, color_scale(s->slabs, joint ? 0.72f : tone));
}

/* The pixel above the ground line of its wall: wall, leaves, far trees or sky. */
static void upright_at(const street *s, canvas *c, int x, int y, float t, float base) {
    const float px = (float)x + 0.5f, py = (float)y + 0.5f;
    const int side = px > s->vanish;
    const float distance = 1.0f / t, above = (base - py) / (t * s->drop);
    const street_segment *g = segment_at(s, side, distance);
    const color haze = s->sky_low;
    const float far = 0.45f * expf(-7.0f * t);
    float top = g->height;
    if (!g->is_building) top += 0.30f * noise_rough(distance * 6.0f, 0.0f, g->salt) + 0.12f * noise_smooth(px * 0.4f, py * 0.3f, g->salt);
    if (t > 0.05f && above < top) {
        const color value = g->is_building ? color_scale(wall_at(g, distance, above, t), s->sun[side])
                                           : leaves_at(s, px, py, (0.3f + 0.7f * t) * s->drop, g->salt);
        canvas_put(c, x, y, g->is_building ? SCENE_BUILDING : SCENE_VEGETATION, color_mix(value, haze, far));
        return;
    }
    const float hills = s->horizon - s->drop * (0.05f + 0.045f * noise_rough(px / (0.25f * s->drop), 0.0f, s->salt + 31));
    if (py > hills)
        canvas_put(c, x, y, SCENE_VEGETATION, color_mix(leaves_at(s, px, py, 0.5f * s->drop, s->salt + 32), haze, 0.3f));
    else
        canvas_put(c, x, y, SCENE_SKY, sky_at(s, px, py));
}

void street_draw(const street *s, canvas *c) {
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            const float px = (float)x + 0.5f, py = (float)y + 0.5f;
            const float t_wall = fmaxf(fabsf(px - s->vanish) / (s->outer * s->half), 1e-3f);
            const float base = s->horizon + t_wall * s->drop;
            if (py < base) {
                upright_at(s, c, x, y, t_wall, base);
                continue;
            }
            const float t = (py - s->horizon) / s->drop, u = (px - s->vanish) / (s->half * t);
            if (fabsf(u) < 1.0f)
                road_at(s, c, x, y, u, 1.0f / t);
            else
                pavement_at(s, c, x, y, u, 1.0f / t);
        }
}
