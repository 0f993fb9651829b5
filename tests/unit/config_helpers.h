/* Shared by the tests of the configuration: one place to parse into, and what is expected of every result. */
#ifndef CONFIG_HELPERS_H
#define CONFIG_HELPERS_H

#include "config/config.h"

/* Where config_try leaves what it read, and the error. */
extern config parsed;
extern entrain_error config_error;

/* Parse a text, under the name run.json, with up to two overrides (NULL: none). */
entrain_status config_try(const char *text, const char *first, const char *second);
/* It has no mistake. */
void config_expect_good(const char *text, const char *first, const char *second);
/* It has exactly one mistake, whose line is this one. */
void config_expect_mistake(const char *text, const char *override, const char *line);
/* What was parsed last comes back from its own JSON, byte for byte, and so does the text. */
void config_expect_round_trip(void);

/* The project's folder, and a file in it (the caller frees the text). */
const char *config_source_folder(void);
char *config_read_source(const char *name);

#endif
