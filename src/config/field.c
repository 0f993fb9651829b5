/* A value's place in the struct and its JSON text. Only this file knows how fields are stored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

static size_t item_size(config_storage storage) {
    switch (storage) {
    case STORE_BOOL:
        return sizeof(bool);
    case STORE_INT:
        return sizeof(int);
    case STORE_ENUM:
        return sizeof(unsigned);
    case STORE_INT64:
        return sizeof(int64_t);
    case STORE_UINT64:
        return sizeof(uint64_t);
    case STORE_DOUBLE:
        return sizeof(double);
    case STORE_TEXT:
        return CONFIG_TEXT;
    }
    return 0;
}

static void store(const config_key *key, config *c, int index, const cJSON *item) {
    void *field = (char *)c + key->offset + item_size(key->storage) * (size_t)index;
    if (key->storage == STORE_TEXT) {
        (void)snprintf(field, CONFIG_TEXT, "%s", item->valuestring);
        return;
    }
    double value = item->valuedouble;
    if (key->type == TYPE_BOOL) value = cJSON_IsTrue(item);
    if (key->type == TYPE_NAME) {
        const config_choice *choice = config_find_choice(key, item);
        value = choice == NULL ? 0 : choice->value;
    }
    switch (key->storage) {
    case STORE_BOOL:
        *(bool *)field = value != 0;
        break;
    case STORE_INT:
        *(int *)field = (int)value;
        break;
    case STORE_ENUM:
        *(unsigned *)field = (unsigned)value;
        break;
    case STORE_INT64:
        *(int64_t *)field = (int64_t)value;
        break;
    case STORE_UINT64:
        *(uint64_t *)field = (uint64_t)value;
        break;
    case STORE_DOUBLE:
        *(double *)field = value;
        break;
    case STORE_TEXT:
        break;
    }
}

static double load(const config_key *key, const config *c, int index) {
    const void *field = (const char *)c + key->offset + item_size(key->storage) * (size_t)index;
    switch (key->storage) {
    case STORE_BOOL:
        return *(const bool *)field;
    case STORE_INT:
        return *(const int *)field;
    case STORE_ENUM:
        return *(const unsigned *)field;
    case STORE_INT64:
        return (double)*(const int64_t *)field;
    case STORE_UINT64:
        return (double)*(const uint64_t *)field;
    case STORE_DOUBLE:
        return *(const double *)field;
    case STORE_TEXT:
        return *(const char *)field;
    }
    return 0;
}

void config_store(const config_key *key, const cJSON *value, config *c) {
    const bool list = key->max_items > 0, null = cJSON_IsNull(value);
    /* Clear what an earlier, longer value may have left: equal configurations are equal bytes. */
    memset((char *)c + key->offset, 0, item_size(key->storage) * (size_t)(list ? key->max_items : 1));
    int count = 0;
    if (!null && list) {
        for (const cJSON *item = value->child; item != NULL; item = item->next) store(key, c, count++, item);
    } else if (!null) {
        store(key, c, 0, value);
    }
    if (key->count_offset > 0) memcpy((char *)c + key->count_offset, &count, sizeof count);
}

void config_number_text(double value, char text[32]) {
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, 32, "%.*g", digits, value);
        if (!isfinite(value) || strtod(text, NULL) == value) break;
    }
    char *comma = strchr(text, ','); /* a locale's decimal comma */
    if (comma != NULL) *comma = '.';
}

void config_write_number(FILE *f, double value) {
    char text[32];
    config_number_text(value, text);
    fputs(text, f);
}

void config_write_string(FILE *f, const char *text) {
    fputc('"', f);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') fputc('\\', f);
        if (c < 0x20) {
            fprintf(f, "\\u%04x", c);
        } else {
            fputc(c, f);
        }
    }
    fputc('"', f);
}

static void write_item(FILE *f, const config_key *key, const config *c, int index) {
    const double value = load(key, c, index);
    switch (key->type) {
    case TYPE_BOOL:
        fputs(value != 0 ? "true" : "false", f);
        break;
    case TYPE_INTEGER:
    case TYPE_NUMBER:
        config_write_number(f, value);
        break;
    case TYPE_TEXT:
        config_write_string(f, (const char *)c + key->offset);
        break;
    case TYPE_NAME:
        config_write_string(f, config_name(key->path, (int)value));
        break;
    }
}

void config_write_value(FILE *f, const config_key *key, const config *c) {
    int count = key->max_items > 0 ? key->max_items : 1;
    if (key->count_offset > 0) memcpy(&count, (const char *)c + key->count_offset, sizeof count);
    bool null = key->nullable;
    for (int i = 0; null && i < count; i++) null = load(key, c, i) == 0;
    if (null) {
        fputs("null", f);
        return;
    }
    if (key->max_items > 0) fputc('[', f);
    for (int i = 0; i < count; i++) {
        if (i > 0) fputs(", ", f);
        write_item(f, key, c, i);
    }
    if (key->max_items > 0) fputc(']', f);
}
