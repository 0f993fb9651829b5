/*
 * The evaluator's fusing on logits from a file, for test_fuse.py: fuse_matrix CASES.h5 FOLDER
 * CASES.h5 has a group a case: attributes `config` (JSON) and `classes`, and a group an image: attributes `height`, `width` (of the image),
 * `labels` (H,W), and of each pass, in order, pass-0 and so on: attributes `height`, `width`, `flip`, and a dataset (h,w,classes) a window,
 * called Y-X by its place. Writes FOLDER/CASE.h5 (the confusion matrix) and FOLDER/CASE.json. Fails where the plan differs from the file's.
 */
#include <cjson/cJSON.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hdf5_file.h"
#include "data/image.h"
#include "train/confusion.h"
#include "train/fuse.h"

static entrain_error err;

static void give_up(const char *what, const char *name) {
    (void)fprintf(stderr, "%s: %s %s\n", name, what, err.text);
    exit(1);
}

static int64_t number(hid_t where, const char *name) {
    int64_t value = 0;
    if (!hdf5_get_int64(where, name, &value)) give_up("no such number", name);
    return value;
}

typedef struct image_case {
    hid_t group;
    const fuse_plan *plan;
    int windows; /* run so far */
} image_case;

/* The stored logits of the window; there must be such a window, of this size. */
static entrain_status from_file(void *context, const fuse_window *window, float *logits, entrain_error *e) {
    (void)e;
    image_case *c = context;
    char name[64];
    const fuse_pass *p = window->pass;
    (void)snprintf(name, sizeof name, "pass-%d/%d-%d", (int)(p - c->plan->passes), window->y, window->x);
    const hid_t set = H5Dopen2(c->group, name, H5P_DEFAULT);
    if (set < 0) give_up("a window that is not expected", name);
    const hid_t space = H5Dget_space(set);
    hsize_t dims[3] = {0};
    (void)H5Sget_simple_extent_dims(space, dims, NULL);
    if (dims[0] != (hsize_t)p->logits_h || dims[1] != (hsize_t)p->logits_w || dims[2] != (hsize_t)c->plan->classes)
        give_up("logits of another size", name);
    if (H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, logits) < 0) give_up("cannot read", name);
    (void)H5Sclose(space);
    (void)H5Dclose(set);
    c->windows++;
    return ENTRAIN_OK;
}

/* How many windows the file has of all passes, whose sizes must be the plan's. */
static int count_windows(hid_t group, const fuse_plan *p) {
    int count = 0;
    for (int i = 0; i < p->count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "pass-%d", i);
        const hid_t pass = H5Gopen2(group, name, H5P_DEFAULT);
        H5G_info_t info;
        if (pass < 0 || H5Gget_info(pass, &info) < 0) give_up("missing", name);
        if (number(pass, "height") != p->passes[i].h || number(pass, "width") != p->passes[i].w ||
            number(pass, "flip") != p->passes[i].flip)
            give_up("another size or direction", name);
        count += (int)info.nlinks;
        (void)H5Gclose(pass);
    }
    return count;
}

static uint8_t *read_labels(hid_t group, int *height, int *width) {
    const hid_t set = H5Dopen2(group, "labels", H5P_DEFAULT), space = set < 0 ? -1 : H5Dget_space(set);
    hsize_t dims[2] = {0};
    if (space < 0 || H5Sget_simple_extent_dims(space, dims, NULL) != 2) give_up("missing", "labels");
    uint8_t *labels = malloc(dims[0] * dims[1]);
    if (labels == NULL || H5Dread(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels) < 0) give_up("unreadable", "labels");
    *height = (int)dims[0];
    *width = (int)dims[1];
    (void)H5Sclose(space);
    (void)H5Dclose(set);
    return labels;
}

static void one_image(hid_t group, const config *c, int classes, int threads, fuse_memory *memory, int64_t *matrix) {
    int height = 0, width = 0;
    uint8_t *labels = read_labels(group, &height, &width);
    uint8_t *predicted = malloc((size_t)height * (size_t)width);
    if (predicted == NULL) give_up("out of memory", "labels");
    fuse_plan p;
    fuse_plan_make(c, classes, (int)number(group, "height"), (int)number(group, "width"), height, width, &p);
    image_case from = {.group = group, .plan = &p};
    const fuse_source source = {from_file, &from};
    const int expected = count_windows(group, &p);
    if (fuse_run(&p, &source, threads, memory, predicted, NULL, &err) != ENTRAIN_OK) give_up("fuse_run", "image");
    if (from.windows != expected) give_up("windows that were not run", "image");
    confusion_add(matrix, classes, labels, predicted, (size_t)height * (size_t)width);
    free(labels);
    free(predicted);
}

static void write_results(const char *folder, const char *name, const int64_t *matrix, int classes) {
    static metrics m;
    static shard_info info;
    char path[1024];
    const metrics_setting setting = {0};
    info.classes = classes;
    for (int k = 0; k < classes; k++) (void)snprintf(info.names[k], SHARD_NAME, "class %d", k);
    metrics_compute(matrix, classes, &m);
    (void)snprintf(path, sizeof path, "%s/%s.h5", folder, name);
    if (confusion_write(path, matrix, &m, &setting, &info, &err) != ENTRAIN_OK) give_up("cannot write", path);
    cJSON *json = metrics_to_json(&m, &setting, &info);
    char *text = cJSON_Print(json);
    (void)snprintf(path, sizeof path, "%s/%s.json", folder, name);
    if (text == NULL || file_write(path, text, strlen(text), &err) != ENTRAIN_OK) give_up("cannot write", path);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* The names of what is in a group come in alphabetical order. */
static void one_case(hid_t file, const char *name, int number_of_case, const char *folder) {
    static config c;
    const hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
    char *text = hdf5_get_text(group, "config");
    if (text == NULL || config_parse(text, name, NULL, 0, &c, &err) != ENTRAIN_OK) give_up("bad config", name);
    const int classes = (int)number(group, "classes");
    int64_t *matrix = calloc((size_t)classes * (size_t)classes, sizeof *matrix);
    fuse_memory memory = {0};
    H5G_info_t info;
    if (matrix == NULL || H5Gget_info(group, &info) < 0) give_up("cannot list", name);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char member[64];
        (void)H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, member, sizeof member, H5P_DEFAULT);
        const hid_t one = H5Gopen2(group, member, H5P_DEFAULT);
        one_image(one, &c, classes, 1 + (number_of_case + (int)i) % 3, &memory, matrix);
        (void)H5Gclose(one);
    }
    write_results(folder, name, matrix, classes);
    fuse_memory_free(&memory);
    free(matrix);
    free(text);
    (void)H5Gclose(group);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    hid_t file = -1;
    H5G_info_t info;
    if (hdf5_open(argv[1], &file, &err) != ENTRAIN_OK || H5Gget_info(file, &info) < 0) give_up("cannot open", argv[1]);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[64];
        (void)H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        one_case(file, name, (int)i, argv[2]);
    }
    (void)H5Fclose(file);
    return 0;
}
