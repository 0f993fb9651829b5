/* What stands in the street. Sizes are in metres; the camera is two metres above the ground. */
#include <math.h>

#include "data/scene_internal.h"

enum { MOST_OBJECTS = 24 };
static const float CAMERA = 2.0f; /* metres */

typedef enum object_kind { OBJECT_TREE, OBJECT_POLE, OBJECT_SIGNPOST, OBJECT_CAR, OBJECT_CAR_ACROSS } object_kind;

typedef struct object {
    object_kind kind;
    float u, t; /* place in the street */
} object;

/* Where an object stands in the picture. */
typedef struct stand {
    float x, y;  /* its foot */
    float metre; /* pixels */
    float least; /* no part of a pole or sign is thinner than this many pixels */
} stand;

static stand stand_at(const street *s, const canvas *c, const object *o) {
    return (stand){s->vanish + o->u * s->half * o->t, s->horizon + o->t * s->drop, o->t * s->drop / CAMERA, (float)c->height / 128.0f};
}

static float larger(float metres, const stand *at, float least) {
    return fmaxf(metres * at->metre, least * at->least);
}

/* ---- trees ---- */

static void draw_tree(const street *s, canvas *c, const stand *at, random_stream *r) {
    const float m = at->metre, trunk = larger(pick(r, 0.13f, 0.2f), at, 1.5f), bole = pick(r, 1.9f, 2.6f) * m;
    const float crown = pick(r, 0.9f, 1.5f) * m, middle = at->y - bole - 0.75f * crown;
    const color brown = pick_near(r, (color){0.32f, 0.25f, 0.18f}, 0.05f);
    const paint bark = {SCENE_VEGETATION, brown, 0.4f, 0.15f * m + 1.0f, random_u32(r)};
    canvas_shadow(c, at->x, at->y, crown, 0.22f * crown, 0.45f);
    canvas_rectangle(c, at->x - trunk, at->y - bole - 0.3f * crown, at->x + trunk, at->y, &bark);
    const color leaf = pick_near(r, s->leaves, 0.07f);
    const int blobs = 7 + (int)random_below(r, 5);
    for (int i = 0; i < blobs; i++) {
        const float angle = pick(r, 0.0f, 6.283f), away = crown * pick(r, 0.15f, 0.7f), size = crown * pick(r, 0.38f, 0.62f);
        const float x = at->x + away * cosf(angle), y = middle + 0.8f * away * sinf(angle);
        const paint p = {SCENE_VEGETATION, color_scale(leaf, 1.0f - 0.3f * sinf(angle)), 0.75f, fmaxf(1.5f, 0.12f * crown), random_u32(r)};
        canvas_ellipse(c, x, y, size, 0.9f * size, &p);
    }
}

/* ---- poles and signs ---- */

static const color sign_red = {0.80f, 0.10f, 0.10f}, sign_blue = {0.10f, 0.25f, 0.68f}, sign_white = {0.93f, 0.93f, 0.92f},
                   sign_yellow = {0.93f, 0.76f, 0.10f}, sign_green = {0.08f, 0.42f, 0.25f};

static void regular(float x, float y, float size, int corners, float turn, float *xs, float *ys) {
    for (int i = 0; i < corners; i++) {
        const float angle = turn + 6.2831853f * (float)i / (float)corners;
        xs[i] = x + size * cosf(angle);
        ys[i] = y + size * sinf(angle);
    }
}

static void sign_polygon(canvas *c, float x, float y, float size, int corners, float turn, const paint *border, const paint *face) {
    float xs[8], ys[8];
    regular(x, y, size, corners, turn, xs, ys);
    canvas_polygon(c, corners, xs, ys, border);
    regular(x, y, 0.7f * size, corners, turn, xs, ys);
    canvas_polygon(c, corners, xs, ys, face);
}

