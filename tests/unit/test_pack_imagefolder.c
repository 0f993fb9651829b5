/* What the packer of image folders lists: classes by folders, by a file of names, by a list of paths. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "data/pack_class_names.h"
#include "source_tree.h"

static source_tree tree;
static char names_file[CASE_PATH], list_file[CASE_PATH];

static int set_up(void **state) {
    (void)state;
    tree_make(&tree);
    (void)snprintf(names_file, sizeof names_file, "%s", tree_path(&tree, "names.txt"));
    (void)snprintf(list_file, sizeof list_file, "%s", tree_path(&tree, "list.txt"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tree_remove(&tree);
    return 0;
}

#define list_ok()                                                                                                                          \
    do {                                                                                                                                   \
        if (tree_list(&tree, &packer_imagefolder) != ENTRAIN_OK) fail_msg("%s", tree.err.text);                                            \
    } while (0)

static void list_fails(entrain_status status, const char *const *told) {
    assert_int_equal(tree_list(&tree, &packer_imagefolder), status);
    assert_tree_told(&tree, told);
}

static void assert_classes(int count, const char *const *names, const int32_t *of_samples) {
    assert_string_equal(tree.info->task, "classification");
    assert_int_equal(tree.info->classes, count);
    for (int k = 0; k < count; k++) assert_string_equal(tree.info->names[k], names[k]);
    for (int64_t i = 0; i < tree.listing.count; i++) assert_int_equal(tree.listing.items[i].class_index, of_samples[i]);
}

static const char *const zoo[] = {"train/cat/2.jpg",  "train/ape/deep/1.JPEG", "train/cat/1.png", "train/dog/1.jpg",
                                  "train/dog/.x.jpg", "train/notes.txt",       "train/dog/x.txt", NULL};
static const char *const zoo_listed[][3] = {{"train/ape/deep/1.JPEG", NULL, "ape/deep/1"},
                                            {"train/cat/1.png", NULL, "cat/1"},
                                            {"train/cat/2.jpg", NULL, "cat/2"},
                                            {"train/dog/1.jpg", NULL, "dog/1"}};

static void folders_are_classes_in_their_order(void **state) {
    (void)state;
    tree_fill(&tree, zoo);
    list_ok();
    assert_tree_lists(&tree, 4, zoo_listed);
    assert_classes(3, TEXTS("ape", "cat", "dog"), (const int32_t[]){0, 1, 1, 2});
}

/* The order of the file counts; words after the folder's name are for people. */
static void names_fix_the_indices(void **state) {
    (void)state;
    tree_fill(&tree, zoo);
    tree_put(&tree, "names.txt", "dog\n\nowl\tStrix\ncat house cat, Felis\nape\n");
    tree.options.classes = names_file;
    list_ok();
    assert_tree_lists(&tree, 4, zoo_listed);
    assert_classes(4, TEXTS("dog", "owl Strix", "cat house cat, Felis", "ape"), (const int32_t[]){3, 2, 2, 0});

    tree_put(&tree, "names.txt", "dog\ncatamaran\nape a\nape b\n");
    list_ok();
    assert_tree_faults(&tree, 2, TEXTS("train/ape: no line of ", "or several do", "train/cat: no line of ", "'cat'"));
    assert_int_equal(tree.listing.count, 1);
    tree_put(&tree, "names.txt", "");
    list_fails(ENTRAIN_DATA, TEXTS("names.txt: 0 classes; expected 1 to "));
    tree_put(&tree, "names.txt", "ape\ncat\nape\n");
    list_fails(ENTRAIN_DATA, TEXTS("names.txt: the classes 0 and 2 have one name, 'ape'"));
    tree_drop(&tree, "names.txt");
    list_fails(ENTRAIN_DATA, TEXTS("names.txt: cannot be read"));
}

static void faults_of_folders(void **state) {
    (void)state;
    tree_fill(&tree, zoo);
    tree_fill(&tree, TEXTS("train/eel/readme.txt", "train/loose.jpg", "train/dog/2.webp", "train/cat/1.jpg"));
    list_ok();
    assert_tree_faults(&tree, 4,
                       TEXTS("train/eel: the folder of this class holds no pictures", "train/loose.jpg: a picture in none of the folders",
                             "train/dog/2.webp: what is this file? The name of a picture ends in .jpg, .jpeg, .png here",
                             "the id 'cat/1' is repeated", "train/cat/1.png", "train/cat/1.jpg"));
    tree.options.split = "val";
    list_fails(ENTRAIN_DATA, TEXTS("/val: the folder cannot be opened", "SPLIT/CLASS/"));
    tree_fill(&tree, TEXTS("val/x.txt"));
    list_fails(ENTRAIN_DATA, TEXTS("/val: no folders of classes there", "SPLIT/CLASS/"));
}

/* ---- lists ---- */

