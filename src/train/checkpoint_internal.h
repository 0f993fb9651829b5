/* What the files of the checkpoint module share: the format's names, its checksum, and the index of a file's tensors. */
#ifndef TRAIN_CHECKPOINT_INTERNAL_H
#define TRAIN_CHECKPOINT_INTERNAL_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "entrain/status.h"
#include "model/params.h"
#include "train/checkpoint.h"

enum { CHECKPOINT_FORMAT = 1 };

/* The groups' paths; lists are told apart by these pointers. */
extern const char checkpoint_model[], checkpoint_momentum[];

/* The checksum over the root attributes, and its continuation over one tensor; defined in checkpoint.h. NULL texts count as empty. */
uint32_t checkpoint_sum_meta(int64_t format, const checkpoint_meta *meta, const char *entrain_version);
uint32_t checkpoint_sum_tensor(uint32_t sum, const char *folder, const char *name, const char *methods, int rank, const hsize_t dims[],
                               const float *values, size_t count);

/* A dataset in a file, as its header describes it. */
typedef struct stored_tensor {
    char *name;
    char *methods; /* NULL where there is no such attribute */
    int rank;
    hsize_t dims[H5S_MAX_RANK];
    size_t count; /* product of dims; 0 where that is beyond all reason */
    bool numeric; /* floats or integers, which libhdf5 converts to float32 */
} stored_tensor;

/* The datasets of one group, names ascending bytewise. */
typedef struct stored_list {
    const char *folder; /* path of the group */
    hid_t group;        /* open while the list lives; negative where the file has no such group */
    stored_tensor *tensors;
    int count, capacity;
} stored_list;

/* ---- checkpoint_index.c ---- */

/* Say that libhdf5 failed on a part of the file. Returns ENTRAIN_DATA. */
entrain_status checkpoint_damaged(const char *path, const char *part, entrain_error *err);
/* list: zeroed; a missing group makes an empty list. Close it whatever comes back. */
entrain_status stored_list_open(const char *path, hid_t file, const char *folder, stored_list *list, entrain_error *err);
void stored_list_close(stored_list *list);
const stored_tensor *stored_list_find(const stored_list *list, const char *name);
/* "(64,3,7,7)" */
const char *stored_shape(int rank, const hsize_t dims[], char text[64]);
/* dims of a parameter as libhdf5 wants them. */
void stored_dims(const param *p, hsize_t dims[PARAM_MAX_DIMS]);

/* ---- checkpoint_compare.c ---- */

bool stored_same_shape(const stored_tensor *t, const param *p);
/* Whether both mean the same by their K sets. A file that does not say its methods is taken at its shape. */
bool stored_same_methods(const stored_tensor *t, const param *p);
/* List all that is missing, differs or is too much in the file; momentum may be NULL. err must not be. ENTRAIN_OK where there is nothing.
 */
entrain_status stored_compare(const char *path, const stored_list *model, const stored_list *momentum, const params *p, entrain_error *err);

#endif
