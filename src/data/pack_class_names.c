/* Names of classes, read from a file or gathered from folders. There are thousands at most, so they are searched one by one. */
#include "data/pack_class_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/shard_internal.h"

entrain_status class_names_add(class_names *n, const char *line, entrain_error *err) {
    if (n->count == n->capacity) {
        const int64_t capacity = n->capacity > 0 ? 2 * n->capacity : 64;
        char **lines = realloc(n->lines, (size_t)capacity * sizeof *lines);
        if (lines == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory for the names of classes.");
        n->lines = lines;
        n->capacity = capacity;
    }
    n->lines[n->count] = strdup(line);
    if (n->lines[n->count] == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory for the names of classes.");
    n->count++;
    return ENTRAIN_OK;
}

entrain_status class_names_read(class_names *n, const char *path, entrain_error *err) {
    pack_lines lines;
    entrain_error failure = {.status = ENTRAIN_OK};
    entrain_status status = pack_lines_open(&lines, path, err);
    if (status != ENTRAIN_OK) return status;
    for (const char *line = pack_lines_next(&lines); line != NULL && status == ENTRAIN_OK; line = pack_lines_next(&lines))
        status = class_names_add(n, line, err);
    const entrain_status closed = pack_lines_close(&lines, &failure);
    return status != ENTRAIN_OK || closed == ENTRAIN_OK ? status : error_set(err, closed, "%s", failure.text);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void class_names_sort(class_names *n) {
    if (n->count > 0) qsort(n->lines, (size_t)n->count, sizeof *n->lines, by_text);
}

void class_names_free(class_names *n) {
    for (int64_t i = 0; i < n->count; i++) free(n->lines[i]);
    free(n->lines);
    memset(n, 0, sizeof *n);
}

int32_t class_names_find(const class_names *n, const char *folder) {
    const size_t length = strlen(folder);
    int32_t found = -1;
    int words = 0;
    for (int64_t k = 0; k < n->count; k++) {
        const char *line = n->lines[k];
        if (strncmp(line, folder, length) != 0) continue;
        if (line[length] == '\0') return (int32_t)k;
        if (line[length] != ' ' && line[length] != '\t') continue;
        found = (int32_t)k;
        words++;
    }
    return words == 1 ? found : -1;
}

/* As much of a line as a name may have: whole synonyms, or else whole characters of UTF-8. */
static void cut_name(const char *line, char out[SHARD_NAME]) {
    (void)snprintf(out, SHARD_NAME, "%s", line);
    if (strlen(line) < SHARD_NAME) return;
    char *comma = strrchr(out, ',');
    if (comma != NULL && comma > out) {
        *comma = '\0';
        return;
    }
    size_t end = SHARD_NAME - 1;
    while (end > 1 && ((unsigned char)line[end] & 0xC0) == 0x80) end--; /* what follows the cut is no continuation */
    out[end] = '\0';
}

entrain_status class_names_describe(const class_names *n, const char *source, shard_info *info, entrain_error *err) {
    const int64_t most = (int64_t)(sizeof info->names / sizeof info->names[0]);
    if (n->count < 1 || n->count > most)
        return error_set(err, ENTRAIN_DATA, "%s: %lld classes; expected 1 to %lld.", source, (long long)n->count, (long long)most);
    (void)snprintf(info->task, sizeof info->task, SHARD_CLASSIFICATION);
    info->classes = (int)n->count;
    for (int64_t k = 0; k < n->count; k++) {
        cut_name(n->lines[k], info->names[k]);
        for (char *tab = strchr(info->names[k], '\t'); tab != NULL; tab = strchr(tab, '\t')) *tab = ' '; /* ids and words in columns */
        if (!shard_plain_text(info->names[k], SHARD_NAME))
            return error_set(err, ENTRAIN_DATA, "%s: the name of class %lld has control characters.", source, (long long)k);
        for (int64_t other = 0; other < k; other++)
            if (strcmp(info->names[other], info->names[k]) == 0)
                return error_set(err, ENTRAIN_DATA, "%s: the classes %lld and %lld have one name, '%s'.", source, (long long)other,
                                 (long long)k, info->names[k]);
    }
    return ENTRAIN_OK;
}
