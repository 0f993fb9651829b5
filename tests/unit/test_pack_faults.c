/* Faults of a source are found all at once, and nothing is written. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "data/pack_internal.h"
#include "pack_case.h"

/* Every kind of fault in one source: all named, nothing written. */
static void all_faults_at_once(void **state) {
    (void)state;
    make_camvid(9);
    assert_int_equal(unlink(in_folder("source/trainannot/0001TP_1.png")), 0);
    assert_int_equal(unlink(in_folder("source/train/0001TP_3.png")), 0);
    put_image(in_folder("source/trainannot/0001TP_4.png"), HEIGHT + 1, WIDTH, 1, 0);
    assert_ok(file_write(in_folder("source/train/0001TP_5.png"), "no picture", 10, &err));
    uint8_t pixels[HEIGHT * WIDTH] = {0}, *bytes = NULL;
    size_t size = 0;
    pixels[7 * WIDTH + 5] = 12;
    const image bad = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 1};
    assert_ok(image_encode_png(&bad, &bytes, &size, &err));
    assert_ok(file_write(in_folder("source/trainannot/0001TP_7.png"), bytes, size, &err));
    free(bytes);

    assert_int_equal(pack_camvid(3), ENTRAIN_DATA);
    static const char *const expected[] = {
        "5 faults",       "train/0001TP_1.png",
        "has no label",   "trainannot/0001TP_3.png",
        "has no picture", "0001TP_4.png",
        "12 x 18",        "13 x 18",
        "0001TP_5.png",   "trainannot/0001TP_7.png",
        "x=5, y=7",       "value 12",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(err.text, expected[i]) == NULL) fail_msg("'%s' expected in: %s", expected[i], err.text);
    assert_null(strstr(err.text, "0001TP_0"));
    assert_int_equal(access(in_folder("out"), F_OK), -1); /* the folder was not there before */
}

static void many_faults_are_counted(void **state) {
    (void)state;
    make_camvid(30);
    for (int i = 0; i < 30; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        assert_int_equal(unlink(in_folder(name)), 0);
    }
    assert_int_equal(pack_camvid(0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "30 faults"));
    assert_non_null(strstr(err.text, "and 10 more"));
}

/* However long the texts are: those shown and those counted are all of them. */
static void long_faults_are_counted(void **state) {
    (void)state;
    static pack_faults f; /* large */
    entrain_error fault = {.status = ENTRAIN_DATA};
    memset(fault.text, 'x', 900);
    fault.text[5] = '\t';
    for (int i = 0; i < 30; i++) pack_faults_add(&f, &fault);
    assert_int_equal(pack_faults_report(&f, "title", &err), ENTRAIN_DATA);
    int shown = 0;
    long long more = 0;
    for (const char *p = err.text; (p = strstr(p, "\n  xxxxx?")) != NULL; p++) shown++;
    const char *rest = strstr(err.text, "\n  and ");
    assert_non_null(rest);
    assert_int_equal(sscanf(rest, "\n  and %lld more", &more), 1);
    assert_int_equal(shown + more, 30);
    assert_true(shown >= 8);
    /* one that nothing could hold is cut, not lost */
    memset(&f, 0, sizeof f);
    memset(fault.text, 'y', sizeof fault.text - 1);
    pack_faults_add(&f, &fault);
    assert_int_equal(pack_faults_report(&f, "title", &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "yyy..."));
    assert_null(strstr(err.text, "more"));
}

static void sources_that_are_not_there(void **state) {
    (void)state;
    assert_int_equal(pack("camvid", in_folder("nowhere"), "train", in_folder("out"), 0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "nowhere/train"));
    assert_non_null(strstr(err.text, "trainannot"));
    assert_int_equal(pack("camvid", NULL, "train", in_folder("out"), 0), ENTRAIN_USAGE);
    assert_ok(file_make_folder(in_folder("source/train"), &err));
    assert_ok(file_make_folder(in_folder("source/trainannot"), &err));
    assert_int_equal(pack_camvid(0), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "no PNG files"));
    assert_int_equal(access(in_folder("out"), F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_faults_at_once, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(many_faults_are_counted, pack_set_up, pack_tear_down),
        cmocka_unit_test(long_faults_are_counted),
        cmocka_unit_test_setup_teardown(sources_that_are_not_there, pack_set_up, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
