/* The check of one value against its row, and the words for what a row takes and what was found instead. */
#include "config/value.h"

#include <math.h>
#include <string.h>

#include "config/report.h"

enum { FOUND_TEXT = 72 };

/* ---- what a key takes ---- */

static void append(char *text, size_t size, const char *part) {
    size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "%s", part);
}

/* "a, b, c": the supported choices. */
static void append_choices(char *text, size_t size, const config_choice *choices) {
    const char *comma = "";
    for (; choices->name != NULL; choices++) {
        if (choices->value == CHOICE_NOT_SUPPORTED) continue;
        append(text, size, comma);
        append(text, size, choices->name);
        comma = ", ";
    }
}

/* "one of " before several choices, nothing before a single one. */
static const char *one_of(const config_choice *choices) {
    int supported = 0;
    for (; choices->name != NULL; choices++) supported += choices->value != CHOICE_NOT_SUPPORTED;
    return supported > 1 ? "one of " : "";
}

static void append_limit(char *text, size_t size, double value) {
    char digits[32] = "2^53";
    if (value != CONFIG_WHOLE_MAX) (void)snprintf(digits, sizeof digits, "%.10g", value);
    append(text, size, digits);
}

/* " from 0 to 1", " above 0 and at most 16", " of at least 0 and below 1". */
static void append_range(char *text, size_t size, const config_key *key) {
    append(text, size, key->above_low ? " above " : key->below_high ? " of at least " : " from ");
    append_limit(text, size, key->low);
    append(text, size, key->below_high ? " and below " : key->above_low ? " and at most " : " to ");
    append_limit(text, size, key->high);
}

const char *config_expected(const config_key *key, char *text, size_t size) {
    const bool list = key->max_items > 0, number = key->type == TYPE_INTEGER || key->type == TYPE_NUMBER;
    text[0] = '\0';
    if (list) {
        char least[24] = "at most", most[24];
        if (key->min_items > 0) (void)snprintf(least, sizeof least, "%d to", key->min_items);
        (void)snprintf(most, sizeof most, " %d ", key->max_items);
        append(text, size, "a list of ");
        append(text, size, key->min_items == key->max_items ? most + 1 : least);
        if (key->min_items != key->max_items) append(text, size, most);
    }
    switch (key->type) {
    case TYPE_BOOL:
        append(text, size, "true or false");
        break;
    case TYPE_INTEGER:
        append(text, size, list ? "whole numbers" : key->choices != NULL ? one_of(key->choices) : "a whole number");
        break;
    case TYPE_NUMBER:
        append(text, size, list ? "numbers" : "a number");
        break;
    case TYPE_TEXT:
        append(text, size, "text");
        break;
    case TYPE_NAME:
        append(text, size, !list ? one_of(key->choices) : key->distinct ? "different names out of " : "names out of ");
        break;
    }
    if (key->choices != NULL) append_choices(text, size, key->choices);
    if (number && key->choices == NULL) append_range(text, size, key);
    if (key->nullable) append(text, size, ", or null");
    return text;
}

/* ---- what was found ---- */

/* The value as JSON, cut where it is long. */
static const char *found_text(const cJSON *value, char text[FOUND_TEXT]) {
    if (cJSON_IsNumber(value)) {
        config_number_text(value->valuedouble, text);
        return text;
    }
    char *json = cJSON_PrintUnformatted(value);
    const bool cut = json != NULL && strlen(json) >= FOUND_TEXT - 4;
    (void)snprintf(text, FOUND_TEXT, "%.*s%s", FOUND_TEXT - 8, json == NULL ? "something else" : json, cut ? " ..." : "");
    cJSON_free(json);
    return text;
}

/* ---- check ---- */

const config_choice *config_find_choice(const config_key *key, const cJSON *item) {
    for (const config_choice *choice = key->choices; choice->name != NULL; choice++) {
        if (key->type == TYPE_INTEGER ? choice->value == item->valuedouble : strcmp(choice->name, item->valuestring) == 0) return choice;
    }
    return NULL;
}

