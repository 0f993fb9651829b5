/* What the packers of label maps list of small made-up sources: the samples in order, and every fault at once. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "source_tree.h"

static source_tree tree;

static int set_up(void **state) {
    (void)state;
    tree_make(&tree);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tree_remove(&tree);
    return 0;
}

#define list_ok(packer)                                                                                                                    \
    do {                                                                                                                                   \
        if (tree_list(&tree, packer) != ENTRAIN_OK) fail_msg("%s", tree.err.text);                                                         \
    } while (0)

/* ---- listings ---- */

static void listings_are_sorted_and_copied(void **state) {
    (void)state;
    entrain_error err;
    pack_listing l = {0};
    char text[64];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "id%03d", i * 7 % 1000);
        assert_ok(pack_listing_add(&l, "image", i % 2 == 0 ? "label" : NULL, text, i, &err));
    }
    pack_listing_sort(&l);
    assert_int_equal(l.count, 1000);
    assert_int_equal(l.faults.count, 0);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "id%03d", i);
        assert_string_equal(l.items[i].id, text);
        assert_int_equal(l.items[i].class_index * 7 % 1000, i);
        assert_true((l.items[i].label != NULL) == (l.items[i].class_index % 2 == 0));
    }
    assert_ok(pack_listing_add(&l, "other", NULL, "id500", 0, &err));
    pack_listing_sort(&l);
    assert_int_equal(l.faults.count, 1);
    assert_non_null(strstr(l.faults.list.text, "other: the id 'id500' is repeated: image has it"));
    pack_listing_free(&l);
    assert_int_equal(l.count, 0);
}

static void ids_have_room(void **state) {
    (void)state;
    entrain_error err;
    pack_listing l = {0};
    char id[SHARD_ID + 1];
    memset(id, 'a', sizeof id);
    id[SHARD_ID] = '\0';
    assert_ok(pack_listing_add(&l, "long.jpg", NULL, id, 0, &err));
    assert_int_equal(l.count, 0);
    assert_int_equal(l.faults.count, 1);
    assert_non_null(strstr(l.faults.list.text, "long.jpg"));
    assert_ok(pack_listing_add(&l, "short.jpg", NULL, id + 1, 0, &err));
    assert_int_equal(l.count, 1);
    pack_listing_free(&l);
}

/* What reading would refuse is not written; names are told harmlessly. */
static void ids_are_plain_paths(void **state) {
    (void)state;
    entrain_error err;
    pack_listing l = {0};
    static const char *const wrong[] = {"", "/a", "a//b", "../a", "a/..", "a/./b", "a/", "a\tb", "a\x7f", "a\nb"};
    enum { WRONG = sizeof wrong / sizeof wrong[0] };
    for (int i = 0; i < WRONG; i++) assert_ok(pack_listing_add(&l, "file", NULL, wrong[i], 0, &err));
    assert_int_equal(l.count, 0);
    assert_int_equal(l.faults.count, WRONG);
    assert_non_null(strstr(l.faults.list.text, "file: its id, 'a//b', is a path with an empty part"));
    assert_non_null(strstr(l.faults.list.text, "file: its id, 'a?b', has control characters"));
    assert_null(strchr(l.faults.list.text, '\t'));
    assert_ok(pack_listing_add(&l, "file", NULL, "a/b c.d/\xc3\xa9..", 0, &err));
    assert_int_equal(l.count, 1);
    pack_listing_free(&l);
}

/* ---- ADE20K ---- */

