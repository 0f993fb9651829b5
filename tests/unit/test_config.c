/*
 * The configuration when all is well: defaults, values, --set, the way out to JSON and back. What holds for every key is tested by
 * walking the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/value.h"
#include "config_helpers.h"

/* ---- the table and its defaults ---- */

static void test_rows_are_sound(void **state) {
    (void)state;
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        char why[512] = "";
        assert_ptr_equal(config_find(key->path), key); /* unique */
        assert_int_equal(strchr(key->path, '.') != NULL, config_section_of(key) != NULL);
        assert_int_equal(key->help[strlen(key->help) - 1], '.');
        assert_null(strpbrk(key->help, "|\n"));
        if (key->type == TYPE_NAME) assert_non_null(key->choices);
        if (key->storage == STORE_INT) assert_true(key->low >= INT32_MIN && key->high <= INT32_MAX);
        if (key->type == TYPE_BOOL) assert_int_equal(key->storage, STORE_BOOL);
        if (key->type == TYPE_NUMBER) assert_int_equal(key->storage, STORE_DOUBLE);
        if (key->type == TYPE_TEXT) assert_int_equal(key->storage, STORE_TEXT);
        if ((key->type == TYPE_NUMBER || key->type == TYPE_INTEGER) && key->choices == NULL) assert_true(key->low < key->high);
        cJSON *fallback = cJSON_Parse(key->fallback);
        if (!config_check_value(key, fallback, why, sizeof why)) fail_msg("%s: %s", key->path, why);
        cJSON_Delete(fallback);
    }
}

static void test_defaults(void **state) {
    (void)state;
    memset(&parsed, 0xff, sizeof parsed);
    config_expect_good("{}", NULL, NULL);
    assert_int_equal(parsed.task, TASK_SEGMENTATION);
    assert_int_equal(parsed.model.backbone, BACKBONE_RESNET50);
    assert_int_equal(parsed.model.output_stride, 8);
    assert_int_equal(parsed.model.head, HEAD_DEEPLAB_V2);
    assert_true(parsed.model.aux_weight == 0.4 && parsed.model.dropout == 0.1);
    assert_string_equal(parsed.model.init, "");
    const norm_spec norm = {.type = NORM_EN,
                            .k = 3,
                            .methods = {NORM_METHOD_BN, NORM_METHOD_IN, NORM_METHOD_LN},
                            .sync = true,
                            .groups = 32,
                            .reduction = 32,
                            .pi = 50,
                            .activation = NORM_TANH,
                            .conv = true,
                            .eps = 1e-5,
                            .momentum = 0.1};
    assert_memory_equal(&parsed.norm, &norm, sizeof norm);
    assert_string_equal(parsed.data.train, "");
    assert_true(parsed.data.crop[0] == 0 && parsed.data.crop[1] == 0);
    assert_true(parsed.data.scale[0] == 0.5 && parsed.data.scale[1] == 2 && parsed.data.flip && !parsed.data.photometric);
    assert_true(parsed.data.mean[0] == 0.485 && parsed.data.mean[2] == 0.406 && parsed.data.std[1] == 0.224);
    assert_true(parsed.train.global_batch == 16 && parsed.train.iterations == 100000 && parsed.train.seed == 0 && parsed.train.shuffle);
    assert_true(parsed.train.log_every == 50 && parsed.train.checkpoint_every == 1000 && parsed.train.eval_every == 5000 &&
                parsed.train.keep == 3);
    assert_int_equal(parsed.train.class_weights.count, 0);
    assert_true(parsed.optimizer.lr == 0.01 && parsed.optimizer.momentum == 0.9 && parsed.optimizer.weight_decay == 1e-4);
    assert_true(!parsed.optimizer.nesterov && !parsed.optimizer.decay_norm && parsed.optimizer.head_lr_multiplier == 1 &&
                parsed.optimizer.clip_norm == 0);
    assert_int_equal(parsed.schedule.type, SCHEDULE_POLY);
    assert_true(parsed.schedule.power == 0.9 && parsed.schedule.warmup == 0 && parsed.schedule.milestones.count == 0 &&
                parsed.schedule.gamma == 0.1);
    assert_true(parsed.eval.scales.count == 1 && parsed.eval.scales.values[0] == 1 && !parsed.eval.flip && parsed.eval.mode == EVAL_WHOLE);
    assert_true(parsed.eval.short_sides.count == 0 && parsed.eval.max_side == 0 && parsed.eval.crop[0] == 0 && parsed.eval.stride[1] == 0);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(config_name("norm.type", NORM_EN), "en");
    assert_string_equal(config_name("norm.methods", NORM_METHOD_GN), "gn");
    assert_string_equal(config_name("norm.shift", true), "outside");
    assert_string_equal(config_name("model.backbone", BACKBONE_RESNET101), "resnet101");
    assert_string_equal(config_name("model.backbone", CHOICE_NOT_SUPPORTED), "?");
    assert_string_equal(config_name("norm.type", 99), "?");
    assert_string_equal(config_name("norm.pi", 1), "?");
    assert_string_equal(config_name("nothing", 0), "?");
}

