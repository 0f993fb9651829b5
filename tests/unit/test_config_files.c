/*
 * What is written from the table for people and editors, and the files that are shipped: help, Markdown, the schema (held against the
 * parser value by value), the ready configurations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "config/value.h"
#include "config_helpers.h"

/* What a function prints to stdout; the caller frees it. */
static char *printed(void (*print)(void)) {
    char *text = NULL;
    size_t size = 0;
    FILE *usual = stdout;
    stdout = open_memstream(&text, &size);
    print();
    (void)fclose(stdout);
    stdout = usual;
    return text;
}

static void test_help(void **state) {
    (void)state;
    char *help = printed(config_print_help), *markdown = printed(config_print_markdown);
    assert_non_null(strstr(help, "to the current working directory"));
    for (int i = 0; i < config_key_count; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "\n  %s ", config_keys[i].path);
        assert_non_null(strstr(help, name));
        (void)snprintf(name, sizeof name, "\n| `%s` | `", config_keys[i].path);
        assert_non_null(strstr(markdown, name));
    }
    for (char *line = strtok(help, "\n"); line != NULL; line = strtok(NULL, "\n")) assert_true(strlen(line) <= 100);
    int lines = 0;
    for (char *line = strtok(markdown, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        int bars = 0;
        for (const char *p = line; *p != '\0'; p++) bars += *p == '|';
        assert_int_equal(bars, 5);
    }
    assert_int_equal(lines, config_key_count + 2);
    free(help);
    free(markdown);
}

/* ---- the schema ---- */

static cJSON *member(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool type_fits(const char *type, const cJSON *v) {
    if (strcmp(type, "null") == 0) return cJSON_IsNull(v);
    if (strcmp(type, "boolean") == 0) return cJSON_IsBool(v);
    if (strcmp(type, "string") == 0) return cJSON_IsString(v);
    if (strcmp(type, "array") == 0) return cJSON_IsArray(v);
    if (strcmp(type, "number") == 0) return cJSON_IsNumber(v);
    if (strcmp(type, "integer") == 0) return cJSON_IsNumber(v) && floor(v->valuedouble) == v->valuedouble;
    fail_msg("unknown type %s", type);
    return false;
}

/* A validator of the few words of JSON schema that ours uses. */
static bool schema_allows(const cJSON *schema, const cJSON *v) {
    const cJSON *type = member(schema, "type"), *s = NULL, *item = NULL;
    bool fits = cJSON_IsString(type) && type_fits(type->valuestring, v);
    if (cJSON_IsArray(type)) cJSON_ArrayForEach(item, type) fits = fits || type_fits(item->valuestring, v);
    if (!fits) return false;
    if ((s = member(schema, "enum")) != NULL) {
        bool found = false;
        cJSON_ArrayForEach(item, s) found = found || cJSON_Compare(item, v, true);
        if (!found) return false;
    }
    if (cJSON_IsNumber(v)) {
        if ((s = member(schema, "minimum")) != NULL && v->valuedouble < s->valuedouble) return false;
        if ((s = member(schema, "maximum")) != NULL && v->valuedouble > s->valuedouble) return false;
        if ((s = member(schema, "exclusiveMinimum")) != NULL && v->valuedouble <= s->valuedouble) return false;
        if ((s = member(schema, "exclusiveMaximum")) != NULL && v->valuedouble >= s->valuedouble) return false;
    }
    if (!cJSON_IsArray(v)) return true;
    const int size = cJSON_GetArraySize(v);
    if (size < member(schema, "minItems")->valueint || size > member(schema, "maxItems")->valueint) return false;
    for (int i = 0; i < size; i++) {
        if (!schema_allows(member(schema, "items"), cJSON_GetArrayItem(v, i))) return false;
        for (int k = 0; k < i && cJSON_IsTrue(member(schema, "uniqueItems")); k++) {
            if (cJSON_Compare(cJSON_GetArrayItem(v, i), cJSON_GetArrayItem(v, k), true)) return false;
        }
    }
    return true;
}

static const cJSON *property(const cJSON *schema, const config_key *key) {
    const config_section *section = config_section_of(key);
    const cJSON *owner = section == NULL ? schema : member(member(schema, "properties"), section->name);
    return member(member(owner, "properties"), config_leaf(key));
}

static void test_schema_says_what_the_parser_does(void **state) {
    (void)state;
    static const char *const values[] = {"null",
                                         "true",
                                         "-1",
                                         "0",
                                         "1e-9",
                                         "0.5",
                                         "1",
                                         "1.5",
                                         "2",
                                         "8",
                                         "16",
                                         "17",
                                         "100",
                                         "101",
                                         "256",
                                         "257",
                                         "4096",
                                         "4097",
                                         "16384",
                                         "65537",
                                         "999999",
                                         "1000001",
                                         "2147483647",
                                         "2147483648",
                                         "9007199254740992",
                                         "1e16",
                                         "\"\"",
                                         "\"en\"",
                                         "\"fp32\"",
                                         "\"bf16\"",
                                         "\"single\"",
                                         "\"linear\"",
                                         "\"resnet34\"",
                                         "\"slide\"",
                                         "{}",
                                         "[]",
                                         "[1]",
                                         "[1, 2]",
                                         "[0, 1]",
                                         "[0.5, 17]",
                                         "[0.5, 0.5]",
                                         "[1, 1, 1]",
                                         "[0, 0.5, 1]",
                                         "[1, 2, 3, 4, 5]",
                                         "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]",
                                         "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1]",
                                         "[\"bn\"]",
                                         "[\"bn\", \"in\", \"ln\", \"gn\"]",
                                         "[\"bn\", \"bn\"]",
                                         "[\"en\"]",
                                         "[null]",
                                         "[[1, 2]]"};
    char *text = config_schema();
    cJSON *schema = cJSON_Parse(text);
    assert_non_null(schema);
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        const cJSON *p = property(schema, key);
        assert_non_null(p);
        assert_string_equal(member(p, "description")->valuestring, key->help);
        assert_true(schema_allows(p, member(p, "default")));
        int allowed = 0;
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            char why[512];
            cJSON *v = cJSON_Parse(values[k]);
            assert_non_null(v);
            const bool parser = config_check_value(key, v, why, sizeof why);
            if (schema_allows(p, v) != parser)
                fail_msg("%s=%s: the parser says %s, the schema does not", key->path, values[k], parser ? "yes" : "no");
            allowed += parser;
            cJSON_Delete(v);
        }
        assert_true(allowed < (int)(sizeof values / sizeof *values));
    }
    cJSON_Delete(schema);
    free(text);
}

