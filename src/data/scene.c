/* A scene from first to last: street, objects, regions without a label, then the camera's light, blur and noise. */
#include "data/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/image_internal.h"
#include "data/scene_internal.h"

struct scene {
    canvas canvas;
    float *blurred; /* (height, width, 3) */
    uint8_t *edges; /* (height, width) labels with the boundaries taken out */
    street street;
};

scene *scene_open(int height, int width) {
    scene *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    const size_t pixels = (size_t)height * (size_t)width;
    s->canvas = (canvas){height, width, calloc(3 * pixels, sizeof(float)), calloc(pixels, 1)};
    s->blurred = calloc(3 * pixels, sizeof(float));
    s->edges = calloc(pixels, 1);
    if (s->canvas.rgb != NULL && s->canvas.label != NULL && s->blurred != NULL && s->edges != NULL) return s;
    scene_close(s);
    return NULL;
}

void scene_close(scene *s) {
    if (s == NULL) return;
    free(s->canvas.rgb);
    free(s->canvas.label);
    free(s->blurred);
    free(s->edges);
    free(s);
}

/* ---- what has no label ---- */

/* Things nobody named: heaps, tarpaulins, whatever; a ragged polygon of any colour on the ground. */
static void draw_unknown(canvas *c, const street *s, random_stream *r) {
    float x[9], y[9];
    const float size = (float)c->height * pick(r, 0.06f, 0.14f);
    const float cx = pick(r, 0.0f, (float)c->width), cy = s->horizon + s->drop * pick(r, 0.3f, 0.9f);
    for (int i = 0; i < 9; i++) {
        const float angle = 6.2831853f * (float)i / 9.0f, reach = size * pick(r, 0.55f, 1.1f);
        x[i] = cx + 1.3f * reach * cosf(angle);
        y[i] = cy + 0.8f * reach * sinf(angle);
    }
    const color any = pick_near(r, (color){0.5f, 0.5f, 0.5f}, 0.4f);
    const paint p = {SCENE_VOID, any, 0.8f, 0.25f * size, random_u32(r)};
    canvas_shadow(c, cx, cy + 0.6f * size, 1.4f * size, 0.4f * size, 0.5f);
    canvas_polygon(c, 9, x, y, &p);
}

/* The bonnet of the camera's own car, glossy: it mirrors the sky. */
static void draw_bonnet(canvas *c, const street *s, random_stream *r) {
    const float h = (float)c->height, w = (float)c->width;
    const color body = pick_near(r, (color){0.18f, 0.18f, 0.20f}, 0.13f);
    paint p = {SCENE_VOID, body, 0.1f, 0.1f * h, random_u32(r)};
    const float rise = h * pick(r, 0.06f, 0.11f), x = w * pick(r, 0.45f, 0.55f);
    canvas_ellipse(c, x, h + 0.02f * h, 0.62f * w, rise + 0.02f * h, &p);
    p.base = color_mix(body, s->sky_low, 0.4f);
    canvas_ellipse(c, x, h + 0.05f * h, 0.4f * w, rise, &p);
}

/* Whether another label lies within `reach` pixels. */
static bool near_boundary(const canvas *c, int x, int y, int reach) {
    const uint8_t own = c->label[(long)y * c->width + x];
    for (int v = y - reach; v <= y + reach; v++)
        for (int u = x - reach; u <= x + reach; u++)
            if (u >= 0 && v >= 0 && u < c->width && v < c->height && c->label[(long)v * c->width + u] != own) return true;
    return false;
}

/* As in PASCAL VOC, a narrow band along every boundary has no label: which side its pixels belong to is a matter of taste. */
static void clear_boundaries(scene *s) {
    const canvas *c = &s->canvas;
    const int reach = c->height < 128 ? 1 : c->height / 64;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            const long at = (long)y * c->width + x;
            s->edges[at] = near_boundary(c, x, y, reach) ? SCENE_VOID : c->label[at];
        }
}

