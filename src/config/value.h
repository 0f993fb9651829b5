/* One value of one key: checked (value.c), put into the struct and written out again (field.c). */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "config/table.h"

/* What a message or a help page says the key takes, for example "a list of 2 whole numbers from 1 to 16384, or null". Returns text. */
const char *config_expected(const config_key *key, char *text, size_t size);
/* Does a JSON value fit its row? If not, why says what was expected and what was found. */
bool config_check_value(const config_key *key, const cJSON *value, char *why, size_t size);
/* The choice that a JSON string (or whole number) names, a supported one or not; NULL when there is none. */
const config_choice *config_find_choice(const config_key *key, const cJSON *item);

/* Put a value that was checked into the struct; what was there before leaves no trace, so equal configurations are equal bytes. */
void config_store(const config_key *key, const cJSON *value, config *c);
/* Write the key's value as JSON, on one line. */
void config_write_value(FILE *f, const config_key *key, const config *c);
/* Write text as a JSON string, a number as config_number_text has it. */
void config_write_string(FILE *f, const char *text);
void config_write_number(FILE *f, double value);
/* The shortest decimal text that gives the number back exactly. */
void config_number_text(double value, char text[32]);

#endif