static void draw_sign(canvas *c, const stand *at, float up, random_stream *r) {
    const float size = larger(pick(r, 0.5f, 0.64f), at, 10.0f), y = at->y - up * at->metre;
    paint border = {SCENE_SIGN, sign_red, 0.06f, 3.0f, random_u32(r)}, face = border;
    face.base = sign_white;
    switch (random_below(r, 6)) {
    case 0: /* prohibition */
        canvas_ellipse(c, at->x, y, size, size, &border);
        canvas_ellipse(c, at->x, y, 0.68f * size, 0.68f * size, &face);
        break;
    case 1: /* mandatory: blue with a white bar */
        border.base = sign_blue;
        canvas_ellipse(c, at->x, y, size, size, &border);
        canvas_rectangle(c, at->x - 0.18f * size, y - 0.55f * size, at->x + 0.18f * size, y + 0.55f * size, &face);
        break;
    case 2: /* warning */
        sign_polygon(c, at->x, y, 1.2f * size, 3, -1.5708f, &border, &face);
        break;
    case 3: /* priority */
        face.base = sign_yellow;
        border.base = sign_white;
        sign_polygon(c, at->x, y, 1.1f * size, 4, 0.0f, &border, &face);
        break;
    case 4: /* stop */
        border.base = sign_white;
        face.base = sign_red;
        sign_polygon(c, at->x, y, 1.05f * size, 8, 0.3927f, &border, &face);
        break;
    default: /* directions: a board */
        border.base = chance(r, 0.5) ? sign_blue : sign_green;
        canvas_rectangle(c, at->x - 1.5f * size, y - 0.8f * size, at->x + 1.5f * size, y + 0.8f * size, &border);
        canvas_rectangle(c, at->x - 1.2f * size, y - 0.35f * size, at->x + 0.9f * size, y - 0.1f * size, &face);
        canvas_rectangle(c, at->x - 1.2f * size, y + 0.15f * size, at->x + 0.5f * size, y + 0.4f * size, &face);
        break;
    }
}

static paint metal(random_stream *r) {
    const float grey = chance(r, 0.5) ? pick(r, 0.14f, 0.26f) : pick(r, 0.52f, 0.68f);
    return (paint){SCENE_POLE, {grey, grey, grey * 1.04f}, 0.1f, 4.0f, random_u32(r)};
}

/* An upright with a light and a dark side. */
static void draw_upright(canvas *c, const stand *at, float half, float height, const paint *p) {
    paint side = *p;
    side.base = color_scale(p->base, 1.3f);
    canvas_rectangle(c, at->x - half, at->y - height, at->x, at->y, p);
    canvas_rectangle(c, at->x, at->y - height, at->x + half, at->y, &side);
}

static void draw_pole(canvas *c, const stand *at, float u, random_stream *r) {
    const float half = larger(0.22f, at, 5.5f), height = pick(r, 4.2f, 6.0f) * at->metre, top = at->y - height;
    const paint p = metal(r);
    canvas_shadow(c, at->x, at->y, 3.0f * half, 1.2f * half, 0.4f);
    draw_upright(c, at, half, height, &p);
    if (chance(r, 0.6)) { /* a lamp over the road */
        const float reach = (u > 0.0f ? -1.0f : 1.0f) * pick(r, 0.9f, 1.4f) * at->metre, thick = larger(0.26f, at, 7.0f);
        canvas_rectangle(c, fminf(at->x, at->x + reach), top, fmaxf(at->x, at->x + reach), top + thick, &p);
    }
    if (chance(r, 0.35)) draw_sign(c, at, pick(r, 2.2f, 2.9f), r);
}

static void draw_signpost(canvas *c, const stand *at, random_stream *r) {
    const float half = larger(0.2f, at, 4.5f), height = pick(r, 2.2f, 2.8f);
    const paint p = metal(r);
    canvas_shadow(c, at->x, at->y, 3.0f * half, 1.2f * half, 0.4f);
    draw_upright(c, at, half, height * at->metre, &p);
    draw_sign(c, at, height, r);
}

/* ---- cars ---- */

static const color bodies[] = {{0.70f, 0.10f, 0.10f}, {0.12f, 0.22f, 0.55f}, {0.88f, 0.88f, 0.88f}, {0.10f, 0.10f, 0.12f},
                               {0.55f, 0.57f, 0.60f}, {0.16f, 0.36f, 0.24f}, {0.80f, 0.62f, 0.14f}, {0.40f, 0.16f, 0.26f}};
