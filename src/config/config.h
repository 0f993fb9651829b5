/*
 * The configuration of a run: one struct, filled from JSON through one table of keys (table.c), which also drives the checks,
 * --help, the resolved config.json and the JSON schema.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "entrain/status.h"
#include "norm/spec.h"

enum { CONFIG_TEXT = 512, CONFIG_MAX_LIST = 256 };

typedef enum config_task { TASK_SEGMENTATION } config_task;
typedef enum config_backbone { BACKBONE_RESNET18, BACKBONE_RESNET34, BACKBONE_RESNET50, BACKBONE_RESNET101 } config_backbone;
typedef enum config_head { HEAD_DEEPLAB_V2, HEAD_FCN } config_head;
typedef enum config_optimizer { OPTIMIZER_SGD } config_optimizer;
typedef enum config_schedule { SCHEDULE_POLY, SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_CONSTANT } config_schedule;
typedef enum config_eval_mode { EVAL_WHOLE, EVAL_SLIDE } config_eval_mode;
typedef enum config_precision { PRECISION_FP32, PRECISION_BF16 } config_precision;

typedef struct config_list {
    int count;
    double values[CONFIG_MAX_LIST];
} config_list;

typedef struct config {
    config_task task;
    struct {
        config_backbone backbone;
        int output_stride; /* 8, 16, 32 */
        config_head head;
        double aux_weight;      /* 0: no auxiliary head */
        double dropout;         /* in fcn heads */
        char init[CONFIG_TEXT]; /* weights file; "" for null */
    } model;
    norm_spec norm;
    struct {
        char train[CONFIG_TEXT], val[CONFIG_TEXT]; /* shard folders; val "" for null */
        int crop[2];                               /* h, w; 0, 0 for null: the whole stored image, all of one size */
        double scale[2];
        double cat_max_ratio; /* 1: any crop will do */
        bool flip;
        bool photometric;
        double mean[3], std[3]; /* units of 0..1 */
        int workers;            /* loader threads; 0: the program chooses */
    } data;
    struct {
        int global_batch;
        int64_t iterations;
        uint64_t seed; /* at most 2^53 */
        config_precision precision;
        bool tf32;
        bool shuffle;
        int64_t log_every, checkpoint_every, eval_every; /* 0: never (checkpoint and eval: only at the end) */
        int keep;                                        /* periodic checkpoints to keep; 0: all */
        config_list class_weights;                       /* count 0 for null */
    } train;
    struct {
        config_optimizer type;
        double lr, momentum, weight_decay, head_lr_multiplier;
        double clip_norm; /* 0: off */
        bool nesterov;
        bool decay_norm; /* decay norm parameters and biases too */
    } optimizer;
    struct {
        config_schedule type;
        double power;           /* poly */
        int64_t warmup;         /* iterations of linear warm-up */
        config_list milestones; /* step: iterations at which lr is multiplied by gamma */
        double gamma;
    } schedule;
    struct {
        config_list scales;      /* factors */
        config_list short_sides; /* pixels, in place of scales; count 0 for null */
        int max_side;            /* with short_sides: cap of the longer side; 0: none */
        bool flip;
        config_eval_mode mode;
        int crop[2], stride[2]; /* of windows, h, w; 0, 0 for null: data.crop, and two thirds of the crop */
    } eval;
} config;

/*
 * Read a configuration from JSON text. source names it in messages (the file's path). overrides: `key.path=value` texts as
 * given to --set (the value is JSON, or a bare word taken as a string), applied after the file, with the same checks.
 * All mistakes are reported in one error (ENTRAIN_CONFIG), a line each: key path, what was found, what was expected, the nearest
 * valid name. out is filled with defaults and everything that was right even then.
 */
entrain_status config_parse(const char *text, const char *source, const char *const *overrides, int override_count, config *out,
                            entrain_error *err);

/* Read a whole file into newly allocated text; the caller frees it. ENTRAIN_CONFIG where it cannot be read. */
entrain_status config_read_file(const char *path, char **text, entrain_error *err);

/* The resolved configuration as JSON text with every key; the caller frees it. NULL when out of memory. config_parse takes it back
 * unchanged. */
char *config_to_json(const config *c);

/* The JSON schema (draft-07) of the configuration file; the caller frees it. */
char *config_schema(void);

/* Print the table of keys, with type, default, range and meaning, to stdout: plain text, or a Markdown table. */
void config_print_help(void);
void config_print_markdown(void);

/* The windows of eval.mode slide and the step between them, (h,w): false, and zeros, where images are evaluated whole. */
bool config_windows(const config *c, int crop[2], int stride[2]);

/* The name that the table uses for an enumerated value, for example config_name("norm.type", NORM_EN) == "en". */
const char *config_name(const char *key_path, int value);

#endif
