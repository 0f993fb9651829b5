/*
 * Packing that was killed and started again: finished shards are kept, whatever the moment, and the end is that of an unbroken run. The
 * moments are made by hand: a run's files are put where a killed one would have left them.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "data/class_table.h"
#include "data/pack_internal.h"
#include "data/pack_listing.h"
#include "pack_case.h"

enum { SAMPLES = 11, SHARDS = 4 };

static pack_options options(void) {
    static char root[CASE_PATH], out[CASE_PATH];
    (void)snprintf(root, sizeof root, "%s/source", folder);
    (void)snprintf(out, sizeof out, "%s/out", folder);
    return (pack_options){.dataset = "camvid", .root = root, .split = "train", .out = out, .shards = SHARDS};
}

static const char *shard(const char *where, int number, const char *ending) {
    char name[128];
    (void)snprintf(name, sizeof name, "%s/train-%05d-of-%05d.h5%s", where, number, SHARDS, ending);
    return in_folder(name);
}

/* Pack in a child, and kill it when this many shards wait: files are then as SIGKILL leaves them. */
static void pack_killed_after(int staged) {
    const pid_t child = fork();
    if (child == 0) {
        const pack_options o = options();
        _exit((int)pack_run(&o, self, &err));
    }
    for (int t = 0; t < 20000 && access(shard("out", staged - 1, ".staged"), F_OK) != 0; t++) (void)usleep(50);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Write the file that a run with options() begins with. */
static void write_manifest(void) {
    const pack_options o = options();
    shard_info *info = calloc(1, sizeof *info);
    class_table *table = calloc(1, sizeof *table);
    pack_listing listing = {0};
    pack_staging s = {.folder = o.out, .split = o.split, .shards = SHARDS};
    assert_true(info != NULL && table != NULL);
    assert_ok(packer_camvid.list(&o, &listing, table, info, &err));
    (void)snprintf(info->task, sizeof info->task, "segmentation");
    (void)snprintf(info->dataset, sizeof info->dataset, "camvid");
    info->samples_total = SAMPLES;
    assert_ok(pack_fingerprint(self, &o, SHARDS, info, &listing, table, &s.fingerprint, &err));
    assert_ok(pack_staging_begin(&s, self, &err));
    pack_staging_end(&s);
    pack_listing_free(&listing);
    free(table);
    free(info);
}

/* Leave `out` as a run leaves it that was killed when `staged` shards of `whole` were finished. */
static void leave_behind(int staged, bool publishing) {
    uint8_t *text = NULL;
    size_t size = 0;
    write_manifest();
    if (publishing) {
        char edited[1024];
        assert_ok(file_read(in_folder("out/train.packing"), &text, &size, &err));
        const uint8_t *at = memmem(text, size, "packing\n", 8);
        assert_non_null(at);
        const int length = snprintf(edited, sizeof edited, "%.*spublishing\n", (int)(at - text), (const char *)text);
        assert_ok(file_write(in_folder("out/train.packing"), edited, (size_t)length, &err));
        free(text);
    }
    for (int k = 0; k < staged; k++) assert_int_equal(link(shard("whole", k, ""), shard("out", k, ".staged")), 0);
    if (staged < SHARDS) assert_ok(file_write(shard("out", staged, ".staged.tmp"), "half", 4, &err));
}

static int prepare(void **state) {
    (void)pack_set_up(state);
    make_camvid(SAMPLES);
    pack_options o = options();
    o.out = in_folder("whole");
    assert_ok(pack_run(&o, self, &err));
    return 0;
}

static void assert_whole(void) {
    assert_int_equal(files_in(in_folder("out")), SHARDS); /* nothing else stays */
    assert_same_folder(in_folder("whole"), in_folder("out"));
}

static void killed_at_any_shard(void **state) {
    (void)state;
    const pack_options o = options();
    for (int staged = 0; staged <= SHARDS; staged++) {
        leave_behind(staged, false);
        struct stat before = {0}, after;
        if (staged > 0) assert_int_equal(stat(shard("out", 0, ".staged"), &before), 0);
        assert_ok(pack_run(&o, self, &err));
        assert_whole();
        assert_int_equal(stat(shard("out", 0, ""), &after), 0);
        if (staged > 0) assert_int_equal(before.st_ino, after.st_ino); /* kept, not made again */
        for (int k = 0; k < SHARDS; k++) assert_int_equal(unlink(shard("out", k, "")), 0);
    }
}

static void killed_while_publishing(void **state) {
    (void)state;
    pack_options o = options();
    for (int named = 0; named <= SHARDS; named++) {
        leave_behind(SHARDS, true);
        for (int k = 0; k < named; k++) assert_int_equal(rename(shard("out", k, ".staged"), shard("out", k, "")), 0);
        shard_set *half = NULL;
        assert_int_equal(shard_open(o.out, &half, &err), ENTRAIN_DATA); /* even where all are there: it is not known */
        assert_non_null(strstr(err.text, "Start the same pack again"));
        assert_ok(pack_run(&o, self, &err));
        assert_whole();
        for (int k = 0; k < SHARDS; k++) assert_int_equal(unlink(shard("out", k, "")), 0);
    }
    /* Other options: what was being published is ended first, and then stands in the way. */
    leave_behind(SHARDS, true);
    o.shards = 2;
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "of-00004.h5"));
    assert_whole();
}

