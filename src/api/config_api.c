/* Configurations for the public API. */
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"

/* Rank 0 reads the file; the others get its text. The text belongs to the caller. */
static entrain_status read_shared(entrain_job *job, const char *path, char **text, entrain_error *err) {
    comm *c = job == NULL ? NULL : job->c;
    if (c == NULL || c->size == 1) return config_read_file(path, text, err);
    *text = NULL;
    entrain_status status = c->rank == 0 ? config_read_file(path, text, err) : ENTRAIN_OK;
    status = job_agree(job, status, err);
    if (status != ENTRAIN_OK) return status;
    int64_t size = c->rank == 0 ? (int64_t)strlen(*text) + 1 : 0;
    status = comm_broadcast(c, &size, 1, COMM_I64, 0, NULL);
    if (status == ENTRAIN_OK && c->rank != 0 && (*text = malloc((size_t)size)) == NULL)
        return error_set(err, ENTRAIN_DEVICE, "out of memory for the configuration");
    if (status == ENTRAIN_OK) status = comm_broadcast(c, *text, (size_t)size, COMM_BYTE, 0, NULL);
    return status == ENTRAIN_OK ? status : error_set(err, ENTRAIN_COMM, "%s", c->error.text);
}

entrain_status entrain_config_load(entrain_job *job, const char *path, const char *const *overrides, int override_count,
                                   entrain_config **out, entrain_error *err) {
    char *text = NULL;
    *out = NULL;
    entrain_config *made = calloc(1, sizeof *made);
    entrain_status status = made == NULL ? error_set(err, ENTRAIN_DEVICE, "out of memory for the configuration") : ENTRAIN_OK;
    if (status == ENTRAIN_OK) status = read_shared(job, path, &text, err);
    if (status == ENTRAIN_OK) status = config_parse(text, path, overrides, override_count, &made->c, err);
    free(text);
    if (status != ENTRAIN_OK) {
        if (job != NULL) job->agreed = true; /* the same text and overrides on every rank: the same error */
        free(made);
        return status;
    }
    *out = made;
    return ENTRAIN_OK;
}

void entrain_config_free(entrain_config *settings) {
    free(settings);
}

char *entrain_config_json(const entrain_config *settings) {
    return config_to_json(&settings->c);
}

char *entrain_config_schema(void) {
    return config_schema();
}

void entrain_config_print_help(int markdown) {
    if (markdown)
        config_print_markdown();
    else
        config_print_help();
}
