/* Mistakes, collected; and the edit distance (optimal string alignment) behind "did you mean". */
#include "config/report.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 640, LINES_KEPT = ENTRAIN_ERROR_TEXT - 2048, LONGEST_NAME = 63 };

void config_mistake(config_report *r, const char *format, ...) {
    char line[LINE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++) {
        if (iscntrl((unsigned char)*p)) *p = '?';
    }
    r->mistakes++;
    if (strlen(r->lines.text) < LINES_KEPT) error_add(&r->lines, ENTRAIN_CONFIG, "%s", line);
}

entrain_status config_verdict(const config_report *r, const char *source, entrain_error *err) {
    if (r->mistakes == 0) return ENTRAIN_OK;
    error_set(err, ENTRAIN_CONFIG, "%.512s: %d mistake%s in the configuration:", source, r->mistakes, r->mistakes == 1 ? "" : "s");
    error_add(err, ENTRAIN_CONFIG, "%s", r->lines.text);
    int told = 1;
    for (const char *p = r->lines.text; *p != '\0'; p++) told += *p == '\n';
    if (told < r->mistakes) error_add(err, ENTRAIN_CONFIG, "... and %d more", r->mistakes - told);
    return ENTRAIN_CONFIG;
}

static int min3(int a, int b, int c) {
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edits (change, insert, delete, swap neighbours) that turn a into b; a large number where one is too long to be a name. */
static int edit_distance(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST_NAME || m > LONGEST_NAME) return LONGEST_NAME;
    int rows[3][LONGEST_NAME + 1]; /* distances from the first i-2, i-1 and i letters of a to the first j of b */
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++) before[j] = last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            const int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (ca != cb));
            const bool swapped = i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]);
            if (swapped && before[j - 2] + 1 < now[j]) now[j] = before[j - 2] + 1;
        }
        int *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[m];
}

void config_guess_try(config_guess *g, const char *wanted, const char *candidate) {
    const int distance = edit_distance(wanted, candidate);
    if (g->name != NULL && g->distance <= distance) return;
    g->name = candidate;
    g->distance = distance;
}

const char *config_guess_name(const config_guess *g, const char *wanted) {
    const int third = (int)(strlen(wanted) / 3);
    return g->name != NULL && g->distance <= (third > 1 ? third : 1) ? g->name : NULL;
}

const char *config_nearest_key(const char *path) {
    const char *dot = strrchr(path, '.'), *leaf = dot == NULL ? path : dot + 1;
    config_guess any = {0}, same_name = {0};
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        config_guess_try(&any, path, key->path);
        if (strcmp(config_leaf(key), leaf) == 0) config_guess_try(&same_name, path, key->path);
    }
    for (int i = 0; dot == NULL && i < config_section_count; i++) config_guess_try(&any, path, config_sections[i].name);
    return same_name.name != NULL ? same_name.name : config_guess_name(&any, leaf);
}
