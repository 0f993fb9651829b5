/* The configuration when something is wrong: every kind of mistake with its exact message, and texts damaged at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/random.h"
#include "config_helpers.h"

typedef struct mistake {
    const char *text, *line;
} mistake;

static void test_mistakes_in_the_file(void **state) {
    (void)state;
    static const mistake cases[] = {
        {"{\"train\": {\"golbal_batch\": 3}}", "train.golbal_batch: unknown key; did you mean train.global_batch?"},
        {"{\"train\": {\"lr\": 3}}", "train.lr: unknown key; did you mean optimizer.lr?"},
        {"{\"lr\": 3}", "lr: unknown key; did you mean optimizer.lr?"},
        {"{\"optimiser\": {\"lr\": 3, \"x\": 1}}", "optimiser: unknown key; did you mean optimizer?"},
        {"{\"Train\": {}}", "Train: unknown key; did you mean train?"},
        {"{\"schedule\": {\"Type\": \"poly\"}}", "schedule.Type: unknown key; did you mean schedule.type?"},
        {"{\"eval.flip\": true}", "eval.flip: unknown key; sections are nested: {\"eval\": {\"flip\": ...}}"},
        {"{\"zzz\": 1}", "zzz: unknown key; the top level has task, model, norm, data, train, optimizer, schedule, eval"},
        {"{\"schedule\": {\"zzzzzz\": 1}}", "schedule.zzzzzz: unknown key; schedule has type, power, warmup, milestones, gamma"},
        {"{\"train\": {\"\": 1}}",
         "train.: unknown key; train has global_batch, iterations, seed, precision, tf32, shuffle, log_every, checkpoint_every, keep, "
         "eval_every, class_weights"},
        {"{\"train\": {\"a\\nbcdef\": 1}}",
         "train.a?bcdef: unknown key; train has global_batch, iterations, seed, precision, tf32, shuffle, log_every, "
         "checkpoint_every, keep, eval_every, class_weights"},
        {"{\"train\": {\"seed\": 1, \"keep\": 1, \"seed\": 2, \"seed\": 3}}",
         "train.seed: repeated key; it stands more than once in the file"},
        {"{\"model\": {}, \"model\": {}}", "model: repeated key; it stands more than once in the file"},
        {"{\"$comment\": \"a\", \"$comment\": \"b\"}", "$comment: repeated key; it stands more than once in the file"},
        {"{\"$schema\": 1}", "$schema: expected text"},
        {"{\"norm\": {\"$comment\": 1}}", "norm.$comment: expected text"},
        {"{\"train\": 3}", "train: expected an object, {\"train\": {...}}, with the keys of this section"},
        {"{\"optimizer\": {\"lr\": \"0.1\"}}", "optimizer.lr: expected a number from 0 to 1000000; found \"0.1\""},
        {"{\"optimizer\": {\"lr\": -0.5}}", "optimizer.lr: expected a number from 0 to 1000000; found -0.5"},
        {"{\"optimizer\": {\"lr\": 1e999}}", "optimizer.lr: expected a number from 0 to 1000000; found inf"},
        {"{\"optimizer\": {\"lr\": null}}", "optimizer.lr: expected a number from 0 to 1000000; found null"},
        {"{\"optimizer\": {\"lr\": {\"x\": [1]}}}", "optimizer.lr: expected a number from 0 to 1000000; found {\"x\":[1]}"},
        {"{\"optimizer\": {\"momentum\": 1}}", "optimizer.momentum: expected a number of at least 0 and below 1; found 1"},
        {"{\"schedule\": {\"gamma\": 0}}", "schedule.gamma: expected a number above 0 and at most 1; found 0"},
        {"{\"train\": {\"iterations\": 1.5}}", "train.iterations: expected a whole number from 1 to 2^53; found 1.5"},
        {"{\"train\": {\"global_batch\": 0}}", "train.global_batch: expected a whole number from 1 to 1048576; found 0"},
        {"{\"train\": {\"seed\": 1e17}}", "train.seed: expected a whole number from 0 to 2^53; found 1e+17"},
        {"{\"train\": {\"shuffle\": 1}}", "train.shuffle: expected true or false; found 1"},
        {"{\"train\": {\"precision\": \"fp16\"}}", "train.precision: expected one of fp32, bf16; found \"fp16\""},
        {"{\"model\": {\"head\": \"deeplab_v3\"}}",
         "model.head: this version does not support deeplab_v3; expected one of deeplab_v2, fcn"},
        {"{\"model\": {\"head\": \"linear\"}}", "model.head: this version does not support linear; expected one of deeplab_v2, fcn"},
        {"{\"task\": \"classification\"}", "task: this version does not support classification; expected segmentation"},
        {"{\"model\": {\"backbone\": \"shufflenet_v2_x1_0\"}}",
         "model.backbone: this version does not support shufflenet_v2_x1_0; expected one of resnet18, resnet34, resnet50, resnet101"},
        {"{\"model\": {\"backbone\": \"resent50\"}}",
         "model.backbone: expected one of resnet18, resnet34, resnet50, resnet101; found \"resent50\"; did you mean resnet50?"},
        {"{\"model\": {\"backbone\": \"vgg\"}}", "model.backbone: expected one of resnet18, resnet34, resnet50, resnet101; found \"vgg\""},
        {"{\"model\": {\"output_stride\": 4}}", "model.output_stride: expected one of 8, 16, 32; found 4"},
        {"{\"model\": {\"init\": 5}}", "model.init: expected text, or null; found 5"},
        {"{\"norm\": {\"type\": \"ne\"}}", "norm.type: expected one of bn, in, ln, gn, sn, en; found \"ne\"; did you mean en?"},
        {"{\"model\": {\"head\": \"lineer\"}}", "model.head: expected one of deeplab_v2, fcn; found \"lineer\""},
        {"{\"norm\": {\"type\": \"EN\"}}", "norm.type: expected one of bn, in, ln, gn, sn, en; found \"EN\"; did you mean en?"},
        {"{\"norm\": {\"methods\": []}}",
         "norm.methods: expected a list of 1 to 4 different names out of bn, in, ln, gn; found [], a list of 0"},
        {"{\"norm\": {\"methods\": [\"in\", \"bn\", \"in\"]}}",
         "norm.methods: expected a list of 1 to 4 different names out of bn, in, ln, gn; found \"in\" twice"},
        {"{\"norm\": {\"methods\": [\"bn\", \"sn\"]}}",
         "norm.methods: expected a list of 1 to 4 different names out of bn, in, ln, gn; found \"sn\" as item 2; did you mean bn?"},
        {"{\"data\": {\"crop\": 4}}", "data.crop: expected a list of 2 whole numbers from 1 to 16384, or null; found 4"},
        {"{\"data\": {\"crop\": [4]}}", "data.crop: expected a list of 2 whole numbers from 1 to 16384, or null; found [4], a list of 1"},
        {"{\"data\": {\"crop\": [4, 0]}}", "data.crop: expected a list of 2 whole numbers from 1 to 16384, or null; found 0 as item 2"},
        {"{\"data\": {\"crop\": [4, 2.5]}}", "data.crop: expected a list of 2 whole numbers from 1 to 16384, or null; found 2.5 as item 2"},
        {"{\"eval\": {\"scales\": [1, 0]}}", "eval.scales: expected a list of 1 to 16 numbers above 0 and at most 16; found 0 as item 2"},
        {"{\"schedule\": {\"milestones\": {}}}",
         "schedule.milestones: expected a list of at most 256 whole numbers from 1 to 2^53; found {}"},
        {"[1]", "line 1: expected an object, {...}, around the whole configuration"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config_expect_mistake(cases[i].text, NULL, cases[i].line);
    }
}

static void test_the_first_of_repeated_keys_counts(void **state) {
    (void)state;
    config_expect_mistake("{\"train\": {\"seed\": 1, \"seed\": 2}}", NULL,
                          "train.seed: repeated key; it stands more than once in the file");
    assert_true(parsed.train.seed == 1);
}

static void test_mistakes_across_keys(void **state) {
    (void)state;
    config_expect_good("{\"data\": {\"scale\": [1, 1]}}", NULL, NULL);
    config_expect_mistake("{\"data\": {\"scale\": [2, 0.5]}}", NULL, "data.scale: expected [smallest, largest]; found 2 before 0.5");
    config_expect_mistake(
        "{\"eval\": {\"mode\": \"slide\"}}", NULL,
        "eval.mode: slide needs eval.crop or data.crop, the size of its windows; found null in both. Set one of them, or eval.mode to whole");
    config_expect_good("{\"eval\": {\"mode\": \"slide\"}}", "data.crop=[9,9]", NULL);
    config_expect_good("{\"eval\": {\"mode\": \"slide\", \"crop\": [9, 8], \"stride\": [9, 8]}}", NULL, NULL);
    config_expect_mistake("{\"eval\": {\"crop\": [9, 8], \"stride\": [9, 9]}}", NULL,
                          "eval.stride: expected at most the window, [9, 8] (eval.crop); found [9, 9], which would leave gaps");
    config_expect_mistake("{\"data\": {\"crop\": [5, 5]}, \"eval\": {\"stride\": [6, 5]}}", NULL,
                          "eval.stride: expected at most the window, [5, 5] (data.crop); found [6, 5], which would leave gaps");
    /* A short trial of a long recipe: the run simply ends within its warm-up. */
    config_expect_good("{\"schedule\": {\"warmup\": 11}, \"train\": {\"iterations\": 10}}", NULL, NULL);
    config_expect_mistake("{\"schedule\": {\"milestones\": [5, 9, 9, 2]}}", NULL,
                          "schedule.milestones: expected ascending iterations; found 9 after 9");
    config_expect_mistake("{\"schedule\": {\"type\": \"step\"}}", NULL,
                          "schedule.milestones: schedule.type step needs at least one; found []");
    config_expect_mistake("{\"train\": {\"class_weights\": [0, 0]}}", NULL,
                          "train.class_weights: expected at least one weight above 0; found only zeros");
    config_expect_mistake("{\"optimizer\": {\"nesterov\": true, \"momentum\": 0}}", NULL,
                          "optimizer.nesterov: expected an optimizer.momentum above 0 with it; found 0");
    /* A key with a mistake of its own keeps its default and starts no second complaint. */
    config_expect_mistake("{\"eval\": {\"mode\": \"slide\"}, \"data\": {\"crop\": 3}}", NULL,
                          "data.crop: expected a list of 2 whole numbers from 1 to 16384, or null; found 3");
    config_expect_mistake("{\"schedule\": {\"warmup\": 200000}, \"train\": {\"iterations\": \"many\"}}", NULL,
                          "train.iterations: expected a whole number from 1 to 2^53; found \"many\"");
}