enum { BODIES = sizeof bodies / sizeof bodies[0] };

typedef struct car_paints {
    paint body, roof, glass, tyre, light, plate;
} car_paints;

static car_paints pick_car(random_stream *r) {
    static const color rear = {0.85f, 0.12f, 0.08f}, front = {0.97f, 0.95f, 0.80f};
    const color body = pick_near(r, bodies[random_below(r, BODIES)], 0.05f), glass = pick_near(r, (color){0.16f, 0.21f, 0.26f}, 0.05f);
    const color light = chance(r, 0.65) ? rear : front;
    const uint32_t salt = random_u32(r);
    return (car_paints){
        .body = {SCENE_CAR, body, 0.08f, 5.0f, salt},
        .roof = {SCENE_CAR, color_scale(body, 1.18f), 0.06f, 5.0f, salt + 1},
        .glass = {SCENE_CAR, glass, 0.45f, 4.0f, salt + 2},
        .tyre = {SCENE_CAR, {0.06f, 0.06f, 0.07f}, 0.2f, 2.0f, salt + 3},
        .light = {SCENE_CAR, light, 0.0f, 1.0f, salt},
        .plate = {SCENE_CAR, {0.90f, 0.88f, 0.70f}, 0.0f, 1.0f, salt},
    };
}

/* Seen from behind or in front. */
static void draw_car(canvas *c, const stand *at, random_stream *r) {
    const car_paints p = pick_car(r);
    const float m = at->metre, half = 0.95f * m * pick(r, 0.92f, 1.08f), roof = m * pick(r, 1.45f, 1.95f), belt = 0.52f * roof;
    const float x = at->x, y = at->y;
    canvas_shadow(c, x, y, 1.25f * half, 0.3f * m, 0.75f);
    for (int side = -1; side <= 1; side += 2) {
        const float wheel = x + (float)side * 0.74f * half;
        canvas_rectangle(c, wheel - 0.16f * half, y - 0.4f * m, wheel + 0.16f * half, y, &p.tyre);
    }
    const float cabin_x[4] = {x - 0.86f * half, x - 0.68f * half, x + 0.68f * half, x + 0.86f * half};
    const float cabin_y[4] = {y - belt, y - roof, y - roof, y - belt};
    canvas_polygon(c, 4, cabin_x, cabin_y, &p.roof);
    const float glass_x[4] = {x - 0.72f * half, x - 0.58f * half, x + 0.58f * half, x + 0.72f * half};
    const float glass_y[4] = {y - 1.04f * belt, y - 0.92f * roof, y - 0.92f * roof, y - 1.04f * belt};
    canvas_polygon(c, 4, glass_x, glass_y, &p.glass);
    canvas_rectangle(c, x - half, y - belt, x + half, y - 0.22f * m, &p.body);
    for (int side = -1; side <= 1; side += 2) {
        const float lamp = x + (float)side * 0.78f * half;
        canvas_rectangle(c, lamp - 0.17f * half, y - 0.88f * belt, lamp + 0.17f * half, y - 0.66f * belt, &p.light);
    }
    canvas_rectangle(c, x - 0.26f * half, y - 0.58f * belt, x + 0.26f * half, y - 0.40f * belt, &p.plate);
    canvas_rectangle(c, x - half, y - 0.30f * m, x + half, y - 0.22f * m, &p.tyre); /* bumper */
}

