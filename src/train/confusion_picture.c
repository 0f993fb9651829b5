/* The matrix as a picture: see confusion.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "train/confusion.h"
#include "train/lettering.h"
#include "train/pictures.h"

static const uint8_t black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
static const uint8_t line[3] = {200, 200, 200}, absent[3] = {232, 232, 232}, edge[3] = {96, 96, 96};
static const char title[] = "rows: truth, columns: prediction, colours: % of the row, grey: not in the truth";

/* Sizes in pixels. */
typedef struct layout {
    int cell, scale; /* of letters */
    bool numbers;    /* percentages in the cells */
    int names;       /* length of the longest name */
    int head, left, top;
} layout;

static layout layout_make(const shard_info *info) {
    layout l = {.cell = 9, .scale = 1};
    if (info->classes <= 64) l.cell = 14;
    if (info->classes <= 24) l = (layout){.cell = 36, .scale = 2, .numbers = true};
    for (int k = 0; k < info->classes; k++) {
        const int length = lettering_length(info->names[k], l.scale);
        if (length > l.names) l.names = length;
    }
    l.head = 3 * LETTER_HEIGHT * l.scale + 4 * l.cell;
    l.left = l.names + l.cell;
    l.top = l.head + l.names + l.cell / 2;
    return l;
}

static void fill(image *rgb, int y, int x, int h, int w, const uint8_t color[3]) {
    for (int v = y; v < y + h; v++)
        for (int u = x; u < x + w; u++) memcpy(rgb->data + ((size_t)v * (size_t)rgb->width + (size_t)u) * 3, color, 3);
}

/* From white over blue to nearly black; the root shows the small confusions too. */
static void shade(double part, uint8_t color[3]) {
    const double t = sqrt(part);
    color[0] = (uint8_t)(255.0 * (t < 0.5 ? 1.0 - 1.8 * t : 0.1 * (2.0 - 2.0 * t)) + 0.5);
    color[1] = (uint8_t)(255.0 * (1.0 - 0.9 * t) + 0.5);
    color[2] = (uint8_t)(255.0 * (1.0 - 0.6 * t) + 0.5);
}

static void draw_number(image *rgb, const layout *l, int y, int x, double part) {
    char text[8];
    (void)snprintf(text, sizeof text, "%.0f", 100.0 * part);
    const int room = l->cell - lettering_length(text, 1);
    lettering_draw(rgb, y + (l->cell - LETTER_HEIGHT) / 2, x + (room + 1) / 2, text, 1, false, part > 0.2 ? white : black);
}

/* The lines around a cell. */
static void outline(image *rgb, const layout *l, int y, int x) {
    fill(rgb, y - 1, x - 1, 1, l->cell + 1, edge);
    fill(rgb, y + l->cell - 1, x - 1, 1, l->cell + 1, edge);
    fill(rgb, y, x - 1, l->cell - 1, 1, edge);
    fill(rgb, y, x + l->cell - 1, l->cell - 1, 1, edge);
}

static void draw_row(image *rgb, const layout *l, const int64_t *row, int classes, int y) {
    int64_t sum = 0;
    for (int k = 0; k < classes; k++) sum += row[k];
    for (int k = 0; k < classes; k++) {
        const int x = l->left + k * l->cell;
        const double part = sum > 0 ? (double)row[k] / (double)sum : 0.0;
        uint8_t color[3];
        shade(part, color);
        fill(rgb, y, x, l->cell - 1, l->cell - 1, sum > 0 ? color : absent);
        if (l->numbers && part >= 0.005) draw_number(rgb, l, y, x, part);
    }
}

/* A few shades and what they stand for. */
static void draw_legend(image *rgb, const layout *l) {
    static const int percents[] = {0, 1, 5, 10, 25, 50, 100};
    const int side = l->cell > 3 * LETTER_WIDTH ? l->cell : 3 * LETTER_WIDTH + 2, y = 2 * LETTER_HEIGHT * l->scale + l->cell / 2;
    for (int i = 0; i < (int)(sizeof percents / sizeof percents[0]); i++) {
        uint8_t color[3];
        char text[8];
        const int x = l->cell + i * (side + 2);
        shade(percents[i] / 100.0, color);
        fill(rgb, y, x, side, side, black);
        fill(rgb, y + 1, x + 1, side - 2, side - 2, color);
        (void)snprintf(text, sizeof text, "%d", percents[i]);
        lettering_draw(rgb, y + (side - LETTER_HEIGHT) / 2, x + (side - lettering_length(text, 1) + 1) / 2, text, 1, false,
                       percents[i] > 20 ? white : black);
    }
}

static void draw(image *rgb, const layout *l, const int64_t *matrix, const shard_info *info) {
    const int middle = (l->cell - LETTER_HEIGHT * l->scale) / 2;
    memset(rgb->data, 255, (size_t)rgb->height * (size_t)rgb->width * 3);
    lettering_draw(rgb, LETTER_HEIGHT * l->scale / 2, l->cell, title, l->scale, false, black);
    draw_legend(rgb, l);
    fill(rgb, l->top - 1, l->left - 1, info->classes * l->cell + 1, info->classes * l->cell + 1, line);
    for (int k = 0; k < info->classes; k++) {
        const int y = l->top + k * l->cell, x = l->left + k * l->cell;
        const int length = lettering_length(info->names[k], l->scale);
        lettering_draw(rgb, y + middle, l->left - l->cell / 3 - length, info->names[k], l->scale, false, black);
        lettering_draw(rgb, l->top - l->cell / 3, x + middle, info->names[k], l->scale, true, black);
        draw_row(rgb, l, matrix + (size_t)k * (size_t)info->classes, info->classes, y);
    }
    for (int k = 0; k < info->classes; k++) outline(rgb, l, l->top + k * l->cell, l->left + k * l->cell);
}

entrain_status confusion_picture(const char *path, const int64_t *matrix, const shard_info *info, entrain_error *err) {
    const layout l = layout_make(info);
    const int words = lettering_length(title, l.scale) + 2 * l.cell, cells = l.left + (info->classes + 1) * l.cell;
    image rgb = {.height = l.top + (info->classes + 1) * l.cell, .width = cells > words ? cells : words, .channels = 3};
    rgb.data = malloc((size_t)rgb.height * (size_t)rgb.width * 3);
    if (rgb.data == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for the picture", path);
    draw(&rgb, &l, matrix, info);
    const entrain_status status = picture_write(path, &rgb, err);
    free(rgb.data);
    return status;
}