static void ade20k(void **state) {
    (void)state;
    tree_fill(&tree,
              TEXTS("images/training/b.jpg", "annotations/training/b.png", "images/training/a.jpg", "annotations/training/a.png",
                    "images/training/.hidden.jpg", "images/training/notes.txt", "images/validation/v.jpg", "annotations/validation/v.png"));
    const char *const train[][3] = {{"images/training/a.jpg", "annotations/training/a.png", "a"},
                                    {"images/training/b.jpg", "annotations/training/b.png", "b"}};
    const char *const val[][3] = {{"images/validation/v.jpg", "annotations/validation/v.png", "v"}};
    const char *const names[][2] = {{"train", "val"}, {"training", "validation"}};
    for (int i = 0; i < 2; i++) {
        tree.options.split = names[i][0];
        list_ok(&packer_ade20k);
        assert_tree_lists(&tree, 2, train);
        tree.options.split = names[i][1];
        list_ok(&packer_ade20k);
        assert_tree_lists(&tree, 1, val);
    }
    assert_string_equal(tree.info->task, "segmentation");
    assert_int_equal(tree.info->classes, 150);
    assert_int_equal(tree.table.classes, 150);
    assert_int_equal(tree.listing.items[0].class_index, -1);
    tree.options.split = "test";
    assert_int_equal(tree_list(&tree, &packer_ade20k), ENTRAIN_USAGE);
    assert_tree_told(&tree, TEXTS("'test'", "train and val"));
}

static void faults_of_pairs(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("images/training/a.jpg", "annotations/training/a.png", "images/training/b.jpg", "annotations/training/c.png",
                           "images/training/d.JPG", "annotations/training/d.png", "images/training/e.png", "annotations/training/f.jpg",
                           "images/training/deep/g.jpg", "annotations/training/g.txt"));
    tree_fill(&tree, TEXTS("images/training/h.jpg", "images/training/h.Jpg", "annotations/training/h.png", "annotations/training/h.PNG"));
    list_ok(&packer_ade20k);
    assert_tree_faults(&tree, 7,
                       TEXTS("images/training/b.jpg: this picture has no label (b.png is missing in ", "annotations/training)",
                             "annotations/training/c.png: this label has no picture (c.jpg is missing in ",
                             "images/training/e.png: what is this file? The name of a picture ends in .jpg",
                             "annotations/training/f.jpg: what", "images/training/deep: a folder among the pictures",
                             "images/training/h.jpg: there is ", "images/training/h.Jpg, too", "annotations/training/h.png: there is "));
    assert_int_equal(tree.listing.count, 3); /* a, d, h */
}

static void sources_that_are_not_there(void **state) {
    (void)state;
    static const packer *const all[] = {&packer_ade20k, &packer_camvid, &packer_cityscapes, &packer_imagefolder};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tree.options.root = tree.root;
        assert_int_equal(tree_list(&tree, all[i]), ENTRAIN_DATA);
        assert_tree_told(&tree, TEXTS(tree.root, "cannot be opened", "--root names", "README.md"));
        tree.options.root = NULL;
        assert_int_equal(tree_list(&tree, all[i]), ENTRAIN_USAGE);
        assert_tree_told(&tree, TEXTS("needs --root"));
    }
}

static void empty_splits(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("images/training/x.txt", "annotations/training/x.txt"));
    assert_int_equal(tree_list(&tree, &packer_ade20k), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("images/training: no pictures there", "annotations/training"));
}

/* ---- Cityscapes ---- */

static void cityscapes(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("leftImg8bit/train/ulm/ulm_1_leftImg8bit.png", "gtFine/train/ulm/ulm_1_gtFine_labelIds.png",
                           "leftImg8bit/train/aachen/aachen_2_leftImg8bit.png", "gtFine/train/aachen/aachen_2_gtFine_labelIds.png",
                           "gtFine/train/aachen/aachen_2_gtFine_color.png", "gtFine/train/aachen/aachen_2_gtFine_instanceIds.png",
                           "gtFine/train/aachen/aachen_2_gtFine_labelTrainIds.png", "gtFine/train/aachen/aachen_2_gtFine_polygons.json"));
    const char *const expected[][3] = {
        {"leftImg8bit/train/aachen/aachen_2_leftImg8bit.png", "gtFine/train/aachen/aachen_2_gtFine_labelIds.png", "aachen_2"},
        {"leftImg8bit/train/ulm/ulm_1_leftImg8bit.png", "gtFine/train/ulm/ulm_1_gtFine_labelIds.png", "ulm_1"}};
    list_ok(&packer_cityscapes);
    assert_tree_lists(&tree, 2, expected);
    assert_int_equal(tree.info->classes, 19);

    tree_drop(&tree, "gtFine/train/ulm/ulm_1_gtFine_labelIds.png");
    tree_fill(&tree, TEXTS("leftImg8bit/train/ulm/ulm_3.png", "gtFine/train/bonn/bonn_4_gtFine_labelIds.png"));
    list_ok(&packer_cityscapes);
    assert_tree_faults(&tree, 3,
                       TEXTS("ulm_1_leftImg8bit.png: this picture has no label (ulm_1_gtFine_labelIds.png is missing",
                             "ulm_3.png: what is this file? The name of a picture ends in _leftImg8bit.png",
                             "bonn_4_gtFine_labelIds.png: this label has no picture (bonn_4_leftImg8bit.png"));
}