/* Staged shards that are not of this work must not get into it. */
static void other_work_starts_anew(void **state) {
    (void)state;
    pack_options o = options();
    /* other options */
    leave_behind(2, false);
    assert_ok(file_write(shard("out", 0, ".staged"), "of other options", 16, &err));
    o.short_side = 8;
    assert_ok(pack_run(&o, self, &err));
    assert_int_equal(files_in(in_folder("out")), SHARDS);
    assert_ok(pack_verify(in_folder("out"), 1, self, &err));
    /* changed sources: one file's time */
    o = options();
    for (int k = 0; k < SHARDS; k++) assert_int_equal(unlink(shard("out", k, "")), 0);
    leave_behind(2, false);
    assert_int_equal(unlink(shard("out", 1, ".staged")), 0);
    assert_ok(file_write(shard("out", 1, ".staged"), "of other sources", 16, &err));
    put_image(in_folder("source/train/0001TP_0.png"), HEIGHT, WIDTH, 3, 1);
    assert_ok(pack_run(&o, self, &err));
    assert_int_equal(files_in(in_folder("out")), SHARDS);
    assert_ok(pack_verify(in_folder("out"), 1, self, &err));
    /* and a file of ours that nobody can read */
    leave_behind(1, false);
    assert_ok(file_write(in_folder("out/train.packing"), "nonsense", 8, &err));
    assert_ok(pack_run(&o, self, &err));
    assert_int_equal(files_in(in_folder("out")), SHARDS);
}

/* Faults leave nothing behind, not even what an earlier start had finished. */
static void faults_remove_what_waits(void **state) {
    (void)state;
    const pack_options o = options();
    uint8_t pixels[HEIGHT * WIDTH] = {200}, *bytes = NULL;
    size_t size = 0;
    const image bad = {.data = pixels, .height = HEIGHT, .width = WIDTH, .channels = 1};
    assert_ok(image_encode_png(&bad, &bytes, &size, &err));
    assert_ok(file_write(in_folder("source/trainannot/0001TP_9.png"), bytes, size, &err));
    free(bytes);
    pack_killed_after(1); /* a run over these very sources */
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "0001TP_9.png"));
    assert_int_equal(access(in_folder("out"), F_OK), -1);
}

/* Pack where files may not grow, which stands for a full disk. */
static entrain_status pack_on_full_disk(const pack_options *o) {
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){.rlim_cur = 1024, .rlim_max = limit.rlim_max};
    void (*former)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const entrain_status status = pack_run(o, self, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, former);
    return status;
}

