/*
 * From JSON text and --set texts to the struct. The tree is walked once; every name is looked up in the table, every value goes
 * through its row, and every mistake is noted before any is told.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/report.h"
#include "config/value.h"

enum { PATH = 160, WHY = 512, SHOWN = 90, FILE_MAX = 64 * 1024 };

static const double norm_eps = 1e-5, norm_momentum = 0.1;

/* ---- the file ---- */

/* The keys of a section (NULL: the top level): "model has backbone, output_stride, ...". */
static void list_names(const config_section *section, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s has ", section == NULL ? "the top level" : section->name);
    const char *comma = "";
    for (int i = 0; i < config_key_count && used < size; i++) {
        if (config_section_of(&config_keys[i]) != section) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", comma, config_leaf(&config_keys[i]));
        comma = ", ";
    }
    for (int i = 0; section == NULL && i < config_section_count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, ", %s", config_sections[i].name);
    }
}

/* Note an unknown key, where: its path, or the whole --set. */
static void unknown_key(config_report *r, const char *where, const char *path) {
    const char *near = config_nearest_key(path);
    if (near != NULL && strcmp(near, path) == 0) {
        const int section = (int)strcspn(near, ".");
        config_mistake(r, "%.*s: unknown key; sections are nested: {\"%.*s\": {\"%s\": ...}}", SHOWN, where, section, near,
                       near + section + 1);
    } else if (near != NULL) {
        config_mistake(r, "%.*s: unknown key; did you mean %s?", SHOWN, where, near);
    } else {
        char names[WHY];
        list_names(config_find_section(path, strcspn(path, ".")), names, sizeof names);
        config_mistake(r, "%.*s: unknown key; %s", SHOWN, where, names);
    }
}

/* Check a value and store it; where: as above. */
static void set_key(config_report *r, const char *where, const config_key *key, const cJSON *value, config *out) {
    char why[WHY];
    if (config_check_value(key, value, why, sizeof why)) {
        config_store(key, value, out);
    } else {
        r->bad[key - config_keys] = true;
        config_mistake(r, "%.*s: %s", SHOWN, where, why);
    }
}

/* Does the name stand in the object before this item already? The second time is noted, further ones are not. */
static bool repeated(config_report *r, const cJSON *object, const cJSON *item, const char *path) {
    int before = 0;
    for (const cJSON *other = object->child; other != item; other = other->next) before += strcmp(other->string, item->string) == 0;
    if (before == 1) config_mistake(r, "%.*s: repeated key; it stands more than once in the file", SHOWN, path);
    return before > 0;
}

/* "$schema" and "$comment" are for people and editors: any text. */
static void read_note(config_report *r, const char *path, const cJSON *item) {
    if (!cJSON_IsString(item)) config_mistake(r, "%s: expected text", path);
}

static void read_section(config_report *r, const config_section *section, const cJSON *object, config *out) {
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        char path[PATH];
        (void)snprintf(path, sizeof path, "%s.%s", section->name, item->string);
        if (repeated(r, object, item, path)) continue;
        const config_key *key = config_find(path);
        if (strcmp(item->string, "$comment") == 0) {
            read_note(r, path, item);
        } else if (key == NULL) {
            unknown_key(r, path, path);
        } else {
            set_key(r, key->path, key, item, out);
        }
    }
}

static void read_top(config_report *r, const cJSON *object, config *out) {
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        const char *name = item->string;
        if (repeated(r, object, item, name)) continue;
        const bool nested = strchr(name, '.') != NULL;
        const config_section *section = config_find_section(name, strlen(name));
        const config_key *key = nested ? NULL : config_find(name);
        if (strcmp(name, "$schema") == 0 || strcmp(name, "$comment") == 0) {
            read_note(r, name, item);
        } else if (section != NULL && cJSON_IsObject(item)) {
            read_section(r, section, item, out);
        } else if (section != NULL) {
            config_mistake(r, "%s: expected an object, {\"%s\": {...}}, with the keys of this section", name, name);
        } else if (key != NULL) {
            set_key(r, key->path, key, item, out);
        } else {
            unknown_key(r, name, name);
        }
    }
}

/*
 * Where the text stops being JSON. cJSON points there, but one character too far where it missed the opening quote of a name: the
 * character it refused then stands right after '{' or ',' (blanks aside) and cannot be part of a number.
 */
static const char *refused(const char *text, const char *at) {
    if (at == text || strchr("\"[{:, \t\r\n0123456789", at[-1]) != NULL) return at;
    const char *before = at - 1;
    while (before > text && strchr(" \t\r\n", before[-1]) != NULL) before--;
    return before > text && strchr("{,", before[-1]) != NULL ? at - 1 : at;
}

/* A syntax error, by line and column (from 1, in bytes) and what stands there. */
static void syntax_error(config_report *r, const char *text, const char *at) {
    int line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    const int shown = (int)strcspn(at, "\r\n");
    config_mistake(
        r, "line %d, column %d: not valid JSON; found %s%.*s (comments, single quotes and a comma after the last item are not JSON)", line,
        column,
        *at == '\0'  ? "the end of the text"
        : shown == 0 ? "the end of the line"
                     : "",
        shown < 24 ? shown : 24, at);
}