/* ---- CamVid ---- */

static void camvid_as_for_segnet(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("val/b.png", "valannot/b.png", "val/a.png", "valannot/a.png"));
    const char *const expected[][3] = {{"val/a.png", "valannot/a.png", "a"}, {"val/b.png", "valannot/b.png", "b"}};
    tree.options.split = "val";
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 2, expected);
    assert_int_equal(tree.table.label_color_count, 0);
    tree_put(&tree, "list.txt", "\n  b\r\n");
    tree.options.list = tree_path(&tree, "list.txt");
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 1, expected + 1);
}

#define FRAME(id) "701_StillsRaw_full/" id ".png", "LabeledApproved_full/" id "_L.png"

static void camvid_as_published(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS(FRAME("0001TP_006690"), FRAME("0001TP_008520"), FRAME("0001TP_008550"), FRAME("0001TP_010380"),
                           FRAME("0006R0_f00930"), FRAME("0016E5_00390"), FRAME("0016E5_07920"), FRAME("0016E5_07959"),
                           FRAME("0016E5_08159"), FRAME("0016E5_08190"), FRAME("0016E5_08640"), FRAME("Seq05VD_f00000")));
    const char *const train[][3] = {{FRAME("0001TP_006690"), "0001TP_006690"}, {FRAME("0001TP_008520"), "0001TP_008520"},
                                    {FRAME("0006R0_f00930"), "0006R0_f00930"}, {FRAME("0016E5_00390"), "0016E5_00390"},
                                    {FRAME("0016E5_07920"), "0016E5_07920"},   {FRAME("0016E5_08190"), "0016E5_08190"},
                                    {FRAME("0016E5_08640"), "0016E5_08640"}};
    const char *const val[][3] = {{FRAME("0016E5_07959"), "0016E5_07959"}, {FRAME("0016E5_08159"), "0016E5_08159"}};
    const char *const test[][3] = {
        {FRAME("0001TP_008550"), "0001TP_008550"}, {FRAME("0001TP_010380"), "0001TP_010380"}, {FRAME("Seq05VD_f00000"), "Seq05VD_f00000"}};
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 7, train);
    tree.options.split = "val";
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 2, val);
    tree.options.split = "test";
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 3, test);
    assert_int_equal(tree.table.label_color_count, 32);
    assert_int_equal(tree.info->classes, 11);

    tree_fill(&tree, TEXTS("701_StillsRaw_full/0001TP_6690.png", "701_StillsRaw_full/0001TP_0066900.png",
                           "LabeledApproved_full/Seq05VD_f00001.png"));
    list_ok(&packer_camvid);
    assert_tree_faults(&tree, 3,
                       TEXTS("0001TP_0066900.png: a frame", "0001TP_6690.png: a frame that is in none of the splits",
                             "Seq05VD_f00001.png: what is this file?"));

    tree.options.split = "mine";
    assert_int_equal(tree_list(&tree, &packer_camvid), ENTRAIN_USAGE);
    assert_tree_told(&tree, TEXTS("'mine'", "train, val and test", "--list"));
    tree_drop(&tree, "LabeledApproved_full/Seq05VD_f00001.png");
    tree_put(&tree, "list.txt", "0016E5_08159\n0016E5_07959\n");
    tree.options.list = tree_path(&tree, "list.txt");
    list_ok(&packer_camvid);
    assert_tree_lists(&tree, 2, val);
}

