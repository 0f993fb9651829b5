/* Finding a table of classes, and mapping label maps with it: one pass, one look-up a pixel. */
#include "data/class_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/class_table_internal.h"

entrain_status class_table_builtin(const char *name, class_table *out, entrain_error *err) {
    char names[256] = "";
    for (const class_table_source *s = class_table_sources; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            char source[128];
            (void)snprintf(source, sizeof source, "datasets/%s/classes.json", name);
            return class_table_parse(s->json, source, out, err);
        }
        const size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", s->name);
    }
    return error_set(err, ENTRAIN_USAGE, "no table of classes '%s' is built in; there are %s.", name, names);
}

entrain_status class_table_read(const char *path, class_table *out, entrain_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    entrain_status status = file_read(path, &bytes, &size, err);
    if (status != ENTRAIN_OK) return status;
    char *text = malloc(size + 1);
    if (text == NULL) {
        status = error_set(err, ENTRAIN_DEVICE, "%s: out of memory while reading the table of classes", path);
    } else if (memchr(bytes, '\0', size) != NULL) {
        status = error_set(err, ENTRAIN_DATA, "%s: not a table of classes: the file holds a zero byte, so it is no JSON text", path);
    } else {
        memcpy(text, bytes, size);
        text[size] = '\0';
        status = class_table_parse(text, path, out, err);
    }
    free(text);
    free(bytes);
    return status;
}

void class_table_describe(const class_table *t, shard_info *info) {
    info->classes = t->classes;
    for (int k = 0; k < t->classes; k++) {
        memcpy(info->names[k], t->names[k], sizeof info->names[k]);
        memcpy(info->colors[k], t->colors[k], sizeof info->colors[k]);
    }
    memcpy(info->export_ids, t->export_ids, sizeof info->export_ids);
}

/* ---- maps of one channel ---- */

/* "0 to 33, 255": the values a table knows. */
static void list_known(const class_table *t, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int first = 0; first < 256 && used < size; first++) {
        if (!t->known[first]) continue;
        int last = first;
        while (last < 255 && t->known[last + 1]) last++;
        const char *comma = used > 0 ? ", " : "";
        used += (size_t)(last > first ? snprintf(text + used, size - used, "%s%d to %d", comma, first, last)
                                      : snprintf(text + used, size - used, "%s%d", comma, first));
        first = last;
    }
}

static entrain_status map_values(const class_table *t, image *label, const char *path, entrain_error *err) {
    const size_t pixels = (size_t)label->height * (size_t)label->width, width = (size_t)label->width;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t value = label->data[i];
        if (!t->known[value]) {
            char known[512];
            list_known(t, known, sizeof known);
            return error_set(err, ENTRAIN_DATA, "%s: the pixel at x=%zu, y=%zu has the value %d; the table of classes has %s.", path,
                             i % width, i / width, value, known);
        }
        label->data[i] = t->to[value];
    }
    return ENTRAIN_OK;
}

/* ---- maps of colours ---- */

enum { SLOTS = 1024, NO_COLOR = -1 }; /* slots: a power of two well above CLASS_TABLE_COLORS */

typedef struct color_slots {
    int32_t color[SLOTS]; /* 0xRRGGBB or NO_COLOR */
    uint8_t to[SLOTS];
} color_slots;

static int32_t pack_color(const uint8_t rgb[3]) {
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2];
}

/* The slot of a colour, or the empty one where it would go. */
static unsigned find_slot(const color_slots *s, int32_t color) {
    unsigned slot = ((uint32_t)color * UINT32_C(2654435761)) >> 22;
    while (s->color[slot] != color && s->color[slot] != NO_COLOR) slot = (slot + 1) % SLOTS;
    return slot;
}

static void fill_slots(const class_table *t, color_slots *s) {
    for (int i = 0; i < SLOTS; i++) s->color[i] = NO_COLOR;
    for (int i = 0; i < t->label_color_count; i++) {
        const int32_t color = pack_color(t->label_colors[i].rgb);
        const unsigned slot = find_slot(s, color);
        s->color[slot] = color;
        s->to[slot] = t->label_colors[i].to;
    }
}

/* Class maps are written over the colours that have been read already: they never overtake them. */
static entrain_status map_colors(const class_table *t, image *label, const char *path, entrain_error *err) {
    const size_t pixels = (size_t)label->height * (size_t)label->width, width = (size_t)label->width;
    color_slots slots;
    fill_slots(t, &slots);
    int32_t last = NO_COLOR; /* neighbours are mostly alike */
    uint8_t to = SHARD_IGNORE;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *rgb = label->data + 3 * i;
        const int32_t color = pack_color(rgb);
        if (color != last) {
            const unsigned slot = find_slot(&slots, color);
            if (slots.color[slot] == NO_COLOR)
                return error_set(err, ENTRAIN_DATA,
                                 "%s: the pixel at x=%zu, y=%zu has the colour %d %d %d, which is none of the table's %d label colours.",
                                 path, i % width, i / width, rgb[0], rgb[1], rgb[2], t->label_color_count);
            last = color;
            to = slots.to[slot];
        }
        label->data[i] = to;
    }
    label->channels = 1;
    return ENTRAIN_OK;
}

entrain_status class_table_map(const class_table *t, image *label, const char *path, entrain_error *err) {
    const int channels = t->label_color_count > 0 ? 3 : 1;
    if (label->channels != channels)
        return error_set(err, ENTRAIN_DATA, "%s: a label map of %d channel(s); this table of classes is for %s.", path, label->channels,
                         channels == 1 ? "numbers, one channel" : "colours, three channels");
    return channels == 1 ? map_values(t, label, path, err) : map_colors(t, label, path, err);
}