/* What is finished waits for the next start. */
static void failures_keep_what_waits(void **state) {
    (void)state;
    struct stat before, after;
    pack_options o = options();
    char root[CASE_PATH];
    (void)snprintf(root, sizeof root, "%s/", o.root); /* the same source */
    leave_behind(2, false);
    assert_int_equal(stat(shard("out", 1, ".staged"), &before), 0);
    const entrain_status status = pack_on_full_disk(&o);
    assert_int_equal(status, ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "File too large"));
    assert_non_null(strstr(err.text, "run the same command again to go on"));
    assert_int_equal(stat(shard("out", 1, ".staged"), &after), 0);
    o.root = root;
    assert_ok(pack_run(&o, self, &err));
    assert_whole();
    assert_int_equal(stat(shard("out", 1, ""), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* kept, not made again */
}

/* Where nothing is finished, nothing stays. */
static void failures_without_shards_leave_nothing(void **state) {
    (void)state;
    const pack_options o = options();
    const entrain_status status = pack_on_full_disk(&o);
    assert_int_equal(status, ENTRAIN_DATA);
    assert_null(strstr(err.text, "go on"));
    assert_int_equal(access(o.out, F_OK), -1);
}

/* Shards of another set that have come while this one was made, as can be where a file system has no locks. */
static void foreign_shards_stop_publishing(void **state) {
    (void)state;
    pack_staging s = {.folder = options().out, .split = "train", .shards = 1, .fingerprint = 1};
    assert_ok(pack_staging_begin(&s, self, &err));
    assert_ok(file_write(in_folder("out/train-00000-of-00001.h5.staged"), "x", 1, &err));
    assert_ok(file_write(in_folder("out/val-00000-of-00001.h5"), "x", 1, &err));
    assert_int_equal(pack_staging_publish(&s, self, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "holds val-00000-of-00001.h5 already"));
    assert_int_equal(access(in_folder("out/train-00000-of-00001.h5"), F_OK), -1);
    assert_int_equal(unlink(in_folder("out/val-00000-of-00001.h5")), 0);
    assert_ok(pack_staging_publish(&s, self, &err));
    assert_int_equal(access(in_folder("out/train-00000-of-00001.h5"), F_OK), 0);
    pack_staging_end(&s);
}

/* Before anything can be lost, a signal ends the process as it does any other. */
static void signals_are_left_alone_while_listing(void **state) {
    (void)state;
    struct sigaction now;
    assert_true(signal(SIGTERM, SIG_IGN) == SIG_DFL);
    pack_options o = options();
    o.root = "/nowhere";
    assert_int_equal(pack_run(&o, self, &err), ENTRAIN_DATA);
    (void)sigaction(SIGTERM, NULL, &now);
    (void)signal(SIGTERM, SIG_DFL);
    assert_true(now.sa_handler == SIG_IGN); /* not what was never kept */
}

static void really_killed(void **state) {
    (void)state;
    const pack_options o = options();
    for (int staged = 1; staged < SHARDS; staged++) {
        pack_killed_after(staged);
        assert_ok(pack_run(&o, self, &err));
        assert_whole();
        for (int k = 0; k < SHARDS; k++) assert_int_equal(unlink(shard("out", k, "")), 0);
    }
}

/* TERM: ended soon with ENTRAIN_STOPPED, finished shards kept; the process' own handling is back afterwards. */
static void stopped_on_request(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        pack_options o = {.dataset = "synthetic", .split = "train", .out = in_folder("scenes"), .images = 5000, .threads = 2};
        const entrain_status status = pack_run(&o, self, &err);
        struct sigaction now;
        (void)sigaction(SIGTERM, NULL, &now);
        _exit(now.sa_handler == SIG_DFL && strstr(err.text, "same command") != NULL ? (int)status : 1);
    }
    for (int t = 0; t < 20000 && files_in(in_folder("scenes")) < 2; t++) (void)usleep(500);
    assert_int_equal(kill(child, SIGTERM), 0);
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), ENTRAIN_STOPPED);
    assert_int_equal(access(in_folder("scenes/train.packing"), F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_shard, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(killed_while_publishing, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(other_work_starts_anew, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(faults_remove_what_waits, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(failures_keep_what_waits, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(failures_without_shards_leave_nothing, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(foreign_shards_stop_publishing, pack_set_up, pack_tear_down),
        cmocka_unit_test_setup_teardown(signals_are_left_alone_while_listing, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(really_killed, prepare, pack_tear_down),
        cmocka_unit_test_setup_teardown(stopped_on_request, prepare, pack_tear_down),
    };
    return cmocka_run_group_tests(tests, pack_start, pack_stop);
}