/* ---- the camera ---- */

/* Binomial 3x3, edges repeated; mixed with the sharp picture. */
static void blur(scene *s, float part) {
    const int height = s->canvas.height, width = s->canvas.width;
    const float *in = s->canvas.rgb;
    const float side = 0.25f * part, centre = 1.0f - 0.5f * part;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int k = 0; k < 3; k++) {
                const long row = (long)y * width;
                const int left = x > 0 ? x - 1 : x, right = x + 1 < width ? x + 1 : x;
                s->blurred[3 * (row + x) + k] =
                    side * (in[3 * (row + left) + k] + in[3 * (row + right) + k]) + centre * in[3 * (row + x) + k];
            }
    for (int y = 0; y < height; y++) {
        const long up = (long)(y > 0 ? y - 1 : y) * width * 3, down = (long)(y + 1 < height ? y + 1 : y) * width * 3,
                   row = (long)y * width * 3;
        for (int i = 0; i < 3 * width; i++)
            s->canvas.rgb[row + i] = side * (s->blurred[up + i] + s->blurred[down + i]) + centre * s->blurred[row + i];
    }
}

/* About normal with deviation 1: the sum of four bytes of one random number. */
static float cheap_normal(random_stream *r) {
    const uint32_t u = random_u32(r);
    const float sum = (float)((u & 255) + (u >> 8 & 255) + (u >> 16 & 255) + (u >> 24));
    return (sum - 510.0f) * (1.0f / 147.8f);
}

static uint8_t to_byte(float v) {
    return v <= 0.0f ? 0 : v >= 1.0f ? 255 : (uint8_t)(255.0f * v + 0.5f);
}

/* Illumination, vignette and sensor noise; down to bytes. */
static void expose(const scene *s, random_stream *r, uint8_t *out) {
    const int height = s->canvas.height, width = s->canvas.width;
    const float light = pick(r, 0.68f, 1.22f), lift = pick(r, -0.03f, 0.06f), noise = pick(r, 0.008f, 0.035f),
                vignette = pick(r, 0.0f, 0.3f);
    const float red = pick(r, 0.92f, 1.08f), blue = pick(r, 0.92f, 1.08f);
    const float gain[3] = {light * red, light, light * blue};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const float dx = 2.0f * ((float)x + 0.5f) / (float)width - 1.0f, dy = 2.0f * ((float)y + 0.5f) / (float)height - 1.0f;
            const float fall = 1.0f - 0.5f * vignette * (dx * dx + dy * dy);
            const long at = 3 * ((long)y * width + x);
            for (int k = 0; k < 3; k++) out[at + k] = to_byte(s->canvas.rgb[at + k] * gain[k] * fall + lift + noise * cheap_normal(r));
        }
}

entrain_status scene_draw(scene *s, uint64_t seed, uint64_t number, image *picture, image *label, entrain_error *err) {
    canvas *c = &s->canvas;
    random_stream r = random_open(seed, RANDOM_SYNTHETIC, number);
    entrain_status status = image_reshape(picture, c->height, c->width, 3, "scene", err);
    if (status == ENTRAIN_OK) status = image_reshape(label, c->height, c->width, 1, "scene", err);
    if (status != ENTRAIN_OK) return status;
    street_make(&s->street, c->height, c->width, &r);
    street_draw(&s->street, c);
    objects_draw(&s->street, c, &r);
    for (int n = (int)random_below(&r, 3); n > 0; n--) draw_unknown(c, &s->street, &r);
    if (chance(&r, 0.35)) draw_bonnet(c, &s->street, &r);
    clear_boundaries(s);
    blur(s, pick(&r, 0.2f, 1.0f));
    expose(s, &r, picture->data);
    memcpy(label->data, s->edges, (size_t)c->height * (size_t)c->width);
    return ENTRAIN_OK;
}