static void test_mistakes_in_set(void **state) {
    (void)state;
    static const mistake cases[] = {
        {"optimizer.lr=abc", "--set optimizer.lr=abc: expected a number from 0 to 1000000; found \"abc\""},
        {"optimizer.lr=nan", "--set optimizer.lr=nan: expected a number from 0 to 1000000; found \"nan\""},
        {"optimizer.lr=1,2", "--set optimizer.lr=1,2: expected a number from 0 to 1000000; found \"1,2\""},
        {"train.lr=abc", "--set train.lr=abc: unknown key; did you mean optimizer.lr?"},
        {"norm.typ=bn", "--set norm.typ=bn: unknown key; did you mean norm.type?"},
        {"norm.type", "--set norm.type: expected key.path=value"},
        {"=3", "--set =3: expected key.path=value"},
        {"", "--set : expected key.path=value"},
        {"schedule={}", "--set schedule={}: expected one key, not a whole section; schedule has type, power, warmup, milestones, gamma"},
        {"$schema=x", "--set $schema=x: unknown key; the top level has task, model, norm, data, train, optimizer, schedule, eval"},
        {"eval.scales=0.5,x", "--set eval.scales=0.5,x: expected a list of 1 to 16 numbers above 0 and at most 16; found \"x\" as item 2"},
        {"eval.scales=null", "--set eval.scales=null: expected a list of 1 to 16 numbers above 0 and at most 16; found null"},
        {"data.train=7", "--set data.train=7: expected text, or null; found 7"},
        {"data.scale=[2,1]", "data.scale: expected [smallest, largest]; found 2 before 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) config_expect_mistake("{}", cases[i].text, cases[i].line);
    char longest[600];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "data.train=", 11);
    longest[11 + CONFIG_TEXT - 1] = '\0';
    config_expect_good("{}", longest, NULL);
    assert_int_equal(strlen(parsed.data.train), CONFIG_TEXT - 1);
    longest[11 + CONFIG_TEXT - 1] = 'x';
    longest[11 + CONFIG_TEXT] = '\0';
    assert_int_equal(config_try("{}", longest, NULL), ENTRAIN_CONFIG);
    assert_non_null(strstr(config_error.text, "...: expected text of at most 511 bytes; found 512"));
    /* The key itself may be absurd. */
    longest[10] = 'x';
    longest[598] = '=';
    assert_int_equal(config_try("{}", longest, NULL), ENTRAIN_CONFIG);
}

static void test_all_mistakes_at_once(void **state) {
    (void)state;
    const char *text =
        "{\"model\": {\"backbone\": \"resnet18\", \"head\": \"x\"}, \"train\": {\"golbal_batch\": 3, \"seed\": 7, \"keep\": -1}, \"eval\": {\"flip\": true}}";
    assert_int_equal(config_try(text, "optimizer.lr=abc", "norm.type=gn"), ENTRAIN_CONFIG);
    assert_string_equal(config_error.text, "run.json: 4 mistakes in the configuration:\n"
                                           "model.head: expected one of deeplab_v2, fcn; found \"x\"\n"
                                           "train.golbal_batch: unknown key; did you mean train.global_batch?\n"
                                           "train.keep: expected a whole number from 0 to 2147483647; found -1\n"
                                           "--set optimizer.lr=abc: expected a number from 0 to 1000000; found \"abc\"");
    assert_true(parsed.model.backbone == BACKBONE_RESNET18 && parsed.train.seed == 7 && parsed.eval.flip && parsed.norm.type == NORM_GN);
    assert_true(parsed.model.head == HEAD_DEEPLAB_V2 && parsed.train.keep == 3 && parsed.optimizer.lr == 0.01);
    assert_int_equal(config_parse(text, "run.json", NULL, 0, &parsed, NULL), ENTRAIN_CONFIG); /* nobody wants the text */
}

static void test_more_mistakes_than_fit(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    fputs("{\"task\": 1", f);
    for (int i = 0; i < 999; i++) fprintf(f, ", \"unknown_%d\": 1", i);
    fputs("}", f);
    (void)fclose(f);
    assert_int_equal(config_try(text, NULL, NULL), ENTRAIN_CONFIG);
    assert_non_null(strstr(config_error.text, "run.json: 1000 mistakes"));
    int lines = 0, more = 0;
    for (const char *p = config_error.text; *p != '\0'; p++) lines += *p == '\n';
    const char *last = strrchr(config_error.text, '\n') + 1;
    assert_int_equal(sscanf(last, "... and %d more", &more), 1);
    assert_int_equal(lines - 1 + more, 1000);
    free(text);
}

static void test_syntax_errors(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int line, column;
        const char *found;
    } cases[] = {
        {"", 1, 1, "the end of the text"},
        {"{\"a\": 1", 1, 8, "the end of the text"},
        {"{\"seed\": 1,}", 1, 12, "}"},
        {"{\n  \"seed\": 1,\n}", 3, 1, "}"},
        {"{\n  // note\n}", 2, 3, "// note"},
        {"{\n  'seed': 1}", 2, 3, "'seed': 1}"},
        {"{seed: 1}", 1, 2, "seed: 1}"},
        {"{\"a\": x}", 1, 7, "x}"},
        {"{\"a\": NaN}", 1, 7, "NaN}"},
        {"{\"a\": [1,2x]}", 1, 11, "x]}"},
        {"{\"a\": 1\n\"b\": 2}", 2, 1, "\"b\": 2}"},
        {"{} {}", 1, 4, "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        (void)snprintf(
            line, sizeof line,
            "line %d, column %d: not valid JSON; found %s (comments, single quotes and a comma after the last item are not JSON)",
            cases[i].line, cases[i].column, cases[i].found);
        config_expect_mistake(cases[i].text, NULL, line);
    }
    /* --set is read all the same. */
    assert_int_equal(config_try("{", "norm.pi=7", "norm.pii=7"), ENTRAIN_CONFIG);
    assert_non_null(strstr(config_error.text, "2 mistakes"));
    assert_int_equal(parsed.norm.pi, 7);
}

