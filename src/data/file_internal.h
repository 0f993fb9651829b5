/* Steps of writing a file so that it is complete or absent; file_write does them all, the packer one by one. */
#ifndef DATA_FILE_INTERNAL_H
#define DATA_FILE_INTERNAL_H

#include <stddef.h>

#include "entrain/status.h"

/* Give temporary its final name (replacing what has it) and sync the folder. temporary is removed where that fails. */
entrain_status file_publish(const char *temporary, const char *path, entrain_error *err);
/* file_write without syncing: complete or absent unless the power fails. For many small files that can be made again. */
entrain_status file_write_fast(const char *path, const void *bytes, size_t size, entrain_error *err);

#endif