/* ---- reading ---- */

static void test_values_are_read(void **state) {
    (void)state;
    config_expect_good(
        "{\"$schema\": \"x\", \"$comment\": \"y\", \"model\": {\"$comment\": \"z\", \"backbone\": \"resnet18\", \"output_stride\": 16},"
        "\"norm\": {\"type\": \"sn\", \"methods\": [\"ln\", \"gn\"], \"affine\": \"single\", \"shift\": \"outside\", \"sync\": false},"
        "\"data\": {\"train\": \"a/b\", \"crop\": [180, 240]}, \"train\": {\"seed\": 9007199254740992, \"class_weights\": [1, 0, 2.5]},"
        "\"schedule\": {\"type\": \"step\", \"milestones\": [10, 20]}}",
        NULL, NULL);
    assert_int_equal(parsed.model.backbone, BACKBONE_RESNET18);
    assert_int_equal(parsed.model.output_stride, 16);
    assert_true(parsed.norm.type == NORM_SN && parsed.norm.k == 2 && parsed.norm.affine_single && parsed.norm.shift_outside &&
                !parsed.norm.sync);
    assert_true(parsed.norm.methods[0] == NORM_METHOD_LN && parsed.norm.methods[1] == NORM_METHOD_GN);
    assert_string_equal(parsed.data.train, "a/b");
    assert_true(parsed.data.crop[0] == 180 && parsed.data.crop[1] == 240);
    assert_true(parsed.train.seed == UINT64_C(9007199254740992));
    assert_true(parsed.train.class_weights.count == 3 && parsed.train.class_weights.values[2] == 2.5);
    assert_true(parsed.schedule.milestones.count == 2 && parsed.schedule.milestones.values[1] == 20);
}