static void lists_name_paths_and_classes(void **state) {
    (void)state;
    tree_put(&tree, "names.txt", "n01 tench, Tinca tinca\nn02 goldfish\n");
    tree_put(&tree, "list.txt", "google/q2/b c.jpg 1\n\n  google/q1/a.jpg\t0  \r\nflickr/z.JPEG 1");
    tree.options.list = list_file;
    list_fails(ENTRAIN_USAGE, TEXTS("--list needs --classes"));
    tree.options.classes = names_file;
    list_ok(); /* whether the files are there shows when they are read */
    static const char *const expected[][3] = {
        {"flickr/z.JPEG", NULL, "flickr/z"}, {"google/q1/a.jpg", NULL, "google/q1/a"}, {"google/q2/b c.jpg", NULL, "google/q2/b c"}};
    assert_tree_lists(&tree, 3, expected);
    assert_classes(2, TEXTS("n01 tench, Tinca tinca", "n02 goldfish"), (const int32_t[]){1, 0, 1});

    tree_put(&tree, "list.txt", "a.jpg 2\na.jpg -1\nb.jpg\n7\nc.gif 1\n/d.jpg 0\ne.jpg 1x\nf.jpg 99999999999999999999\ng.jpg 0\ng.png 1\n");
    list_ok();
    assert_tree_faults(&tree, 9,
                       TEXTS("list.txt:1: the class 2; ", "names.txt has the classes 0 to 1", "list.txt:2: the class -1",
                             "list.txt:3: expected 'PATH CLASS_INDEX'", "found 'b.jpg'", "list.txt:4: expected", "list.txt:5: 'c.gif'",
                             "list.txt:6: expected", "list.txt:7: expected", "list.txt:8: expected", "the id 'g' is repeated"));
    tree_put(&tree, "list.txt", "\n");
    list_fails(ENTRAIN_DATA, TEXTS("list.txt: the list is empty"));
    tree_drop(&tree, "list.txt");
    list_fails(ENTRAIN_DATA, TEXTS("list.txt: cannot be read"));
}

static void paths_that_shards_cannot_hold(void **state) {
    (void)state;
    tree_put(&tree, "names.txt", "\xef\xbb\xbfone\n");
    tree_put(&tree, "list.txt",
             "\xef\xbb\xbf./train/x.jpg 0\n././y.jpg 0\ntrain//z.jpg 0\n../z.jpg 0\na\x01"
             "b.jpg 0\n");
    tree.options.list = list_file;
    tree.options.classes = names_file;
    list_ok();
    assert_string_equal(tree.info->names[0], "one");
    assert_int_equal(tree.listing.count, 2);
    assert_string_equal(tree.listing.items[0].id, "train/x");
    assert_string_equal(tree.listing.items[1].id, "y");
    assert_tree_faults(&tree, 3, TEXTS("'train//z'", "'../z'", "a?b"));
    tree_put(&tree, "names.txt", "o\x02ne\n");
    list_fails(ENTRAIN_DATA, TEXTS("names.txt: the name of class 0 has control characters"));
    tree_drop(&tree, "list.txt");
    assert_int_equal(mkfifo(list_file, 0600), 0);
    tree_put(&tree, "names.txt", "one\n");
    list_fails(ENTRAIN_DATA, TEXTS("list.txt: is not a regular file"));
}

static void folders_that_shards_cannot_hold(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("train/a/1.jpg", "train/b\tc/1.jpg", "train/a/2\n.jpg"));
    list_ok();
    assert_tree_faults(&tree, 2, TEXTS("train/b?c: the name of this folder of a class has control characters", "a/2?"));
    assert_int_equal(tree.listing.count, 1);
    tree.options.split = "trian";
    list_fails(ENTRAIN_DATA, TEXTS("trian: the folder cannot be opened", "There are the folders: train."));
}

/* ---- names ---- */

static void long_names_lose_their_last_words(void **state) {
    (void)state;
    entrain_error err;
    class_names n = {0};
    const char *a10 = "aaaaaaaaaa", *e6 = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"; /* six times two bytes */
    char line[256];
    (void)snprintf(line, sizeof line, "n01 %s%s, %s%s, %s%s", a10, a10, a10, a10, a10, a10);
    assert_ok(class_names_add(&n, line, &err));
    (void)snprintf(line, sizeof line, "%s%s%s%s%s%s", e6, e6, e6, e6, e6, e6);
    assert_ok(class_names_add(&n, line, &err));
    assert_ok(class_names_describe(&n, "names.txt", tree.info, &err));
    assert_string_equal(tree.info->names[0], "n01 aaaaaaaaaaaaaaaaaaaa, aaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(strlen(tree.info->names[1]), 62);
    assert_memory_equal(tree.info->names[1], line, 62);
    class_names_free(&n);
}

static void too_many_classes(void **state) {
    (void)state;
    entrain_error err;
    class_names n = {0};
    const int most = (int)(sizeof tree.info->names / sizeof tree.info->names[0]);
    char line[32];
    for (int k = 0; k <= most; k++) {
        (void)snprintf(line, sizeof line, "c%d", k);
        assert_ok(class_names_add(&n, line, &err));
    }
    assert_int_equal(class_names_describe(&n, "names.txt", tree.info, &err), ENTRAIN_DATA);
    assert_non_null(strstr(err.text, "names.txt: "));
    class_names_free(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders_are_classes_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_fix_the_indices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_of_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_name_paths_and_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_shards_cannot_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_that_shards_cannot_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names_lose_their_last_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_classes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
