/*
 * A table of classes from JSON:
 *   {"ignore_ids": [11], "void_id": 11, "submit_suffix": "",
 *    "classes": [{"name": "sky", "color": [128, 128, 128], "ids": [0]}, ...]}
 * or, where the colours of a label map are its labels, with label_colors in place of ids and ignore_label_colors in place of ignore_ids.
 * Every mistake is noted before any is told.
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "config/report.h"
#include "data/class_table_internal.h"

enum { WHERE = 96, NOBODY = -2, IGNORED = -1, SHOWN = 60 };

typedef struct reader {
    config_report report;
    class_table *t;
    int owner[256];            /* who has this id: a class, IGNORED or NOBODY */
    int with_ids, with_colors; /* how many classes */
} reader;

/* ---- pieces ---- */

/* Unknown and repeated keys of an object; "$comment" may stand anywhere. */
static void check_keys(reader *r, const cJSON *object, const char *where, const char *const *keys) {
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        config_guess guess = {0};
        bool known = strcmp(item->string, "$comment") == 0, repeated = false;
        for (int k = 0; keys[k] != NULL; k++) {
            known = known || strcmp(item->string, keys[k]) == 0;
            config_guess_try(&guess, item->string, keys[k]);
        }
        for (const cJSON *other = object->child; other != item; other = other->next)
            repeated = repeated || strcmp(other->string, item->string) == 0;
        const char *near = config_guess_name(&guess, item->string);
        if (!known)
            config_mistake(&r->report, "%s%.*s: unknown key%s%s%s", where, SHOWN, item->string, near != NULL ? "; did you mean " : "",
                           near != NULL ? near : "", near != NULL ? "?" : "");
        else if (repeated)
            config_mistake(&r->report, "%s%s: repeated key", where, item->string);
    }
}

/* A whole number from 0 to 255. */
static bool read_byte(reader *r, const cJSON *item, const char *where, int *out) {
    const double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (value >= 0 && value <= 255 && value == (int)value) {
        *out = (int)value;
        return true;
    }
    if (cJSON_IsNumber(item))
        config_mistake(&r->report, "%s: %g; expected a whole number from 0 to 255", where, item->valuedouble);
    else
        config_mistake(&r->report, "%s: expected a whole number from 0 to 255", where);
    return false;
}

static bool read_color(reader *r, const cJSON *item, const char *where, uint8_t out[3]) {
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 3) {
        config_mistake(&r->report, "%s: expected a colour, [red, green, blue]", where);
        return false;
    }
    bool good = true;
    for (int c = 0; c < 3; c++) {
        char place[WHERE];
        int value = 0;
        (void)snprintf(place, sizeof place, "%s[%d]", where, c);
        good = read_byte(r, cJSON_GetArrayItem(item, c), place, &value) && good;
        out[c] = (uint8_t)value;
    }
    return good;
}

/* A list with at least one item, or NULL and a mistake. */
static const cJSON *read_list(reader *r, const cJSON *item, const char *where, const char *what) {
    if (cJSON_IsArray(item) && item->child != NULL) return item->child;
    config_mistake(&r->report, "%s: expected a list of %s with at least one", where, what);
    return NULL;
}

/* Who has a value already: "class 3 (road)" or "those ignored". */
static void owner_name(const class_table *t, int owner, char text[WHERE]) {
    if (owner == IGNORED || owner == SHARD_IGNORE)
        (void)snprintf(text, WHERE, "those ignored");
    else
        (void)snprintf(text, WHERE, "class %d (%s)", owner, t->names[owner]);
}

/* ---- labels ---- */

/* The values that become class k, or are IGNORED. */
static void read_ids(reader *r, const cJSON *list, const char *where, int k) {
    int n = 0;
    for (const cJSON *item = read_list(r, list, where, "label values"); item != NULL; item = item->next, n++) {
        char place[WHERE], owner[WHERE];
        int id = 0;
        (void)snprintf(place, sizeof place, "%s[%d]", where, n);
        if (!read_byte(r, item, place, &id)) continue;
        if (r->owner[id] != NOBODY) {
            owner_name(r->t, r->owner[id], owner);
            config_mistake(&r->report, "%s: repeated; the value %d stands among %s already", place, id, owner);
            continue;
        }
        r->owner[id] = k;
        r->t->known[id] = true;
        r->t->to[id] = (uint8_t)(k == IGNORED ? SHARD_IGNORE : k);
        if (n == 0 && k != IGNORED) r->t->export_ids[k] = (uint8_t)id;
    }
}

