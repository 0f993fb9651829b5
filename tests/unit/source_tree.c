#include "source_tree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

void tree_make(source_tree *t) {
    memset(t, 0, sizeof *t);
    case_folder_make(t->root);
    t->info = calloc(1, sizeof *t->info);
    assert_non_null(t->info);
    t->options = (pack_options){.dataset = "test", .root = t->root, .split = "train"};
}

void tree_remove(source_tree *t) {
    pack_listing_free(&t->listing);
    free(t->info);
    case_folder_remove(t->root);
}

const char *tree_path(const source_tree *t, const char *name) {
    static char paths[4][CASE_PATH];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(paths[turn], CASE_PATH, "%s/%s", t->root, name);
    return paths[turn];
}

void tree_put(source_tree *t, const char *name, const char *text) {
    char folder[CASE_PATH];
    (void)snprintf(folder, sizeof folder, "%s", tree_path(t, name));
    *strrchr(folder, '/') = '\0';
    entrain_error err;
    assert_ok(file_make_folder(folder, &err));
    assert_ok(file_write(tree_path(t, name), text, strlen(text), &err));
}

void tree_fill(source_tree *t, const char *const *names) {
    for (int i = 0; names[i] != NULL; i++) tree_put(t, names[i], "x");
}

void tree_drop(source_tree *t, const char *name) {
    assert_int_equal(unlink(tree_path(t, name)), 0);
}

entrain_status tree_list(source_tree *t, const packer *p) {
    pack_listing_free(&t->listing);
    memset(t->info, 0, sizeof *t->info);
    t->err.text[0] = '\0';
    return p->list(&t->options, &t->listing, &t->table, t->info, &t->err);
}

void assert_tree_lists(const source_tree *t, int count, const char *const expected[][3]) {
    if (t->listing.faults.count > 0) fail_msg("faults: %s", t->listing.faults.list.text);
    assert_int_equal(t->listing.count, count);
    for (int i = 0; i < count; i++) {
        const pack_item *item = &t->listing.items[i];
        assert_string_equal(item->image, tree_path(t, expected[i][0]));
        if (expected[i][1] == NULL)
            assert_null(item->label);
        else
            assert_string_equal(item->label, tree_path(t, expected[i][1]));
        assert_string_equal(item->id, expected[i][2]);
    }
}

static void assert_texts(const char *text, const char *const *told) {
    for (int i = 0; told[i] != NULL; i++)
        if (strstr(text, told[i]) == NULL) fail_msg("'%s' expected in: %s", told[i], text);
}

void assert_tree_faults(const source_tree *t, int count, const char *const *told) {
    if (t->listing.faults.count != count) fail_msg("%d faults: %s", (int)t->listing.faults.count, t->listing.faults.list.text);
    assert_texts(t->listing.faults.list.text, told);
}

void assert_tree_told(const source_tree *t, const char *const *told) {
    assert_texts(t->err.text, told);
}
