/* Collecting every mistake of a configuration before any is told, and finding the name that a wrong one was probably meant to be. */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include "base/error.h"
#include "config/table.h"

typedef struct config_report {
    int mistakes;
    entrain_error lines;       /* one mistake a line; once it is full, further ones are only counted */
    bool bad[CONFIG_MAX_KEYS]; /* rows with a mistake of their own: rules about several keys leave them alone */
} config_report;

/* Note a mistake: one line, printf format. Control characters, which could only come from the user's text, become '?'. */
void config_mistake(config_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The final error, ENTRAIN_CONFIG with source's name on top, or ENTRAIN_OK when there were no mistakes. */
entrain_status config_verdict(const config_report *r, const char *source, entrain_error *err);

/* The best candidate so far for a name that is not known; starts as zeros. */
typedef struct config_guess {
    const char *name;
    int distance;
} config_guess;

/* Compare one more candidate, by the number of letters wrong, missing, too many or swapped; case does not count. */
void config_guess_try(config_guess *g, const char *wanted, const char *candidate);
/* The candidate, or NULL when even the best is too far to be meant: more than a third of the letters of wanted (or of a part of it). */
const char *config_guess_name(const config_guess *g, const char *wanted);
/* The key path or section nearest to an unknown path; a key of the same name in another section wins. NULL when none is near. */
const char *config_nearest_key(const char *path);

#endif
