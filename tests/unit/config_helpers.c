/* How the tests of the configuration parse, and what they expect of every result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_helpers.h"

config parsed;
entrain_error config_error;

entrain_status config_try(const char *text, const char *first, const char *second) {
    const char *overrides[2] = {first, second};
    memset(&config_error, 0, sizeof config_error);
    return config_parse(text, "run.json", overrides, (first != NULL) + (second != NULL), &parsed, &config_error);
}

void config_expect_good(const char *text, const char *first, const char *second) {
    if (config_try(text, first, second) != ENTRAIN_OK) fail_msg("%s", config_error.text);
}

void config_expect_mistake(const char *text, const char *override, const char *line) {
    char whole[1024];
    (void)snprintf(whole, sizeof whole, "run.json: 1 mistake in the configuration:\n%s", line);
    assert_int_equal(config_try(text, override, NULL), ENTRAIN_CONFIG);
    assert_int_equal(config_error.status, ENTRAIN_CONFIG);
    assert_string_equal(config_error.text, whole);
}

const char *config_source_folder(void) {
    const char *folder = getenv("ENTRAIN_SOURCE");
    return folder == NULL ? "." : folder;
}

char *config_read_source(const char *name) {
    char path[1024], *text = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", config_source_folder(), name);
    if (config_read_file(path, &text, &config_error) != ENTRAIN_OK) fail_msg("%s", config_error.text);
    return text;
}

void config_expect_round_trip(void) {
    static config first;
    first = parsed;
    char *text = config_to_json(&first);
    assert_non_null(text);
    config_expect_good(text, NULL, NULL);
    assert_memory_equal(&parsed, &first, sizeof parsed);
    char *again = config_to_json(&parsed);
    assert_string_equal(text, again);
    free(text);
    free(again);
}
