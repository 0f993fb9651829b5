/* Tables of classes: those built in agree with themselves, users' mistakes are told all at once, label maps are mapped. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "data/class_table_internal.h"
#include "shard_case.h"

static entrain_error err;
static class_table table;

static void read_builtin(const char *name) {
    assert_ok(class_table_builtin(name, &table, &err));
}

/* ---- the tables built in ---- */

/* What holds for every table: names differ, no label has two classes, what is exported is mapped back. */
static void check_itself(const class_table *t, const char *name) {
    bool has[SHARD_MAX_CLASSES] = {false};
    const uint8_t void_id = t->export_ids[SHARD_IGNORE];
    assert_in_range(t->classes, 1, SHARD_MAX_CLASSES);
    for (int k = 0; k < t->classes; k++) {
        assert_true(t->names[k][0] != '\0');
        for (int other = 0; other < k; other++) {
            assert_string_not_equal(t->names[other], t->names[k]);
            assert_int_not_equal(t->export_ids[other], t->export_ids[k]);
        }
        assert_int_not_equal(t->export_ids[k], void_id);
    }
    for (int id = 0; id < 256; id++)
        if (t->known[id] && t->to[id] != SHARD_IGNORE) {
            assert_in_range(t->to[id], 0, t->classes - 1);
            has[t->to[id]] = true;
        }
    for (int i = 0; i < t->label_color_count; i++) {
        for (int other = 0; other < i; other++)
            assert_memory_not_equal(t->label_colors[other].rgb, t->label_colors[i].rgb, sizeof t->label_colors[i].rgb);
        if (t->label_colors[i].to == SHARD_IGNORE) continue;
        assert_in_range(t->label_colors[i].to, 0, t->classes - 1);
        has[t->label_colors[i].to] = true;
    }
    for (int k = 0; k < t->classes; k++) {
        if (!has[k]) fail_msg("%s: class %d never occurs", name, k);
        if (t->label_color_count > 0) continue;
        assert_true(t->known[t->export_ids[k]]);
        assert_int_equal(t->to[t->export_ids[k]], k);
    }
}

static void built_in_tables_agree_with_themselves(void **state) {
    (void)state;
    int count = 0;
    for (const class_table_source *s = class_table_sources; s->name != NULL; s++, count++) {
        read_builtin(s->name);
        check_itself(&table, s->name);
        const uint8_t void_id = table.export_ids[SHARD_IGNORE];
        assert_true(table.label_color_count > 0 || (table.known[void_id] && table.to[void_id] == SHARD_IGNORE));
    }
    assert_in_range(count, 4, 100);
}

static int count_known(void) {
    int count = 0;
    for (int id = 0; id < 256; id++) count += table.known[id];
    return count;
}

static void the_four_data_sets(void **state) {
    (void)state;
    read_builtin("ade20k");
    assert_int_equal(table.classes, 150);
    assert_int_equal(count_known(), 151);
    assert_int_equal(table.to[0], SHARD_IGNORE);
    for (int id = 1; id <= 150; id++) assert_int_equal(table.to[id], id - 1);
    assert_int_equal(table.export_ids[SHARD_IGNORE], 0);
    assert_string_equal(table.names[149], "flag");
    assert_memory_equal(table.colors[6], table.colors[48], 3); /* the original's road and skyscraper */

    read_builtin("cityscapes");
    assert_int_equal(table.classes, 19);
    assert_int_equal(count_known(), 34);
    assert_int_equal(table.export_ids[0], 7);
    assert_int_equal(table.export_ids[18], 33);
    assert_string_equal(table.submit_suffix, "_leftImg8bit");

    read_builtin("camvid");
    assert_int_equal(table.classes, 11);
    assert_int_equal(count_known(), 12);
    assert_int_equal(table.export_ids[SHARD_IGNORE], 11);

    class_table original;
    assert_ok(class_table_builtin("camvid_original", &original, &err));
    assert_int_equal(original.label_color_count, 32);
    assert_int_equal(original.classes, 11);
    assert_memory_equal(original.names, table.names, sizeof table.names);
    assert_memory_equal(original.colors, table.colors, sizeof table.colors);
    assert_memory_equal(original.export_ids, table.export_ids, sizeof table.export_ids);
}

static void a_name_that_no_table_has(void **state) {
    (void)state;
    assert_int_equal(class_table_builtin("ade", &table, &err), ENTRAIN_USAGE);
    assert_non_null(strstr(err.text, "'ade'"));
    assert_non_null(strstr(err.text, "ade20k, camvid, camvid_original, cityscapes"));
}