static void test_schema_is_closed_and_complete(void **state) {
    (void)state;
    char *text = config_schema();
    const cJSON *item = NULL;
    cJSON *schema = cJSON_Parse(text);
    assert_string_equal(member(schema, "$schema")->valuestring, "http://json-schema.org/draft-07/schema#");
    assert_true(cJSON_IsFalse(member(schema, "additionalProperties")));
    assert_non_null(member(member(schema, "properties"), "$schema"));
    int keys = 0;
    cJSON_ArrayForEach(item, member(schema, "properties")) {
        const cJSON *inner = member(item, "properties");
        if (inner != NULL) assert_true(cJSON_IsFalse(member(item, "additionalProperties")));
        keys += inner == NULL ? item->string[0] != '$' : cJSON_GetArraySize(inner) - 1; /* but for $comment */
    }
    assert_int_equal(keys, config_key_count);
    cJSON_Delete(schema);
    free(text);
}

static void test_schema_file_is_up_to_date(void **state) {
    (void)state;
    char *file = config_read_source("configs/entrain.schema.json"), *schema = config_schema();
    if (strcmp(file, schema) != 0) fail_msg("configs/entrain.schema.json is out of date: write it with `entrain config --schema`");
    free(file);
    free(schema);
}

/* ---- files ---- */

static void test_shipped_configs(void **state) {
    (void)state;
    static const char *const types[] = {NULL, "norm.type=bn", "norm.type=gn", "norm.type=sn"};
    char pattern[1024];
    glob_t found;
    int checked = 0;
    (void)snprintf(pattern, sizeof pattern, "%s/configs/*.json", config_source_folder());
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *text = NULL;
        if (strstr(found.gl_pathv[i], ".schema.json") != NULL) continue;
        assert_int_equal(config_read_file(found.gl_pathv[i], &text, &config_error), ENTRAIN_OK);
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            if (config_try(text, types[k], NULL) != ENTRAIN_OK) fail_msg("%s: %s", found.gl_pathv[i], config_error.text);
            assert_true(parsed.data.train[0] != '\0' && parsed.data.val[0] != '\0' && parsed.data.crop[0] > 0);
            if (k == 0) assert_int_equal(parsed.norm.type, NORM_EN);
            config_expect_round_trip();
        }
        cJSON *json = cJSON_Parse(text);
        assert_string_equal(member(json, "$schema")->valuestring, "entrain.schema.json");
        cJSON_Delete(json);
        free(text);
        checked++;
    }
    globfree(&found);
    assert_true(checked >= 5);
}

/* Write size bytes to a file of the test's own and read it as a configuration. */
static entrain_status read_back(const char *bytes, size_t size, char **text) {
    char path[] = "/tmp/test_config_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    (void)close(fd);
    const entrain_status status = config_read_file(path, text, &config_error);
    (void)unlink(path);
    return status;
}

static void test_read_file(void **state) {
    (void)state;
    static char large[64 * 1024 + 1];
    char *text = NULL;
    memset(large, ' ', sizeof large);
    assert_int_equal(read_back("{} \n", 4, &text), ENTRAIN_OK);
    assert_string_equal(text, "{} \n");
    free(text);
    assert_int_equal(read_back(large, sizeof large - 1, &text), ENTRAIN_OK);
    assert_int_equal(strlen(text), sizeof large - 1);
    free(text);
    assert_int_equal(read_back(large, sizeof large, &text), ENTRAIN_CONFIG);
    assert_null(text);
    assert_non_null(strstr(config_error.text, "larger than 64 KiB"));
    assert_int_equal(read_back("{}\0{}", 5, &text), ENTRAIN_CONFIG);
    assert_non_null(strstr(config_error.text, "zero byte"));
    assert_int_equal(config_read_file("/", &text, &config_error), ENTRAIN_CONFIG);
    assert_non_null(strstr(config_error.text, "Is a directory"));
    assert_int_equal(config_read_file("no/such/file.json", &text, &config_error), ENTRAIN_CONFIG);
    assert_string_equal(config_error.text, "no/such/file.json: cannot open the configuration: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_schema_says_what_the_parser_does),
        cmocka_unit_test(test_schema_is_closed_and_complete),
        cmocka_unit_test(test_schema_file_is_up_to_date),
        cmocka_unit_test(test_shipped_configs),
        cmocka_unit_test(test_read_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
