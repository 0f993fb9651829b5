/*
 * Tables of classes: datasets/NAME/classes.json, compiled into the program, and files of the same form given by --classes. A table says
 * which of the data set's own label values become which class, which ones are ignored, and what predict writes. Labels are mapped here and
 * nowhere else.
 */
#ifndef DATA_CLASS_TABLE_H
#define DATA_CLASS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "data/image.h"
#include "data/shard.h"
#include "entrain/status.h"

enum { CLASS_TABLE_COLORS = 256 };

typedef struct class_table {
    int classes;
    char names[SHARD_MAX_CLASSES][SHARD_NAME];
    uint8_t colors[SHARD_MAX_CLASSES][3];
    uint8_t export_ids[256];        /* the data set's own id of each class, and of 255: what predict writes */
    char submit_suffix[SHARD_NAME]; /* put between a sample's id and ".png" by predict --submit; may be empty */
    /* label maps of one channel */
    bool known[256]; /* may this value occur */
    uint8_t to[256]; /* the class it becomes, or SHARD_IGNORE */
    /* label maps whose colours are the labels: count > 0; the values above are then not used */
    int label_color_count;
    struct {
        uint8_t rgb[3], to;
    } label_colors[CLASS_TABLE_COLORS];
} class_table;

/* The table compiled in under this name ("ade20k"); ENTRAIN_USAGE where there is none. */
entrain_status class_table_builtin(const char *name, class_table *out, entrain_error *err);
/* A table from a JSON file. ENTRAIN_DATA with file and key for whatever is wrong: repeated ids or colours, missing names, too many classes.
 */
entrain_status class_table_read(const char *path, class_table *out, entrain_error *err);
/* Put names, colours and export ids into info. */
void class_table_describe(const class_table *t, shard_info *info);
/*
 * Map a decoded label map in place: one channel of the data set's own values (or RGB where the table has label colours) becomes one channel
 * of 0..classes-1 and 255. ENTRAIN_DATA with path, pixel and value for a value that the table does not know.
 */
entrain_status class_table_map(const class_table *t, image *label, const char *path, entrain_error *err);

#endif
