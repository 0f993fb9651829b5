/* Shards: what was written is read back, a folder that is not one whole set is refused with a word on what to do, writing is all or
 * nothing. */
#include <dirent.h>
#include <errno.h>
#include <hdf5.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "check.h"
#include "data/image.h"
#include "data/shard_internal.h"
#include "shard_case.h"

enum { SAMPLES = 23, SHARDS = 3 };

static entrain_error err;
static char folder[CASE_FOLDER];

static int set_up(void **state) {
    (void)state;
    case_folder_make(folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    case_folder_remove(folder);
    return 0;
}

static const char *path_of(const char *name) {
    static char path[2][CASE_PATH];
    static int turn;
    turn = !turn;
    (void)snprintf(path[turn], CASE_PATH, "%s/%s", folder, name);
    return path[turn];
}

static int files_in(const char *where) {
    int count = 0;
    DIR *dir = opendir(where);
    if (dir == NULL) return -1;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* Opening fails as bad data, and the message holds these two texts. */
static void assert_refused(const char *where, const char *text, const char *more) {
    shard_set *s = NULL;
    assert_int_equal(shard_open(where, &s, &err), ENTRAIN_DATA);
    assert_null(s);
    if (strstr(err.text, text) == NULL || strstr(err.text, more) == NULL) fail_msg("'%s' and '%s' expected in: %s", text, more, err.text);
}

/* ---- reading what was written ---- */

static void round_trip(void **state) {
    (void)state;
    shard_set *s = NULL;
    shard_info want;
    case_info(&want, SAMPLES);
    case_write(folder, SAMPLES, SHARDS);
    assert_int_equal(files_in(folder), SHARDS);
    assert_ok(shard_open(folder, &s, &err));
    assert_int_equal(shard_count(s), SAMPLES);
    assert_int_equal(shard_file_count(s), SHARDS);
    assert_memory_equal(shard_get_info(s), &want, sizeof want);

    shard_sample got = {0};
    for (int k = 0; k < 3 * SAMPLES; k++) { /* in no order, several times */
        const int64_t i = 7 * k % SAMPLES;
        int height = 0, width = 0;
        assert_ok(shard_read(s, i, &got, &err));
        assert_case_sample(&got, i);
        shard_size(s, i, &height, &width);
        assert_int_equal(height, got.height);
        assert_int_equal(width, got.width);
    }
    char text[512];
    shard_describe(s, 9, text, sizeof text); /* 23 samples in 3 shards: 7, 8, 8 */
    assert_non_null(strstr(text, "train-00001-of-00003.h5 sample 2 (id sample_9)"));
    shard_sample_free(&got);
    shard_close(s);
}

/* The layout that other programs rely on, read by HDF5 alone; and the checksum, by zlib. */
static void layout(void **state) {
    (void)state;
    case_write(folder, 2, 1);
    shard_sample want[2];
    case_sample(0, &want[0]);
    case_sample(1, &want[1]);
    const hid_t file = H5Fopen(path_of("train-00000-of-00001.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    uint64_t offset[3];
    uint32_t crc[2];
    uint8_t bytes[2 * CASE_LONGEST];
    const struct {
        const char *name;
        hid_t type;
        void *to;
    } tables[] = {
        {"/images/offset", H5T_NATIVE_UINT64, offset}, {"/crc32", H5T_NATIVE_UINT32, crc}, {"/images/bytes", H5T_NATIVE_UINT8, bytes}};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        const hid_t set = H5Dopen2(file, tables[t].name, H5P_DEFAULT);
        assert_true(set >= 0 && H5Dread(set, tables[t].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tables[t].to) >= 0);
        (void)H5Dclose(set);
    }
    assert_int_equal(offset[0], 0);
    assert_int_equal(offset[1], want[0].image_size);
    assert_int_equal(offset[2], want[0].image_size + want[1].image_size);
    assert_memory_equal(bytes + offset[1], want[1].image, want[1].image_size);
    const uLong sum = crc32(crc32(0, want[1].image, (uInt)want[1].image_size), want[1].label, (uInt)want[1].label_size);
    assert_int_equal(crc[1], (uint32_t)sum);
    static const char *const attributes[] = {"format_version", "dataset", "split",         "task",      "classes",
                                             "colors",         "ignore",  "samples_total", "export_ids"};
    for (size_t a = 0; a < sizeof attributes / sizeof attributes[0]; a++) assert_true(H5Aexists(file, attributes[a]) > 0);
    (void)H5Fclose(file);
    shard_sample_free(&want[0]);
    shard_sample_free(&want[1]);
}

/* Nothing but the data enters the file: no time, no name of the machine. */
static void equal_data_make_equal_files(void **state) {
    (void)state;
    uint8_t *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    case_write(folder, 5, 1);
    assert_ok(file_read(path_of("train-00000-of-00001.h5"), &first, &first_size, &err));
    (void)sleep(1);
    case_write(folder, 5, 1);
    assert_ok(file_read(path_of("train-00000-of-00001.h5"), &second, &second_size, &err));
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    free(first);
    free(second);
}

/* ---- folders that are no whole set ---- */

static void missing_folder_and_empty_folder(void **state) {
    (void)state;
    assert_refused(path_of("nowhere"), "nowhere", "entrain pack");
    assert_refused(folder, folder, "entrain pack");
    assert_ok(file_write(path_of("notes.txt"), "x", 1, &err));
    assert_ok(file_write(path_of("train-00000-of-00001.h5.tmp"), "x", 1, &err)); /* what a killed pack leaves */
    assert_refused(folder, folder, "entrain pack");
}

static void missing_shard(void **state) {
    (void)state;
    case_write(folder, SAMPLES, SHARDS);
    assert_int_equal(unlink(path_of("train-00001-of-00003.h5")), 0);
    assert_refused(folder, "missing", "shard 00001 of 00003");
}

static void two_sets_in_one_folder(void **state) {
    (void)state;
    case_write(folder, SAMPLES, SHARDS);
    case_write(folder, SAMPLES, 2);
    assert_refused(folder, "mixed", folder);
}

static void renamed_shards(void **state) {
    (void)state;
    case_write(folder, SAMPLES, 2);
    assert_int_equal(rename(path_of("train-00000-of-00002.h5"), path_of("x")), 0);
    assert_int_equal(rename(path_of("train-00001-of-00002.h5"), path_of("train-00000-of-00002.h5")), 0);
    assert_int_equal(rename(path_of("x"), path_of("train-00001-of-00002.h5")), 0);
    assert_refused(folder, "train-00000-of-00002.h5", "name");
}

/* The second shard replaced by one that differs in a single attribute. */
static void assert_foreign_shard_refused(const shard_info *info, const char *text) {
    shard_writer *w = NULL;
    case_write(folder, 4, 2);
    assert_ok(shard_create(folder, info, 1, 2, 2, &w, &err));
    for (int i = 2; i < 4; i++) {
        shard_sample s;
        case_sample(i, &s);
        assert_ok(shard_append(w, &s, &err));
        shard_sample_free(&s);
    }
    assert_ok(shard_finish(w, &err));
    assert_refused(folder, "train-00001-of-00002.h5", text);
}

static void shards_of_different_sets(void **state) {
    (void)state;
    shard_info info;
    case_info(&info, 4);
    info.names[1][0] = 'C';
    assert_foreign_shard_refused(&info, "another");
    case_info(&info, 4);
    info.colors[2][1] ^= 1;
    assert_foreign_shard_refused(&info, "another");
    case_info(&info, 4);
    info.export_ids[255] = 0;
    assert_foreign_shard_refused(&info, "another");
    case_info(&info, 5);
    assert_foreign_shard_refused(&info, "another");
}

static void counts_that_do_not_add_up(void **state) {
    (void)state;
    shard_info info;
    shard_writer *w = NULL;
    shard_sample s;
    case_info(&info, 2);
    assert_ok(shard_create(folder, &info, 0, 1, 1, &w, &err));
    case_sample(0, &s);
    assert_ok(shard_append(w, &s, &err));
    shard_sample_free(&s);
    assert_ok(shard_finish(w, &err));
    assert_refused(folder, folder, "2");
}

/* ---- writing ---- */

static void too_few_and_too_many_samples(void **state) {
    (void)state;
    shard_info info;
    shard_writer *w = NULL;
    shard_sample s;
    case_info(&info, 2);
    case_sample(1, &s);
    assert_ok(shard_create(folder, &info, 0, 1, 2, &w, &err));
    assert_ok(shard_append(w, &s, &err));
    assert_int_equal(shard_finish(w, &err), ENTRAIN_DATA);
    assert_int_equal(files_in(folder), 0);

    assert_ok(shard_create(folder, &info, 0, 1, 1, &w, &err));
    assert_ok(shard_append(w, &s, &err));
    assert_int_equal(shard_append(w, &s, &err), ENTRAIN_DATA);
    assert_int_equal(files_in(folder), 1);
    shard_abandon(w);
    assert_int_equal(files_in(folder), 0);
    shard_sample_free(&s);
}

/* A staged shard does not get in the way of the set, and is a whole file of its own name. */
static void staging(void **state) {
    (void)state;
    shard_info info;
    shard_sample s;
    shard_writer *w = NULL;
    case_info(&info, 1);
    case_sample(0, &s);
    assert_ok(shard_create_as(folder, SHARD_STAGED, &info, 0, 1, 1, &w, &err));
    assert_ok(shard_append(w, &s, &err));
    assert_ok(shard_finish(w, &err));
    assert_int_equal(files_in(folder), 1);
    assert_refused(folder, "holds no shards", folder);
    assert_int_equal(rename(path_of("train-00000-of-00001.h5" SHARD_STAGED), path_of("train-00000-of-00001.h5")), 0);
    shard_set *set = NULL;
    assert_ok(shard_open(folder, &set, &err));
    shard_close(set);
    shard_sample_free(&s);
}

/* Writes until something fails; the failure must be ENTRAIN_DATA with the path and the system's reason. How many samples it took. */
static int fill_a_shard(shard_writer *w, int samples) {
    entrain_status status = ENTRAIN_OK;
    shard_sample s;
    int added = 0;
    case_sample(1, &s);
    while (added < samples && status == ENTRAIN_OK) {
        status = shard_append(w, &s, &err);
        added += status == ENTRAIN_OK;
    }
    shard_sample_free(&s);
    if (status == ENTRAIN_OK)
        status = shard_finish(w, &err);
    else
        shard_abandon(w);
    assert_int_equal(status, ENTRAIN_DATA);
    assert_non_null(strstr(err.text, folder));
    assert_non_null(strstr(err.text, strerror(EFBIG)));
    return added;
}

/* No need to pack a whole data set to learn that the disk was full from the start. */
static void a_full_disk_is_noticed_soon(void **state) {
    (void)state;
    struct rlimit limit, small;
    shard_info info;
    shard_writer *w = NULL;
    case_info(&info, 20000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    small = limit;
    small.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_ok(shard_create(folder, &info, 0, 1, 20000, &w, &err));
    const int added = fill_a_shard(w, 20000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(added < 10000);
}

/* A limit on a file's size stands in for a full disk, met early (while samples are added) and late (while tables are written). */
static void a_full_disk_leaves_nothing(void **state) {
    (void)state;
    static const rlim_t limits[] = {100, 5000, 200000, 1 << 20};
    struct rlimit limit, small;
    shard_info info;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
        const int samples = 400;
        shard_writer *w = NULL;
        case_info(&info, samples);
        small = limit;
        small.rlim_cur = limits[k];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        if (shard_create(folder, &info, 0, 1, samples, &w, &err) == ENTRAIN_OK) (void)fill_a_shard(w, samples);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(files_in(folder), 0);
    }
    case_write(folder, 3, 1); /* and HDF5 is in order afterwards */
    shard_set *s = NULL;
    assert_ok(shard_open(folder, &s, &err));
    shard_close(s);
}

static void a_failed_write_keeps_the_old_shard(void **state) {
    (void)state;
    struct rlimit limit, small;
    shard_info info;
    shard_writer *w = NULL;
    case_write(folder, 3, 1);
    case_info(&info, 400);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    small = limit;
    small.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_ok(shard_create(folder, &info, 0, 1, 400, &w, &err));
    (void)fill_a_shard(w, 400);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    shard_set *s = NULL;
    shard_sample got = {0};
    assert_ok(shard_open(folder, &s, &err));
    assert_int_equal(shard_count(s), 3);
    assert_ok(shard_read(s, 2, &got, &err));
    assert_case_sample(&got, 2);
    shard_sample_free(&got);
    shard_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(layout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_data_make_equal_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_folder_and_empty_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_sets_in_one_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(renamed_shards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shards_of_different_sets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_that_do_not_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_few_and_too_many_samples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(staging, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_noticed_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_write_keeps_the_old_shard, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