static void read_label_colors(reader *r, const cJSON *list, const char *where, int k) {
    class_table *t = r->t;
    int n = 0;
    for (const cJSON *item = read_list(r, list, where, "colours"); item != NULL; item = item->next, n++) {
        char place[WHERE], owner[WHERE];
        uint8_t rgb[3];
        (void)snprintf(place, sizeof place, "%s[%d]", where, n);
        if (!read_color(r, item, place, rgb)) continue;
        int same = 0;
        while (same < t->label_color_count && memcmp(t->label_colors[same].rgb, rgb, 3) != 0) same++;
        if (same < t->label_color_count) {
            owner_name(t, t->label_colors[same].to, owner);
            config_mistake(&r->report, "%s: repeated; the colour %d %d %d stands among %s already", place, rgb[0], rgb[1], rgb[2], owner);
        } else if (same == CLASS_TABLE_COLORS) {
            config_mistake(&r->report, "%s: more than %d label colours", place, CLASS_TABLE_COLORS);
            return;
        } else {
            memcpy(t->label_colors[same].rgb, rgb, 3);
            t->label_colors[same].to = (uint8_t)(k == IGNORED ? SHARD_IGNORE : k);
            t->label_color_count++;
        }
    }
}

/* ---- classes ---- */

static void read_name(reader *r, const cJSON *item, const char *where, int k) {
    const char *name = cJSON_IsString(item) ? item->valuestring : "";
    bool plain = name[0] != '\0' && strlen(name) < SHARD_NAME;
    for (const char *p = name; *p != '\0'; p++) plain = plain && !iscntrl((unsigned char)*p);
    if (!plain) {
        config_mistake(&r->report, "%s.name: expected a text of 1 to %d bytes", where, SHARD_NAME - 1);
        return;
    }
    for (int other = 0; other < k; other++)
        if (strcmp(r->t->names[other], name) == 0)
            config_mistake(&r->report, "%s.name: repeated; class %d is called '%s' too", where, other, name);
    (void)snprintf(r->t->names[k], SHARD_NAME, "%s", name);
}

static void read_class(reader *r, const cJSON *item, int k) {
    static const char *const keys[] = {"name", "color", "ids", "label_colors", NULL};
    char where[WHERE], place[WHERE];
    (void)snprintf(where, sizeof where, "classes[%d]", k);
    if (!cJSON_IsObject(item)) {
        config_mistake(&r->report, "%s: expected an object with name, color and ids", where);
        return;
    }
    (void)snprintf(place, sizeof place, "%s.", where);
    check_keys(r, item, place, keys);
    read_name(r, cJSON_GetObjectItemCaseSensitive(item, "name"), where, k);
    (void)snprintf(place, sizeof place, "%s.color", where);
    (void)read_color(r, cJSON_GetObjectItemCaseSensitive(item, "color"), place, r->t->colors[k]);

    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(item, "ids"), *colors = cJSON_GetObjectItemCaseSensitive(item, "label_colors");
    if ((ids == NULL) == (colors == NULL))
        config_mistake(&r->report, "%s: expected either ids or label_colors: what its label maps hold", where);
    r->with_ids += ids != NULL;
    r->with_colors += colors != NULL;
    (void)snprintf(place, sizeof place, "%s.%s", where, ids != NULL ? "ids" : "label_colors");
    if (ids != NULL)
        read_ids(r, ids, place, k);
    else if (colors != NULL)
        read_label_colors(r, colors, place, k);
}

static void read_classes(reader *r, const cJSON *list) {
    int k = 0;
    const int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > SHARD_MAX_CLASSES) {
        config_mistake(&r->report, "classes: %d; expected a list of 1 to %d classes", count, SHARD_MAX_CLASSES);
        return;
    }
    r->t->classes = count;
    for (const cJSON *item = list->child; item != NULL; item = item->next) read_class(r, item, k++);
    if (r->with_ids > 0 && r->with_colors > 0)
        config_mistake(&r->report, "classes: %d with ids and %d with label_colors; all need the same", r->with_ids, r->with_colors);
}

/* ---- the whole ---- */