static void read_text(config_report *r, const char *text, config *out) {
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, strlen(text) + 1, &end, true);
    if (root == NULL) {
        syntax_error(r, text, refused(text, end));
    } else if (cJSON_IsObject(root)) {
        read_top(r, root, out);
    } else {
        config_mistake(r, "line 1: expected an object, {...}, around the whole configuration");
    }
    cJSON_Delete(root);
}

/* ---- --set ---- */

/* JSON where the text is JSON, else the text as a string. NULL when out of memory. */
static cJSON *json_or_word(const char *text) {
    cJSON *value = cJSON_ParseWithLengthOpts(text, strlen(text) + 1, NULL, true);
    return value != NULL ? value : cJSON_CreateString(text);
}

/* For keys that take a list: "a,b,c" without brackets. */
static cJSON *bare_list(const char *text) {
    cJSON *list = cJSON_CreateArray();
    char *copy = strdup(text), *rest = copy;
    while (list != NULL && rest != NULL) {
        if (!cJSON_AddItemToArray(list, json_or_word(strsep(&rest, ",")))) {
            cJSON_Delete(list);
            list = NULL;
        }
    }
    free(copy);
    return list;
}

static entrain_status read_override(config_report *r, const char *text, config *out, entrain_error *err) {
    char where[SHOWN + 1], path[PATH];
    (void)snprintf(where, sizeof where, "--set %.60s%s", text, strlen(text) > 60 ? "..." : "");
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        config_mistake(r, "%s: expected key.path=value", where);
        return ENTRAIN_OK;
    }
    (void)snprintf(path, sizeof path, "%.*s", (int)(equals - text < PATH ? equals - text : PATH), text);
    const config_key *key = config_find(path);
    const config_section *section = config_find_section(path, strlen(path));
    if (section != NULL) {
        char names[WHY];
        list_names(section, names, sizeof names);
        config_mistake(r, "%s: expected one key, not a whole section; %s", where, names);
        return ENTRAIN_OK;
    }
    if (key == NULL) {
        unknown_key(r, where, path);
        return ENTRAIN_OK;
    }
    cJSON *value = json_or_word(equals + 1);
    if (key->max_items > 0 && value != NULL && !cJSON_IsArray(value) && !cJSON_IsObject(value) && !cJSON_IsNull(value)) {
        cJSON_Delete(value);
        value = bare_list(equals + 1);
    }
    if (value == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory while reading the configuration");
    set_key(r, where, key, value, out);
    cJSON_Delete(value);
    return ENTRAIN_OK;
}

/* ---- all of it ---- */

static entrain_status set_defaults(config *out, entrain_error *err) {
    memset(out, 0, sizeof *out);
    out->norm.eps = norm_eps;
    out->norm.momentum = norm_momentum;
    for (int i = 0; i < config_key_count; i++) {
        cJSON *value = cJSON_Parse(config_keys[i].fallback);
        if (value == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory while reading the configuration");
        config_store(&config_keys[i], value, out);
        cJSON_Delete(value);
    }
    config_derive(out);
    return ENTRAIN_OK;
}

entrain_status config_parse(const char *text, const char *source, const char *const *overrides, int override_count, config *out,
                            entrain_error *err) {
    config_report report = {0};
    entrain_status status = set_defaults(out, err);
    if (status != ENTRAIN_OK) return status;
    read_text(&report, text, out);
    for (int i = 0; i < override_count && status == ENTRAIN_OK; i++) status = read_override(&report, overrides[i], out, err);
    if (status != ENTRAIN_OK) return status;
    config_derive(out);
    config_check(out, &report);
    return config_verdict(&report, source, err);
}

entrain_status config_read_file(const char *path, char **text, entrain_error *err) {
    *text = NULL;
    FILE *f = fopen(path, "rb");
    if (f == NULL) return error_set(err, ENTRAIN_CONFIG, "%s: cannot open the configuration: %s", path, strerror(errno));
    char *buffer = malloc(FILE_MAX + 1);
    errno = 0;
    const size_t size = buffer == NULL ? 0 : fread(buffer, 1, FILE_MAX + 1, f);
    entrain_status status = ENTRAIN_OK;
    if (buffer == NULL) {
        status = error_set(err, ENTRAIN_DEVICE, "%s: out of memory while reading the configuration", path);
    } else if (ferror(f)) {
        status = error_set(err, ENTRAIN_CONFIG, "%s: cannot read the configuration: %s", path, strerror(errno));
    } else if (size > FILE_MAX) {
        status = error_set(err, ENTRAIN_CONFIG, "%s: not a configuration: larger than %d KiB", path, FILE_MAX / 1024);
    } else if (memchr(buffer, '\0', size) != NULL) {
        status = error_set(err, ENTRAIN_CONFIG, "%s: not a configuration: the file holds a zero byte, so it is no JSON text", path);
    }
    (void)fclose(f);
    if (status != ENTRAIN_OK) {
        free(buffer);
        return status;
    }
    buffer[size] = '\0';
    *text = buffer;
    return ENTRAIN_OK;
}