static void info_gets_what_shards_store(void **state) {
    (void)state;
    shard_info *info = calloc(1, sizeof *info);
    assert_non_null(info);
    read_builtin("cityscapes");
    class_table_describe(&table, info);
    assert_int_equal(info->classes, 19);
    assert_string_equal(info->names[1], "sidewalk");
    static const uint8_t sidewalk[3] = {244, 35, 232};
    assert_memory_equal(info->colors[1], sidewalk, 3);
    assert_int_equal(info->export_ids[1], 8);
    assert_int_equal(info->export_ids[255], 0);
    free(info);
}

/* ---- users' tables ---- */

static void read_from_a_file(void **state) {
    (void)state;
    char folder[CASE_FOLDER], path[CASE_PATH];
    static const char text[] = "{\"classes\": [{\"name\": \"a\", \"color\": [1, 2, 3], \"ids\": [9, 4]}], \"ignore_ids\": [7, 8]}";
    case_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/table.json", folder);
    assert_int_equal(class_table_read(path, &table, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "table.json"));
    assert_ok(file_write(path, text, sizeof text - 1, &err));
    assert_ok(class_table_read(path, &table, &err));
    check_itself(&table, "the file's table");
    assert_int_equal(table.export_ids[0], 9);   /* the first of its ids */
    assert_int_equal(table.export_ids[255], 7); /* the first of those ignored */
    assert_int_equal(table.to[4], 0);
    assert_ok(file_write(path, text, sizeof text, &err)); /* with its zero byte */
    assert_int_equal(class_table_read(path, &table, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "zero byte"));
    case_folder_remove(folder);
}

#define CLASS_A "{\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": [1]}"
#define CLASS_B "{\"name\": \"b\", \"color\": [0, 0, 0], \"ids\": [2]}"
#define COLOR_A "{\"name\": \"a\", \"color\": [0, 0, 0], \"label_colors\": [[1, 1, 1]]}"

static const struct mistake {
    const char *json, *told[3];
} mistakes[] = {
    {"", {"line 1", "not valid JSON"}},
    {"{\"classes\": [\n" CLASS_A ",]}", {"line 2", "not valid JSON"}},
    {"[]", {"expected an object"}},
    {"{}", {"classes: 0; expected a list of 1 to 255"}},
    {"{\"classes\": {}}", {"classes: 0; expected a list"}},
    {"{\"classes\": [7]}", {"classes[0]: expected an object"}},
    {"{\"clases\": [" CLASS_A "]}", {"clases: unknown key; did you mean classes?", "classes: 0"}},
    {"{\"classes\": [" CLASS_A "], \"quarrel\": 1}", {"quarrel: unknown key"}},
    {"{\"classes\": [" CLASS_A "], \"classes\": [" CLASS_A "]}", {"classes: repeated key"}},
    {"{\"classes\": [{\"name\": \"a\", \"colour\": [0, 0, 0], \"ids\": [1]}]}",
     {"classes[0].colour: unknown key; did you mean color?", "classes[0].color: expected a colour"}},
    {"{\"classes\": [{\"color\": [0, 0, 0], \"ids\": [1]}]}", {"classes[0].name: expected a text"}},
    {"{\"classes\": [{\"name\": \"\", \"color\": [0, 0, 0], \"ids\": [1]}]}", {"classes[0].name: expected a text of 1 to 63 bytes"}},
    {"{\"classes\": [" CLASS_A ", {\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": [2]}]}",
     {"classes[1].name: repeated; class 0 is called 'a' too"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 256, -1], \"ids\": [1]}]}",
     {"2 mistakes", "classes[0].color[1]: 256; expected a whole number from 0 to 255", "classes[0].color[2]: -1"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0], \"ids\": [1]}]}", {"classes[0].color: expected a colour, [red, green, blue]"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": [1, 300, 1.5, \"x\"]}]}",
     {"classes[0].ids[1]: 300", "classes[0].ids[2]: 1.5", "classes[0].ids[3]: expected a whole number"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": []}]}", {"classes[0].ids: expected a list of label values"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0, 0]}]}", {"classes[0]: expected either ids or label_colors"}},
    {"{\"classes\": [" CLASS_A ", {\"name\": \"b\", \"color\": [0, 0, 0], \"ids\": [2, 1]}]}",
     {"1 mistake in", "classes[1].ids[1]: repeated; the value 1 stands among class 0 (a) already"}},
    {"{\"classes\": [" CLASS_A "], \"ignore_ids\": [1, 3, 3]}",
     {"ignore_ids[0]: repeated", "ignore_ids[2]: repeated; the value 3 stands among those ignored already"}},
    {"{\"classes\": [" CLASS_A ", " CLASS_B "], \"void_id\": 2}", {"void_id: 2 is what class 1 (b) is exported as"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": [1, 7]}], \"void_id\": 7}", {"void_id: 7 is a value of class 0 (a)"}},
    {"{\"classes\": [{\"name\": \"a\", \"color\": [0, 0, 0], \"ids\": [255]}]}", {"void_id: 255, which it is where it is not given"}},
    {"{\"classes\": [" CLASS_A "], \"void_id\": 256}", {"void_id: 256; expected a whole number"}},
    {"{\"classes\": [" CLASS_A "], \"submit_suffix\": \"/x\"}", {"submit_suffix: expected a text"}},
    {"{\"classes\": [" CLASS_A ", " COLOR_A "]}", {"classes: 1 with ids and 1 with label_colors"}},
    {"{\"classes\": [" COLOR_A "], \"ignore_ids\": [1]}", {"ignore_ids: the classes have label_colors"}},
    {"{\"classes\": [" CLASS_A "], \"ignore_label_colors\": [[1, 1, 1]]}", {"ignore_label_colors: the classes have ids"}},
    {"{\"classes\": [" COLOR_A "], \"ignore_label_colors\": [[1, 1, 1]]}",
     {"ignore_label_colors[0]: repeated; the colour 1 1 1 stands among class 0 (a) already"}},
    {"{\"classes\": [" COLOR_A "], \"void_id\": 0}", {"void_id: 0 is what class 0 (a) is exported as"}},
};

