/* Making renames last through a power cut. */
#ifndef BASE_SYNC_H
#define BASE_SYNC_H

#include <stdbool.h>

/* false with errno where it fails; file systems that cannot do it for folders are no failure. */
bool sync_folder(const char *folder);
/* The same for the folder that holds the file at path. */
bool sync_folder_of(const char *path);

#endif