static bool in_range(const config_key *key, double value) {
    return (key->above_low ? value > key->low : value >= key->low) && (key->below_high ? value < key->high : value <= key->high);
}

/* Does the item (a single value, or one of a list) fit the row? */
static bool item_fits(const config_key *key, const cJSON *item) {
    switch (key->type) {
    case TYPE_BOOL:
        return cJSON_IsBool(item);
    case TYPE_INTEGER:
        if (!cJSON_IsNumber(item) || floor(item->valuedouble) != item->valuedouble) return false;
        return key->choices != NULL ? config_find_choice(key, item) != NULL : in_range(key, item->valuedouble);
    case TYPE_NUMBER:
        return cJSON_IsNumber(item) && in_range(key, item->valuedouble);
    case TYPE_TEXT:
        return cJSON_IsString(item) && strlen(item->valuestring) < CONFIG_TEXT;
    case TYPE_NAME: {
        const config_choice *choice = cJSON_IsString(item) ? config_find_choice(key, item) : NULL;
        return choice != NULL && choice->value != CHOICE_NOT_SUPPORTED;
    }
    }
    return false;
}

/* Explain why the item does not fit; number is its place in the list, from 1, or 0. */
static void explain_item(const config_key *key, const cJSON *item, int number, char *why, size_t size) {
    char expected[256], found[FOUND_TEXT], place[32] = "";
    config_expected(key, expected, sizeof expected);
    const bool word = key->type == TYPE_NAME && cJSON_IsString(item);
    if (word && config_find_choice(key, item) != NULL) {
        (void)snprintf(why, size, "this version does not support %s; expected %s", item->valuestring, expected);
        return;
    }
    if (key->type == TYPE_TEXT && cJSON_IsString(item)) {
        (void)snprintf(why, size, "expected text of at most %d bytes; found %zu", CONFIG_TEXT - 1, strlen(item->valuestring));
        return;
    }
    if (number > 0) (void)snprintf(place, sizeof place, " as item %d", number);
    (void)snprintf(why, size, "expected %s; found %s%s", expected, found_text(item, found), place);
    if (!word) return;
    config_guess guess = {0};
    for (const config_choice *choice = key->choices; choice->name != NULL; choice++) {
        if (choice->value != CHOICE_NOT_SUPPORTED) config_guess_try(&guess, item->valuestring, choice->name);
    }
    const char *near = config_guess_name(&guess, item->valuestring);
    if (near == NULL) return;
    append(why, size, "; did you mean ");
    append(why, size, near);
    append(why, size, "?");
}

static bool check_list(const config_key *key, const cJSON *list, char *why, size_t size) {
    char expected[256], found[FOUND_TEXT];
    const int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    if (count < key->min_items || count > key->max_items) {
        (void)snprintf(why, size, "expected %s; found %s", config_expected(key, expected, sizeof expected), found_text(list, found));
        if (count >= 0) {
            char length[48];
            (void)snprintf(length, sizeof length, ", a list of %d", count);
            append(why, size, length);
        }
        return false;
    }
    int number = 0;
    for (const cJSON *item = list->child; item != NULL; item = item->next) {
        number++;
        if (!item_fits(key, item)) {
            explain_item(key, item, number, why, size);
            return false;
        }
        for (const cJSON *other = list->child; key->distinct && other != item; other = other->next) {
            if (!cJSON_Compare(other, item, true)) continue;
            (void)snprintf(why, size, "expected %s; found %s twice", config_expected(key, expected, sizeof expected),
                           found_text(item, found));
            return false;
        }
    }
    return true;
}

bool config_check_value(const config_key *key, const cJSON *value, char *why, size_t size) {
    if (key->nullable && cJSON_IsNull(value)) return true;
    if (key->max_items > 0) return check_list(key, value, why, size);
    if (item_fits(key, value)) return true;
    explain_item(key, value, 0, why, size);
    return false;
}