static void mistakes_are_told_with_their_place(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        if (class_table_parse(mistakes[i].json, "own.json", &table, &err) != ENTRAIN_DATA) fail_msg("no error: %s", mistakes[i].json);
        assert_ptr_equal(strstr(err.text, "own.json: "), err.text);
        for (int k = 0; k < 3 && mistakes[i].told[k] != NULL; k++)
            if (strstr(err.text, mistakes[i].told[k]) == NULL) fail_msg("'%s' expected in: %s", mistakes[i].told[k], err.text);
    }
}

/* 256 classes, each wrong, are more than an error's text holds: the rest is counted. */
static void too_many_mistakes_are_counted(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    for (int classes = 255; classes <= 256; classes++) {
        FILE *f = open_memstream(&text, &size);
        assert_non_null(f);
        for (int k = 0; k < classes; k++)
            (void)fprintf(f, "%s{\"name\": \"c%d\", \"color\": [0, 0, 0], \"ids\": [900]}", k == 0 ? "{\"classes\": [" : ", ", k);
        (void)fprintf(f, "]}");
        assert_int_equal(fclose(f), 0);
        assert_int_equal(class_table_parse(text, "own.json", &table, &err), ENTRAIN_DATA);
        assert_non_null(strstr(err.text, classes == 255 ? "255 mistakes" : "classes: 256; expected a list of 1 to 255"));
        assert_true((strstr(err.text, "... and ") != NULL) == (classes == 255));
        free(text);
    }
}

static void most_classes(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    for (int k = 0; k < 255; k++)
        (void)fprintf(f, "%s{\"name\": \"c%d\", \"color\": [0, 0, 0], \"ids\": [%d]}", k == 0 ? "{\"classes\": [" : ", ", k, k);
    (void)fprintf(f, "], \"ignore_ids\": [255]}");
    assert_int_equal(fclose(f), 0);
    assert_ok(class_table_parse(text, "own.json", &table, &err));
    check_itself(&table, "255 classes");
    free(text);
}

/* Tables with a few bytes changed, cut off or doubled: read or refused, and what is read still agrees with itself. */
static void damaged_tables(void **state) {
    (void)state;
    static char text[32768];
    static const char bytes[] = "0123456789-.,:[]{}\"e \n\xff";
    random_stream r = random_open(1, RANDOM_TEST, 0);
    int refused = 0;
    for (int n = 0; n < 2000; n++) {
        const char *json = class_table_sources[n % 4].json;
        (void)snprintf(text, sizeof text, "%s", json);
        const uint32_t size = (uint32_t)strlen(text);
        for (uint32_t k = 0; k <= random_below(&r, 3); k++) {
            const uint32_t at = random_below(&r, size), from = random_below(&r, size);
            if (random_below(&r, 4) > 0)
                text[at] = bytes[random_below(&r, sizeof bytes - 1)];
            else if (random_below(&r, 8) == 0)
                text[at] = '\0';
            else
                memmove(text + at, json + from, size - (at > from ? at : from));
        }
        if (class_table_parse(text, "own.json", &table, &err) == ENTRAIN_OK)
            check_itself(&table, text);
        else
            refused++;
    }
    assert_in_range(refused, 1000, 1999);
}

