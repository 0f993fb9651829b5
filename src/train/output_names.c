/* See output_names.h: names are kept in a balanced tree. */
#include "train/output_names.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { NUMBER = 24 /* room for the longest ending and number */ };

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

void output_names_free(output_names *n) {
    while (n->tree != NULL) {
        char *name = *(char **)n->tree; /* a node begins with its key */
        (void)tdelete(name, &n->tree, compare);
        free(name);
    }
}

void output_stem(const char *path, char name[OUTPUT_NAME]) {
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    size_t length = dot == NULL || dot == base ? strlen(base) : (size_t)(dot - base);
    if (length > OUTPUT_NAME - NUMBER) length = OUTPUT_NAME - NUMBER;
    if (strspn(base, ".") >= length) base = "image", length = strlen(base); /* "", "." and ".." are folders, or nothing */
    (void)snprintf(name, OUTPUT_NAME, "%.*s", (int)length, base);
}

static bool is_taken(const output_names *n, const char *name) {
    return tfind(name, &n->tree, compare) != NULL;
}

bool output_names_take(output_names *n, const char *name, bool *failed) {
    *failed = false;
    if (is_taken(n, name)) return false;
    char *copy = strdup(name);
    if (copy != NULL && tsearch(copy, &n->tree, compare) != NULL) return true;
    free(copy);
    *failed = true;
    return false;
}

entrain_status output_names_give(output_names *n, const char *wanted, char name[OUTPUT_NAME], entrain_error *err) {
    static const char *const endings[] = {"", "_overlay", "_compare"};
    enum { FILES = sizeof endings / sizeof endings[0] };
    char files[FILES][OUTPUT_NAME];
    bool free_name = false, failed = false;
    for (int number = 1; !free_name; number++) {
        if (number == 1)
            (void)snprintf(name, OUTPUT_NAME, "%.*s", OUTPUT_NAME - NUMBER, wanted);
        else
            (void)snprintf(name, OUTPUT_NAME, "%.*s-%d", OUTPUT_NAME - NUMBER, wanted, number);
        free_name = true;
        for (int i = 0; i < FILES; i++) {
            (void)snprintf(files[i], OUTPUT_NAME, "%.*s%s", OUTPUT_NAME - 9, name, endings[i]);
            if (is_taken(n, files[i])) free_name = false;
        }
    }
    for (int i = 0; i < FILES && !failed; i++) (void)output_names_take(n, files[i], &failed);
    return failed ? error_set(err, ENTRAIN_DEVICE, "out of memory for the names of files") : ENTRAIN_OK;
}

entrain_status output_path(const char *folder, const char *name, const char *ending, char path[OUTPUT_PATH], entrain_error *err) {
    if (snprintf(path, OUTPUT_PATH, "%s/%s%s", folder, name, ending) < OUTPUT_PATH) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_USAGE, "--out %.200s…: the path of %s%s is too long; at most %d bytes", folder, name, ending,
                     OUTPUT_PATH - 1);
}