/* ---- damage ---- */

/* Change, insert or remove one byte. */
static void mutate(random_stream *r, char *text) {
    static const char likely[] = "{}[]\",:.-+eE0123456789 \\/ntu\n";
    const size_t size = strlen(text), at = random_below(r, (uint32_t)size);
    char byte = random_below(r, 3) == 0 ? (char)(1 + random_below(r, 255)) : likely[random_below(r, sizeof likely - 1)];
    switch (random_below(r, 4)) {
    case 0:
        memmove(text + at, text + at + 1, size - at);
        break;
    case 1:
        memmove(text + at + 1, text + at, size + 1 - at);
        text[at] = byte;
        break;
    case 2:
        byte = text[random_below(r, (uint32_t)size)];
        text[at] = byte;
        break;
    default:
        text[at] = byte;
        break;
    }
}

static void test_damaged_text(void **state) {
    (void)state;
    int good = 0, bad = 0;
    config_expect_good("{\"data\": {\"train\": \"a\\nb\", \"crop\": [3, 4]}, \"train\": {\"class_weights\": [1, 2]}}",
                       "eval.scales=[0.5,1]", NULL);
    char *whole = config_to_json(&parsed), *text = malloc(strlen(whole) + 16);
    random_stream r = random_open(5, RANDOM_TEST, 1);
    for (int round = 0; round < 6000; round++) {
        strcpy(text, whole);
        for (uint32_t edits = 1 + random_below(&r, 3); edits > 0; edits--) mutate(&r, text);
        char override[64];
        (void)snprintf(override, sizeof override, "%.60s", text + random_below(&r, (uint32_t)strlen(text)));
        const entrain_status status = config_try(text, round % 2 == 0 ? NULL : override, NULL);
        if (status == ENTRAIN_OK) {
            good++;
            config_expect_round_trip();
            continue;
        }
        bad++;
        assert_int_equal(status, ENTRAIN_CONFIG);
        for (const char *p = config_error.text; *p != '\0'; p++) assert_true(*p == '\n' || (unsigned char)*p >= 32);
    }
    assert_true(good > 100 && bad > 1000); /* both ends were reached */
    free(text);
    free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_in_the_file), cmocka_unit_test(test_the_first_of_repeated_keys_counts),
        cmocka_unit_test(test_mistakes_across_keys), cmocka_unit_test(test_mistakes_in_set),
        cmocka_unit_test(test_all_mistakes_at_once), cmocka_unit_test(test_more_mistakes_than_fit),
        cmocka_unit_test(test_syntax_errors),        cmocka_unit_test(test_damaged_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