/* ---- mapping ---- */

enum { HEIGHT = 3, WIDTH = 5, PIXELS = HEIGHT * WIDTH };

static void numbers_are_mapped(void **state) {
    (void)state;
    uint8_t pixels[PIXELS];
    image label = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 1};
    read_builtin("cityscapes");
    for (int first = 0; first + PIXELS <= 34; first++) {
        for (int i = 0; i < PIXELS; i++) pixels[i] = (uint8_t)(first + i);
        assert_ok(class_table_map(&table, &label, "x.png", &err));
        for (int i = 0; i < PIXELS; i++) assert_int_equal(pixels[i], table.to[first + i]);
    }
    read_builtin("ade20k");
    for (int first = 0; first + PIXELS <= 151; first++) {
        for (int i = 0; i < PIXELS; i++) pixels[i] = (uint8_t)(first + i);
        assert_ok(class_table_map(&table, &label, "x.png", &err));
        for (int i = 0; i < PIXELS; i++) assert_int_equal(pixels[i], first + i == 0 ? SHARD_IGNORE : first + i - 1);
    }
    read_builtin("cityscapes");
    memset(pixels, 7, sizeof pixels);
    pixels[2 * WIDTH + 4] = 34;
    assert_int_equal(class_table_map(&table, &label, "x.png", &err), ENTRAIN_DATA);
    assert_string_equal(err.text, "x.png: the pixel at x=4, y=2 has the value 34; the table of classes has 0 to 33.");
    label.channels = 3;
    assert_int_equal(class_table_map(&table, &label, "x.png", &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "one channel"));
}

static void colors_are_mapped(void **state) {
    (void)state;
    uint8_t pixels[32 * 4 * 3];
    image label = {.data = pixels, .height = 4, .width = 32, .channels = 3};
    read_builtin("camvid_original");
    for (int i = 0; i < 128; i++) memcpy(pixels + (size_t)3 * (size_t)i, table.label_colors[i * 7 % 32].rgb, 3);
    assert_ok(class_table_map(&table, &label, "x.png", &err));
    assert_int_equal(label.channels, 1);
    for (int i = 0; i < 128; i++) assert_int_equal(pixels[i], table.label_colors[i * 7 % 32].to);

    assert_int_equal(class_table_map(&table, &label, "x.png", &err), ENTRAIN_DATA); /* mapped already */
    label.channels = 3;
    for (int i = 0; i < 128; i++) memcpy(pixels + (size_t)3 * (size_t)i, table.label_colors[0].rgb, 3);
    pixels[3 * (32 * 3 + 31) + 2] ^= 1;
    assert_int_equal(class_table_map(&table, &label, "x.png", &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "x.png: the pixel at x=31, y=3 has the colour "));
    assert_non_null(strstr(err.text, "32 label colours"));
}

/* 256 colours, many with equal low bits, each beside one that differs in the last bit: none is taken for another. */
static void many_colors(void **state) {
    (void)state;
    static uint8_t pixels[256 * 3];
    image label = {.data = pixels, .height = 1, .width = 256, .channels = 3};
    memset(&table, 0, sizeof table);
    table.classes = 255;
    table.label_color_count = CLASS_TABLE_COLORS;
    for (int i = 0; i < 256; i++) {
        table.label_colors[i].rgb[0] = (uint8_t)(i / 32 * 32);
        table.label_colors[i].rgb[1] = (uint8_t)(i / 2 % 16 * 16);
        table.label_colors[i].rgb[2] = (uint8_t)(1 - i % 2);
        table.label_colors[i].to = (uint8_t)i;
        memcpy(pixels + (size_t)3 * (size_t)i, table.label_colors[i].rgb, 3);
    }
    assert_ok(class_table_map(&table, &label, "x.png", &err));
    for (int i = 0; i < 256; i++) assert_int_equal(pixels[i], i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_tables_agree_with_themselves),
        cmocka_unit_test(the_four_data_sets),
        cmocka_unit_test(a_name_that_no_table_has),
        cmocka_unit_test(info_gets_what_shards_store),
        cmocka_unit_test(read_from_a_file),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(too_many_mistakes_are_counted),
        cmocka_unit_test(most_classes),
        cmocka_unit_test(numbers_are_mapped),
        cmocka_unit_test(colors_are_mapped),
        cmocka_unit_test(many_colors),
        cmocka_unit_test(damaged_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