static void read_suffix(reader *r, const cJSON *item) {
    const char *suffix = cJSON_IsString(item) ? item->valuestring : "/";
    bool plain = strlen(suffix) < SHARD_NAME;
    for (const char *p = suffix; *p != '\0'; p++) plain = plain && *p != '/' && !iscntrl((unsigned char)*p);
    if (!plain) config_mistake(&r->report, "submit_suffix: expected a text of at most %d bytes without '/'", SHARD_NAME - 1);
    if (plain) (void)snprintf(r->t->submit_suffix, SHARD_NAME, "%s", suffix);
}

/* What predict writes where nothing is known: void_id, or the first of ignore_ids, or 255; never a class's own id. */
static void finish_exports(reader *r, const cJSON *root) {
    class_table *t = r->t;
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(root, "void_id");
    const cJSON *ignored = cJSON_GetObjectItemCaseSensitive(root, "ignore_ids");
    int id = SHARD_IGNORE;
    if (t->label_color_count > 0)
        for (int k = 0; k < t->classes; k++) t->export_ids[k] = (uint8_t)k;
    if (given != NULL && !read_byte(r, given, "void_id", &id)) return;
    if (given == NULL && cJSON_IsArray(ignored) && cJSON_IsNumber(ignored->child)) id = ignored->child->valueint;
    const char *usual = given == NULL ? ", which it is where it is not given," : "";
    for (int k = 0; k < t->classes; k++) {
        if (t->export_ids[k] == id)
            config_mistake(&r->report, "void_id: %d%s is what class %d (%s) is exported as; give another", id, usual, k, t->names[k]);
        else if (r->owner[id] == k) /* another value of the class: read back, it would be the class again */
            config_mistake(&r->report, "void_id: %d%s is a value of class %d (%s); give another", id, usual, k, t->names[k]);
    }
    memset(t->export_ids + t->classes, id & 255, sizeof t->export_ids - (size_t)t->classes);
}

static void read_root(reader *r, const cJSON *root) {
    static const char *const keys[] = {"classes", "ignore_ids", "ignore_label_colors", "void_id", "submit_suffix", NULL};
    check_keys(r, root, "", keys);
    read_classes(r, cJSON_GetObjectItemCaseSensitive(root, "classes"));
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(root, "ignore_ids");
    const cJSON *colors = cJSON_GetObjectItemCaseSensitive(root, "ignore_label_colors");
    const cJSON *suffix = cJSON_GetObjectItemCaseSensitive(root, "submit_suffix");
    if (ids != NULL && r->with_colors > 0)
        config_mistake(&r->report, "ignore_ids: the classes have label_colors: give ignore_label_colors");
    if (colors != NULL && r->with_ids > 0) config_mistake(&r->report, "ignore_label_colors: the classes have ids: give ignore_ids");
    if (ids != NULL && r->with_colors == 0) read_ids(r, ids, "ignore_ids", IGNORED);
    if (colors != NULL && r->with_ids == 0) read_label_colors(r, colors, "ignore_label_colors", IGNORED);
    if (suffix != NULL) read_suffix(r, suffix);
    if (r->report.mistakes == 0) finish_exports(r, root);
}

static void syntax_error(reader *r, const char *text, const char *at) {
    int line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    config_mistake(&r->report, "line %d, column %d or just before: not valid JSON (a comma after the last item is not, nor are comments)",
                   line, column);
}

entrain_status class_table_parse(const char *json, const char *source, class_table *out, entrain_error *err) {
    reader r = {.t = out};
    const char *end = json;
    memset(out, 0, sizeof *out);
    for (int id = 0; id < 256; id++) r.owner[id] = NOBODY;
    cJSON *root = cJSON_ParseWithLengthOpts(json, strlen(json) + 1, &end, true);
    if (root == NULL)
        syntax_error(&r, json, end);
    else if (!cJSON_IsObject(root))
        config_mistake(&r.report, "expected an object, {...}, around the whole table");
    else
        read_root(&r, root);
    cJSON_Delete(root);
    const int mistakes = r.report.mistakes;
    if (mistakes == 0) return ENTRAIN_OK;
    (void)error_set(err, ENTRAIN_DATA, "%.512s: %d mistake%s in the table of classes:", source, mistakes, mistakes == 1 ? "" : "s");
    (void)error_add(err, ENTRAIN_DATA, "%s", r.report.lines.text);
    int told = 1;
    for (const char *p = r.report.lines.text; *p != '\0'; p++) told += *p == '\n';
    return told < mistakes ? error_add(err, ENTRAIN_DATA, "... and %d more", mistakes - told) : ENTRAIN_DATA;
}
