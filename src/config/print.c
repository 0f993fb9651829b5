/* The table written out for people: --help and the README's table. */
#include <stdio.h>
#include <string.h>

#include "config/value.h"

enum { WIDTH = 100, COLUMN = 32, TEXT = 768 };

/* Meaning, what is taken, default: one paragraph. */
static void describe(const config_key *key, char text[TEXT]) {
    char expected[256];
    (void)snprintf(text, TEXT, "%s Takes %s; default %s.", key->help, config_expected(key, expected, sizeof expected), key->fallback);
}

/* Print words from column on, broken before width. The cursor stands at column already. */
static void print_wrapped(const char *text, int column, int width) {
    int at = column;
    for (const char *word = text; *word != '\0';) {
        const int length = (int)strcspn(word, " ");
        if (at > column && at + 1 + length > width) {
            printf("\n%*s", column, "");
            at = column;
        }
        if (at > column) at += printf(" ");
        at += printf("%.*s", length, word);
        word += length;
        word += strspn(word, " ");
    }
    printf("\n");
}

static void print_section(const config_section *section) {
    for (int i = 0; i < config_key_count; i++) {
        if (config_section_of(&config_keys[i]) != section) continue;
        char text[TEXT];
        describe(&config_keys[i], text);
        printf("  %-*s", COLUMN - 2, config_keys[i].path);
        print_wrapped(text, COLUMN, WIDTH);
    }
}

void config_print_help(void) {
    print_wrapped(
        "The configuration is a JSON file of nested objects: train.seed below is {\"train\": {\"seed\": 1}}. Every key may be left out. Any of "
        "them can be given on the command line as well, as --set train.seed=1; text needs no quotes there, lists no brackets. "
        "Names of folders and files are relative to the current working directory. \"$schema\" and \"$comment\" may hold any text.",
        0, WIDTH);
    printf("\n");
    print_section(NULL);
    for (int i = 0; i < config_section_count; i++) {
        printf("\n%s: ", config_sections[i].name);
        print_wrapped(config_sections[i].help, (int)strlen(config_sections[i].name) + 2, WIDTH);
        print_section(&config_sections[i]);
    }
}

void config_print_markdown(void) {
    printf("| Key | Default | Takes | Meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < config_key_count; i++) {
        const config_key *key = &config_keys[i];
        char expected[256];
        printf("| `%s` | `%s` | %s | %s |\n", key->path, key->fallback, config_expected(key, expected, sizeof expected), key->help);
    }
}
