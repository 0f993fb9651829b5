/* Steps of writing a file so that it is complete or absent; file_write does them all, the shard writer one by one. */
#ifndef DATA_FILE_INTERNAL_H
#define DATA_FILE_INTERNAL_H

#include "entrain/status.h"

/* Write what the system still holds back of this file to disk. */
entrain_status file_sync(const char *path, entrain_error *err);
/* Give temporary its final name (replacing what has it) and sync the folder. temporary is removed where that fails. */
entrain_status file_publish(const char *temporary, const char *path, entrain_error *err);

#endif
