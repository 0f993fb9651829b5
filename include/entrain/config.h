/* Configurations: JSON files checked against the table of keys. */
#ifndef ENTRAIN_CONFIG_H
#define ENTRAIN_CONFIG_H

#include "entrain/job.h"
#include "entrain/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_config entrain_config;

/*
 * Read and check a configuration file; rank 0 reads it, all ranks get the same text. job may be NULL for a single process. overrides:
 * `key.path=value` texts. All mistakes come in one error (ENTRAIN_CONFIG). The configuration belongs to the caller.
 */
ENTRAIN_API entrain_status entrain_config_load(entrain_job *job, const char *path, const char *const *overrides, int override_count,
                                               entrain_config **out, entrain_error *err);
ENTRAIN_API void entrain_config_free(entrain_config *config);
/* Fully resolved, as JSON text; the caller frees it. NULL when out of memory. */
ENTRAIN_API char *entrain_config_json(const entrain_config *config);
/* The JSON schema that editors can use, as text; the caller frees it. */
ENTRAIN_API char *entrain_config_schema(void);
/* All keys with type, default, range and meaning, to stdout: plain text, or a Markdown table. */
ENTRAIN_API void entrain_config_print_help(int markdown);

#ifdef __cplusplus
}
#endif
#endif
