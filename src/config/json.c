/* The table written out for machines: the resolved configuration, and the JSON schema that editors check a configuration with. */
#include <stdlib.h>

#include "config/value.h"

/* ---- one key's schema ---- */

static void write_choices(FILE *f, const config_key *key, bool nullable) {
    const char *comma = "";
    fputs(", \"enum\": [", f);
    for (const config_choice *choice = key->choices; choice->name != NULL; choice++) {
        if (choice->value == CHOICE_NOT_SUPPORTED) continue;
        fputs(comma, f);
        if (key->type == TYPE_NAME) config_write_string(f, choice->name);
        if (key->type == TYPE_INTEGER) fputs(choice->name, f);
        comma = ", ";
    }
    fputs(nullable ? ", null]" : "]", f);
}

static void write_range(FILE *f, const config_key *key) {
    fputs(key->above_low ? ", \"exclusiveMinimum\": " : ", \"minimum\": ", f);
    config_write_number(f, key->low);
    fputs(key->below_high ? ", \"exclusiveMaximum\": " : ", \"maximum\": ", f);
    config_write_number(f, key->high);
}

/* "type" and limits of a single value or of a list's item. */
static void write_type(FILE *f, const config_key *key, bool nullable) {
    static const char *const names[] = {
        [TYPE_BOOL] = "boolean", [TYPE_INTEGER] = "integer", [TYPE_NUMBER] = "number", [TYPE_TEXT] = "string", [TYPE_NAME] = "string"};
    fprintf(f, nullable ? "\"type\": [\"%s\", \"null\"]" : "\"type\": \"%s\"", names[key->type]);
    if (key->type == TYPE_TEXT) fprintf(f, ", \"maxLength\": %d", CONFIG_TEXT - 1);
    if (key->choices != NULL) {
        write_choices(f, key, nullable);
    } else if (key->type == TYPE_INTEGER || key->type == TYPE_NUMBER) {
        write_range(f, key);
    }
}

static void write_property(FILE *f, const config_key *key) {
    fputs("{\"description\": ", f);
    config_write_string(f, key->help);
    fputs(", ", f);
    if (key->max_items > 0) {
        fprintf(f, "\"type\": %s, \"items\": {", key->nullable ? "[\"array\", \"null\"]" : "\"array\"");
        write_type(f, key, false);
        fprintf(f, "}, \"minItems\": %d, \"maxItems\": %d%s", key->min_items, key->max_items,
                key->distinct ? ", \"uniqueItems\": true" : "");
    } else {
        write_type(f, key, key->nullable);
    }
    fprintf(f, ", \"default\": %s}", key->fallback);
}

/* ---- whole documents ---- */

/* A line for each key of a section (NULL: the top level): its value in c, or its schema where c is NULL. */
static void write_members(FILE *f, const config_section *section, const char *indent, const config *c) {
    const char *comma = "";
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        if (config_section_of(key) != section) continue;
        fprintf(f, "%s%s\"%s\": ", comma, indent, config_leaf(key));
        if (c != NULL) {
            config_write_value(f, key, c);
        } else {
            write_property(f, key);
        }
        comma = ",\n";
    }
}

static void write_config(FILE *f, const config *c) {
    fputs("{\n", f);
    write_members(f, NULL, "  ", c);
    for (int i = 0; i < config_section_count; i++) {
        fprintf(f, ",\n  \"%s\": {\n", config_sections[i].name);
        write_members(f, &config_sections[i], "    ", c);
        fputs("\n  }", f);
    }
    fputs("\n}\n", f);
}

static void write_schema(FILE *f) {
    fputs("{\n"
          "  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
          "  \"title\": \"entrain configuration\",\n"
          "  \"type\": \"object\",\n"
          "  \"additionalProperties\": false,\n"
          "  \"properties\": {\n"
          "    \"$schema\": {\"type\": \"string\"},\n"
          "    \"$comment\": {\"type\": \"string\"},\n",
          f);
    write_members(f, NULL, "    ", NULL);
    for (int i = 0; i < config_section_count; i++) {
        fprintf(f, ",\n    \"%s\": {\n      \"description\": ", config_sections[i].name);
        config_write_string(f, config_sections[i].help);
        fputs(",\n"
              "      \"type\": \"object\",\n"
              "      \"additionalProperties\": false,\n"
              "      \"properties\": {\n"
              "        \"$comment\": {\"type\": \"string\"},\n",
              f);
        write_members(f, &config_sections[i], "        ", NULL);
        fputs("\n      }\n    }", f);
    }
    fputs("\n  }\n}\n", f);
}

/* The text that write_config (c given) or write_schema (c NULL) writes; NULL when out of memory. */
static char *written(const config *c) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) return NULL;
    if (c != NULL) {
        write_config(f, c);
    } else {
        write_schema(f);
    }
    const bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

char *config_to_json(const config *c) {
    return written(c);
}

char *config_schema(void) {
    return written(NULL);
}
