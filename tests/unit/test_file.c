/* Whole files: written completely or not at all; folders. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "data/image.h"

static entrain_error err;
static char folder[256], old_folder[4096];

static int set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/entrain-file-XXXXXX", P_tmpdir);
    return getcwd(old_folder, sizeof old_folder) == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir(old_folder) != 0 || system(command) != 0;
}

static void assert_holds(const char *path, const char *text) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_ok(file_read(path, &bytes, &size, &err));
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

static void write_and_read(void **state) {
    (void)state;
    assert_ok(file_write("a.txt", "first", 5, &err));
    assert_holds("a.txt", "first");
    assert_ok(file_write("a.txt", "second text", 11, &err));
    assert_holds("a.txt", "second text");
    assert_ok(file_write("none.txt", "", 0, &err));
    assert_holds("none.txt", "");
    assert_int_not_equal(access("a.txt.tmp", F_OK), 0);
}

static void reading_what_is_not_there(void **state) {
    (void)state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read("missing.png", &bytes, &size, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "missing.png"));
    assert_non_null(strstr(err.text, strerror(ENOENT)));
    assert_int_equal(file_read(".", &bytes, &size, &err), ENTRAIN_DATA);
    assert_null(bytes);
}

/* A file that may not grow stands in for a full disk: the old file stays, nothing new does. */
static void a_full_disk_keeps_the_old_file(void **state) {
    (void)state;
    static char much[100000];
    assert_ok(file_write("kept.txt", "old", 3, &err));
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const entrain_status status = file_write("kept.txt", much, sizeof much, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(status, ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "kept.txt"));
    assert_non_null(strstr(err.text, strerror(EFBIG)));
    assert_holds("kept.txt", "old");
    assert_int_not_equal(access("kept.txt.tmp", F_OK), 0);
}

static void writing_where_it_cannot_be(void **state) {
    (void)state;
    assert_int_equal(file_write("nowhere/a.txt", "x", 1, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "nowhere/a.txt"));
    assert_ok(file_make_folder("taken", &err)); /* the last step, the rename, fails */
    assert_int_equal(file_write("taken", "x", 1, &err), ENTRAIN_DATA);
    assert_int_not_equal(access("taken.tmp", F_OK), 0);
}

static bool is_folder(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static void folders(void **state) {
    (void)state;
    static const char *const paths[] = {"d", "e/f", "runs/one/deep", "runs/one/deep", "slash/", "./dot/../dot2", "a//b"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(paths[i], "./dot/../dot2") == 0) assert_int_equal(mkdir("dot", 0777), 0);
        assert_ok(file_make_folder(paths[i], &err));
        assert_true(is_folder(paths[i]));
    }
    char whole[300];
    (void)snprintf(whole, sizeof whole, "%s/x/y", folder);
    assert_ok(file_make_folder(whole, &err));
    assert_true(is_folder("x/y"));

    assert_ok(file_write("plain", "x", 1, &err));
    assert_int_equal(file_make_folder("plain", &err), ENTRAIN_DATA);
    assert_int_equal(file_make_folder("plain/below", &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "plain"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read),
        cmocka_unit_test(reading_what_is_not_there),
        cmocka_unit_test(a_full_disk_keeps_the_old_file),
        cmocka_unit_test(writing_where_it_cannot_be),
        cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