/* Seen from the side, crossing the street. */
static void draw_car_across(canvas *c, const stand *at, random_stream *r) {
    const car_paints p = pick_car(r);
    const float m = at->metre, half = 2.0f * m * pick(r, 0.9f, 1.05f), roof = m * pick(r, 1.4f, 1.6f), belt = 0.56f * roof;
    const float x = at->x, y = at->y, facing = chance(r, 0.5) ? 1.0f : -1.0f;
    canvas_shadow(c, x, y, 1.1f * half, 0.25f * m, 0.75f);
    const float cabin_x[4] = {x - 0.70f * half * facing, x - 0.48f * half * facing, x + 0.22f * half * facing, x + 0.52f * half * facing};
    const float cabin_y[4] = {y - belt, y - roof, y - roof, y - belt};
    canvas_polygon(c, 4, cabin_x, cabin_y, &p.roof);
    const float glass_x[4] = {x - 0.60f * half * facing, x - 0.44f * half * facing, x + 0.18f * half * facing, x + 0.40f * half * facing};
    const float glass_y[4] = {y - 1.04f * belt, y - 0.92f * roof, y - 0.92f * roof, y - 1.04f * belt};
    canvas_polygon(c, 4, glass_x, glass_y, &p.glass);
    const float post = x - 0.10f * half * facing;
    canvas_rectangle(c, post - 0.03f * half, y - roof, post + 0.03f * half, y - belt, &p.body);
    canvas_rectangle(c, x - half, y - belt, x + half, y - 0.25f * m, &p.body);
    for (int end = -1; end <= 1; end += 2) {
        const float wheel = x + (float)end * 0.62f * half;
        canvas_ellipse(c, wheel, y - 0.32f * m, 0.34f * m, 0.34f * m, &p.tyre);
        canvas_ellipse(c, wheel, y - 0.32f * m, 0.16f * m, 0.16f * m, &p.plate);
        canvas_rectangle(c, x + (float)end * half * 0.93f - 0.06f * half, y - 0.85f * belt, x + (float)end * half * 0.93f + 0.06f * half,
                         y - 0.62f * belt, &p.light);
    }
}

/* ---- all of them ---- */

/* Some objects of a kind, `least` to `most`, u in [near, far] from the middle on either side, t in [low, high]. */
static void add(object *list, int *count, object_kind kind, int least, int most, const float u[2], const float t[2], random_stream *r) {
    for (int n = least + (int)random_below(r, (uint32_t)(most - least + 1)); n > 0 && *count < MOST_OBJECTS; n--) {
        const float side = chance(r, 0.5) ? 1.0f : -1.0f, away = pick(r, u[0], u[1]), depth = pick(r, t[0], t[1]);
        list[(*count)++] = (object){kind, side * away, depth};
    }
}

static int choose(const street *s, object *list, random_stream *r) {
    int count = 0;
    add(list, &count, OBJECT_TREE, 0, 2, (float[]){1.3f, s->outer}, (float[]){0.4f, 0.9f}, r);
    add(list, &count, OBJECT_POLE, 0, 2, (float[]){1.1f, 1.4f}, (float[]){0.4f, 0.8f}, r);
    add(list, &count, OBJECT_SIGNPOST, 1, 2, (float[]){1.1f, 1.4f}, (float[]){0.4f, 0.72f}, r);
    add(list, &count, OBJECT_CAR, 1, 3, (float[]){0.38f, 0.75f}, (float[]){0.28f, 0.75f}, r);
    add(list, &count, OBJECT_CAR_ACROSS, 0, chance(r, 0.6), (float[]){0.0f, 0.6f}, (float[]){0.2f, 0.45f}, r);
    return count;
}

/* By depth, far ones first: a stable insertion sort. */
static void sort_by_depth(object *list, int count) {
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && list[k - 1].t > list[k].t; k--) {
            const object moved = list[k];
            list[k] = list[k - 1];
            list[k - 1] = moved;
        }
}

void objects_draw(const street *s, canvas *c, random_stream *r) {
    object list[MOST_OBJECTS];
    const int count = choose(s, list, r);
    sort_by_depth(list, count);
    for (int i = 0; i < count; i++) {
        const stand at = stand_at(s, c, &list[i]);
        switch (list[i].kind) {
        case OBJECT_TREE:
            draw_tree(s, c, &at, r);
            break;
        case OBJECT_POLE:
            draw_pole(c, &at, list[i].u, r);
            break;
        case OBJECT_SIGNPOST:
            draw_signpost(c, &at, r);
            break;
        case OBJECT_CAR:
            draw_car(c, &at, r);
            break;
        case OBJECT_CAR_ACROSS:
            draw_car_across(c, &at, r);
            break;
        }
    }
}
