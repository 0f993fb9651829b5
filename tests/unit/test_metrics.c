/* Metrics against matrices worked out by hand, with absent classes and ignored pixels, and the JSON that carries them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "train/metrics.h"

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-15)) fail_msg("%.17g, expected %.17g", value, expected);
}

static void test_confusion(void **state) {
    (void)state;
    const uint8_t labels[] = {0, 0, 1, 2, 255, 2, 2, 255, 1};
    const uint8_t predictions[] = {0, 1, 1, 2, 0, 0, 2, 2, 1};
    int64_t matrix[256 * 3] = {0, 0, 0, 0, 100}; /* 3 by 3, and room to see that 255 adds nothing beyond */
    confusion_add(matrix, 3, labels, predictions, sizeof labels);
    const int64_t expected[256 * 3] = {1, 1, 0, 0, 102, 0, 1, 0, 2};
    assert_memory_equal(matrix, expected, sizeof expected);
}

/* Rows are truth. Class 0: TP 6, FN 2, FP 3. Class 1: TP 1, FN 3, FP 0. Class 2: nowhere. Class 3: never true, predicted twice. */
static const int64_t by_hand[16] = {6, 0, 0, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static void test_by_hand(void **state) {
    (void)state;
    metrics m;
    metrics_compute(by_hand, 4, &m);
    assert_int_equal(m.classes, 4);
    assert_int_equal(m.valid, 12);
    assert_near(m.iou[0], 6.0 / 11.0);
    assert_near(m.iou[1], 1.0 / 4.0);
    assert_true(isnan(m.iou[2]));
    assert_near(m.iou[3], 0.0);
    assert_near(m.accuracy[0], 6.0 / 8.0);
    assert_near(m.accuracy[1], 1.0 / 4.0);
    assert_true(isnan(m.accuracy[2]));
    assert_true(isnan(m.accuracy[3]));
    assert_near(m.share[0], 8.0 / 12.0);
    assert_near(m.share[3], 0.0);
    assert_int_equal(m.iou_classes, 3);
    assert_int_equal(m.acc_classes, 2);
    assert_near(m.miou, (6.0 / 11.0 + 1.0 / 4.0 + 0.0) / 3.0);
    assert_near(m.macc, (6.0 / 8.0 + 1.0 / 4.0) / 2.0);
    assert_near(m.aacc, 7.0 / 12.0);
}

/* Counts beyond 2^31 and 2^53's neighbourhood of a whole data set. */
static void test_large_counts(void **state) {
    (void)state;
    const int64_t matrix[4] = {INT64_C(30000000000), INT64_C(10000000000), 0, INT64_C(40000000000)};
    metrics m;
    metrics_compute(matrix, 2, &m);
    assert_near(m.iou[0], 0.75);
    assert_near(m.iou[1], 0.8);
    assert_near(m.aacc, 0.875);
}

static void test_nothing_at_all(void **state) {
    (void)state;
    const int64_t matrix[4] = {0};
    metrics m;
    metrics_compute(matrix, 2, &m);
    assert_true(isnan(m.miou) && isnan(m.macc) && isnan(m.aacc));
    assert_int_equal(m.iou_classes, 0);
    assert_int_equal(m.valid, 0);
}

/* ---- JSON ---- */

static const shard_info info = {.classes = 4, .names = {"road", "car", "m\303\266on", "a rather long name"}};
static const double scales[] = {0.5, 1.0};
static const metrics_setting setting = {.step = 1000, .scales = scales, .scale_count = 2, .flip = true, .images = 101};

static double number_at(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void test_line(void **state) {
    (void)state;
    metrics m;
    metrics_compute(by_hand, 4, &m);
    cJSON *object = metrics_to_json(&m, &setting, NULL);
    char *text = cJSON_PrintUnformatted(object);
    assert_string_equal(text, "{\"kind\":\"eval\",\"step\":1000,\"miou\":0.26515151515151514,\"macc\":0.5,\"aacc\":0.58333333333333337,"
                              "\"iou\":[0.54545454545454541,0.25,null,0],\"scales\":[0.5,1],\"flip\":true,\"images\":101}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static void test_names_and_accuracies(void **state) {
    (void)state;
    metrics m;
    metrics_compute(by_hand, 4, &m);
    cJSON *object = metrics_to_json(&m, &setting, &info);
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(object, "classes"), *acc = cJSON_GetObjectItemCaseSensitive(object, "acc");
    assert_int_equal(cJSON_GetArraySize(names), 4);
    assert_string_equal(cJSON_GetArrayItem(names, 1)->valuestring, "car");
    assert_true(cJSON_GetArrayItem(acc, 0)->valuedouble == 0.75);
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(acc, 3)));
    assert_true(number_at(object, "iou_classes") == 3.0);
    assert_true(number_at(object, "acc_classes") == 2.0);
    assert_true(number_at(object, "pixels") == 12.0);
    cJSON_Delete(object);
}

/* No figure that is not a number reaches the file, whatever is absent. */
static void test_json_without_nan(void **state) {
    (void)state;
    const int64_t matrix[16] = {0};
    metrics m;
    metrics_compute(matrix, 4, &m);
    cJSON *object = metrics_to_json(&m, &setting, &info);
    char *text = cJSON_PrintUnformatted(object);
    assert_null(strcasestr(text, "nan"));
    assert_non_null(strstr(text, "\"miou\":null"));
    assert_non_null(strstr(text, "\"iou\":[null,null,null,null]"));
    cJSON_free(text);
    cJSON_Delete(object);
}

/* ---- the table ---- */

/* What metrics_print_table logs for a matrix, as text; the caller frees it. */
static char *table(const int64_t *matrix) {
    char path[] = P_tmpdir "/entrain-log-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    metrics m;
    metrics_compute(matrix, 4, &m);
    log_set_quiet(true);
    assert_int_equal(log_open(path, NULL), ENTRAIN_OK);
    metrics_print_table(&m, &info);
    log_close();
    log_set_quiet(false);
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 4096);
    assert_true(f != NULL && text != NULL);
    assert_true(fread(text, 1, 4095, f) > 0);
    (void)fclose(f);
    (void)unlink(path);
    return text;
}

static void test_table(void **state) {
    (void)state;
    char *text = table(by_hand);
    assert_non_null(strstr(text, "\nroad                  0.5455    0.7500    66.667%\n"));
    assert_non_null(strstr(text, "\nm\303\266on                  absent    absent     0.000%\n"));
    assert_non_null(strstr(text, "\na rather long name    0.0000    absent     0.000%\n"));
    assert_non_null(
        strstr(text, "\nmIoU 0.2652 (3 of 4 classes)   mean accuracy 0.5000 (2 of 4 classes)   pixel accuracy 0.5833 (12 pixels)\n"));
    assert_null(strstr(text, "warning"));
    free(text);
}

static void test_table_of_one_class(void **state) {
    (void)state;
    const int64_t matrix[16] = {50};
    char *text = table(matrix);
    assert_non_null(strstr(text, "warning: only 1 of 4 classes occur"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confusion),        cmocka_unit_test(test_by_hand), cmocka_unit_test(test_large_counts),
        cmocka_unit_test(test_nothing_at_all),   cmocka_unit_test(test_line),    cmocka_unit_test(test_names_and_accuracies),
        cmocka_unit_test(test_json_without_nan), cmocka_unit_test(test_table),   cmocka_unit_test(test_table_of_one_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