static void test_norm_methods_follow_the_type(void **state) {
    (void)state;
    const char *text = "{\"norm\": {\"type\": \"en\", \"methods\": [\"in\", \"bn\"], \"pi\": 20, \"conv\": false, \"shift\": \"outside\"}}";
    static const struct {
        const char *override;
        norm_method only;
    } cases[] = {{"norm.type=bn", NORM_METHOD_BN},
                 {"norm.type=in", NORM_METHOD_IN},
                 {"norm.type=ln", NORM_METHOD_LN},
                 {"norm.type=gn", NORM_METHOD_GN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config_expect_good(text, cases[i].override, NULL);
        assert_int_equal(parsed.norm.k, 1);
        assert_int_equal(parsed.norm.methods[0], cases[i].only);
        assert_int_equal(parsed.norm.methods[1], 0);
    }
    config_expect_good(text, "norm.type=sn", NULL);
    assert_true(parsed.norm.k == 2 && parsed.norm.methods[0] == NORM_METHOD_IN && parsed.norm.methods[1] == NORM_METHOD_BN);
}

static void test_set(void **state) {
    (void)state;
    config_expect_good("{\"optimizer\": {\"lr\": 1}}", "optimizer.lr=0.5", NULL);
    assert_true(parsed.optimizer.lr == 0.5);
    config_expect_good("{}", "optimizer.lr=2", "optimizer.lr=3");
    assert_true(parsed.optimizer.lr == 3);
    config_expect_good("{}", "eval.scales=[0.5,1]", "norm.methods=bn,in");
    assert_true(parsed.eval.scales.count == 2 && parsed.eval.scales.values[0] == 0.5 && parsed.norm.k == 2);
    config_expect_good("{}", "eval.scales=0.75", "data.train=x=y, z");
    assert_true(parsed.eval.scales.count == 1 && parsed.eval.scales.values[0] == 0.75);
    assert_string_equal(parsed.data.train, "x=y, z");
    config_expect_good("{\"data\": {\"crop\": [3, 4]}, \"train\": {\"class_weights\": [1, 2]}}", "data.crop=null",
                       "train.class_weights=null");
    assert_true(parsed.data.crop[0] == 0 && parsed.data.crop[1] == 0 && parsed.train.class_weights.count == 0);
    assert_true(parsed.train.class_weights.values[1] == 0);
    config_expect_good("{\"data\": {\"val\": \"a long old value\"}}", "data.val=\"new\"", NULL);
    assert_string_equal(parsed.data.val, "new");
    assert_int_equal(parsed.data.val[6], 0);
    config_expect_good("{\"data\": {\"val\": \"a\"}}", "data.val=", NULL);
    assert_string_equal(parsed.data.val, "");
}

/* ---- writing ---- */

static void test_round_trip(void **state) {
    (void)state;
    static const char *const types[] = {"norm.type=bn", "norm.type=in", "norm.type=ln", "norm.type=gn", "norm.type=sn", "norm.type=en"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        config_expect_good("{}", types[i], "norm.methods=ln,gn,bn,in");
        config_expect_round_trip();
    }
    config_expect_good(
        "{\"data\": {\"train\": \"a \\\"b\\\\c\\n\\u0001\\u00e9\", \"crop\": [1, 16384], \"mean\": [0.30000000000000004, 0.3333333333333333, 1e-300]},"
        "\"train\": {\"seed\": 9007199254740991, \"iterations\": 4503599627370497, \"class_weights\": [0, 1e-9, 3]},"
        "\"optimizer\": {\"lr\": 0.1000000000000000055511151231257827, \"weight_decay\": 1.7976931348623157e-308},"
        "\"schedule\": {\"type\": \"step\", \"milestones\": [1, 9007199254740992]}}",
        "eval.scales=[0.1,0.7000000000000001]", NULL);
    assert_true(parsed.train.seed == UINT64_C(9007199254740991) && parsed.data.mean[0] == 0.1 + 0.2);
    config_expect_round_trip();
    char *text = config_to_json(&parsed);
    assert_non_null(strstr(text, "\"seed\": 9007199254740991,"));
    assert_non_null(strstr(text, "\"lr\": 0.1,"));
    free(text);
}

/* The values that a row's limits and choices allow, as JSON texts. */
static int sample_values(const config_key *key, char texts[8][96]) {
    int count = 0;
    if (key->type == TYPE_BOOL) {
        strcpy(texts[count++], "true");
        strcpy(texts[count++], "false");
    } else if (key->type == TYPE_TEXT) {
        strcpy(texts[count++], "\"some/folder\"");
    } else if (key->choices != NULL) {
        for (const config_choice *choice = key->choices; choice->name != NULL && count < 8; choice++) {
            if (choice->value != CHOICE_NOT_SUPPORTED)
                (void)snprintf(texts[count++], 96, key->type == TYPE_NAME ? "\"%s\"" : "%s", choice->name);
        }
    } else {
        if (!key->above_low) (void)snprintf(texts[count++], 96, "%.15g", key->low);
        if (!key->below_high) (void)snprintf(texts[count++], 96, "%.16g", key->high);
        if (key->type == TYPE_NUMBER) (void)snprintf(texts[count++], 96, "%.15g", key->low + (key->high - key->low) / 4);
    }
    return count;
}

static void test_every_key_is_stored_and_written(void **state) {
    (void)state;
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        char texts[8][96];
        const int count = sample_values(key, texts);
        assert_true(count > 0);
        for (int k = 0; k < count; k++) {
            char json[1024] = "", why[512] = "", *written = NULL;
            size_t size = 0;
            const int items = key->distinct ? 1 : key->max_items < 5 ? key->max_items : 5;
            if (key->max_items > 0) strcat(json, "[");
            for (int item = 0; item < (key->max_items > 0 ? items : 1); item++) {
                if (item > 0) strcat(json, ", ");
                strcat(json, texts[(k + item) % count]);
            }
            if (key->max_items > 0) strcat(json, "]");
            cJSON *value = cJSON_Parse(json);
            assert_non_null(value);
            if (!config_check_value(key, value, why, sizeof why)) fail_msg("%s=%s: %s", key->path, json, why);
            config_expect_good("{}", NULL, NULL);
            config_store(key, value, &parsed);
            FILE *f = open_memstream(&written, &size);
            config_write_value(f, key, &parsed);
            (void)fclose(f);
            assert_string_equal(written, json);
            free(written);
            cJSON_Delete(value);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_values_are_read),
        cmocka_unit_test(test_norm_methods_follow_the_type),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_key_is_stored_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