/* ---- folders of one's own ---- */

static const char TABLE[] = "{\"classes\": [{\"name\": \"a\", \"color\": [1, 2, 3], \"ids\": [0]}]}";

static void own_folders(void **state) {
    (void)state;
    tree_fill(&tree, TEXTS("images/b.jpeg", "labels/b.png", "images/a.png", "labels/a.png"));
    tree_put(&tree, "table.json", TABLE);
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_USAGE);
    assert_tree_told(&tree, TEXTS("needs --classes"));
    char classes[CASE_PATH];
    (void)snprintf(classes, sizeof classes, "%s", tree_path(&tree, "table.json"));
    tree.options.classes = classes;
    const char *const whole[][3] = {{"images/a.png", "labels/a.png", "a"}, {"images/b.jpeg", "labels/b.png", "b"}};
    list_ok(&packer_folder);
    assert_tree_lists(&tree, 2, whole);
    assert_int_equal(tree.info->classes, 1);
    assert_string_equal(tree.info->names[0], "a");

    tree_fill(&tree, TEXTS("pics/val/c.JPG", "masks/val/c.PNG"));
    const char *const val[][3] = {{"pics/val/c.JPG", "masks/val/c.PNG", "c"}};
    tree.options.split = "val";
    tree.options.images_folder = "pics";
    tree.options.labels_folder = "masks";
    list_ok(&packer_folder);
    assert_tree_lists(&tree, 1, val);
    tree.options.labels_folder = "labels";
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("pics/val: there is a folder of the split 'val', but none beside ", "labels. "));

    tree.options.split = "vla";
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("pics: there is no folder of the split 'vla' there, but: val."));

    tree_put(&tree, "table.json", "{}");
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("table.json", "classes: 0"));
}

static void lists_of_ids(void **state) {
    (void)state;
    char list[CASE_PATH], classes[CASE_PATH];
    (void)snprintf(list, sizeof list, "%s", tree_path(&tree, "list.txt"));
    (void)snprintf(classes, sizeof classes, "%s", tree_path(&tree, "table.json"));
    tree_fill(&tree, TEXTS("images/a.jpg", "labels/a.png", "images/b.jpg", "images/c.jpg", "labels/c.png", "images/d.jpg"));
    tree_put(&tree, "table.json", TABLE);
    tree.options.classes = classes;
    tree.options.list = list;
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("list.txt: cannot be read"));
    tree_put(&tree, "list.txt", "c\na\n"); /* b and d, which lack a label, are not asked for */
    const char *const expected[][3] = {{"images/a.jpg", "labels/a.png", "a"}, {"images/c.jpg", "labels/c.png", "c"}};
    list_ok(&packer_folder);
    assert_tree_lists(&tree, 2, expected);
    tree_put(&tree, "list.txt", "a\nb\nc\n\na\nx.jpg\n");
    list_ok(&packer_folder);
    assert_tree_faults(&tree, 3,
                       TEXTS("images/b.jpg: this picture has no label", "list.txt:5: the id 'a' is listed twice",
                             "list.txt:6: there is no picture 'x.jpg' in ", "expected the name of a file without its ending"));
    tree_put(&tree, "list.txt", " \n\n");
    assert_int_equal(tree_list(&tree, &packer_folder), ENTRAIN_DATA);
    assert_tree_told(&tree, TEXTS("list.txt: the list is empty"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings_are_sorted_and_copied),
        cmocka_unit_test(ids_have_room),
        cmocka_unit_test(ids_are_plain_paths),
        cmocka_unit_test_setup_teardown(ade20k, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_of_pairs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sources_that_are_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cityscapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(camvid_as_for_segnet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(camvid_as_published, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_of_ids, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
