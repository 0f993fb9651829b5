#include "pack_case.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "check.h"

entrain_error err;
comm *self;
char folder[CASE_FOLDER];

int pack_start(void **state) {
    (void)state;
    log_set_quiet(true);
    return comm_open_self(&self, &err) != ENTRAIN_OK;
}

int pack_stop(void **state) {
    (void)state;
    comm_close(self);
    return 0;
}

int pack_set_up(void **state) {
    (void)state;
    case_folder_make(folder);
    return 0;
}

int pack_tear_down(void **state) {
    (void)state;
    case_folder_remove(folder);
    return 0;
}

const char *in_folder(const char *name) {
    static char paths[4][CASE_PATH];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(paths[turn], CASE_PATH, "%s/%s", folder, name);
    return paths[turn];
}

int files_in(const char *where) {
    int count = 0;
    DIR *dir = opendir(where);
    if (dir == NULL) return -1;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

void assert_same_file(const char *one, const char *other) {
    uint8_t *a = NULL, *b = NULL;
    size_t a_size = 0, b_size = 0;
    assert_ok(file_read(one, &a, &a_size, &err));
    assert_ok(file_read(other, &b, &b_size, &err));
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    free(a);
    free(b);
}

void assert_same_folder(const char *one, const char *other) {
    char a[2 * CASE_PATH], b[2 * CASE_PATH];
    assert_int_equal(files_in(one), files_in(other));
    DIR *dir = opendir(one);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.') continue;
        (void)snprintf(a, sizeof a, "%s/%s", one, e->d_name);
        (void)snprintf(b, sizeof b, "%s/%s", other, e->d_name);
        assert_same_file(a, b);
    }
    (void)closedir(dir);
}

void assert_told(const char *const texts[]) {
    for (int i = 0; texts[i] != NULL; i++)
        if (strstr(err.text, texts[i]) == NULL) fail_msg("'%s' expected in: %s", texts[i], err.text);
}

entrain_status pack(const char *dataset, const char *root, const char *split, const char *out, int shards) {
    pack_options o = {.dataset = dataset, .root = root, .split = split, .out = out, .shards = shards};
    if (strcmp(dataset, "synthetic") == 0) {
        o.images = 5;
        o.seed = 3;
    }
    return pack_run(&o, self, &err);
}

void put_image(const char *path, int height, int width, int channels, int first) {
    uint8_t pixels[(HEIGHT + 1) * WIDTH * 3], *bytes = NULL;
    size_t size = 0;
    assert_true(height * width * channels <= (int)sizeof pixels);
    for (int i = 0; i < height * width * channels; i++) pixels[i] = (uint8_t)(channels == 1 ? (first + i) % 12 : first + 3 * i);
    const image im = {.data = pixels, .height = height, .width = width, .channels = channels};
    assert_ok(image_encode_png(&im, &bytes, &size, &err));
    assert_ok(file_write(path, bytes, size, &err));
    free(bytes);
}

void make_camvid(int samples) {
    assert_ok(file_make_folder(in_folder("source/train"), &err));
    assert_ok(file_make_folder(in_folder("source/trainannot"), &err));
    for (int i = 0; i < samples; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "source/train/0001TP_%d.png", i);
        put_image(in_folder(name), HEIGHT, WIDTH, 3, i);
        (void)snprintf(name, sizeof name, "source/trainannot/0001TP_%d.png", i);
        put_image(in_folder(name), HEIGHT, WIDTH, 1, i);
    }
}

entrain_status pack_camvid(int shards) {
    return pack("camvid", in_folder("source"), "train", in_folder("out"), shards);
}
