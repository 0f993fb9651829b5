/* The table of keys: every name, type, range, default and explanation of the configuration stands here and nowhere else. */
#include "config/table.h"

#include <limits.h>
#include <string.h>

/* ---- enumerations ---- */

static const config_choice tasks[] = {{"segmentation", TASK_SEGMENTATION}, {"classification", CHOICE_NOT_SUPPORTED}, {NULL, 0}};
static const config_choice backbones[] = {{"resnet18", BACKBONE_RESNET18},
                                          {"resnet34", BACKBONE_RESNET34},
                                          {"resnet50", BACKBONE_RESNET50},
                                          {"resnet101", BACKBONE_RESNET101},
                                          {"shufflenet_v2_x0_5", CHOICE_NOT_SUPPORTED},
                                          {"shufflenet_v2_x1_0", CHOICE_NOT_SUPPORTED},
                                          {NULL, 0}};
static const config_choice heads[] = {
    {"deeplab_v2", HEAD_DEEPLAB_V2}, {"fcn", HEAD_FCN}, {"deeplab_v3", CHOICE_NOT_SUPPORTED}, {"linear", CHOICE_NOT_SUPPORTED}, {NULL, 0}};
static const config_choice strides[] = {{"8", 8}, {"16", 16}, {"32", 32}, {NULL, 0}};
static const config_choice norm_types[] = {{"bn", NORM_BN}, {"in", NORM_IN}, {"ln", NORM_LN}, {"gn", NORM_GN},
                                           {"sn", NORM_SN}, {"en", NORM_EN}, {NULL, 0}};
static const config_choice norm_methods[] = {
    {"bn", NORM_METHOD_BN}, {"in", NORM_METHOD_IN}, {"ln", NORM_METHOD_LN}, {"gn", NORM_METHOD_GN}, {NULL, 0}};
static const config_choice activations[] = {{"tanh", NORM_TANH}, {"relu", NORM_RELU}, {NULL, 0}};
static const config_choice affines[] = {{"per_method", false}, {"single", true}, {NULL, 0}};
static const config_choice shifts[] = {{"inside", false}, {"outside", true}, {NULL, 0}};
static const config_choice precisions[] = {{"fp32", PRECISION_FP32}, {"bf16", PRECISION_BF16}, {NULL, 0}};
static const config_choice optimizers[] = {{"sgd", OPTIMIZER_SGD}, {NULL, 0}};
static const config_choice schedules[] = {
    {"poly", SCHEDULE_POLY}, {"step", SCHEDULE_STEP}, {"cosine", SCHEDULE_COSINE}, {"constant", SCHEDULE_CONSTANT}, {NULL, 0}};
static const config_choice eval_modes[] = {{"whole", EVAL_WHOLE}, {"slide", EVAL_SLIDE}, {NULL, 0}};

/* ---- rows ---- */

/* How a field is stored follows from its C type, so that row and struct cannot disagree. An array counts as its item. */
#define STORE(field)                                                                                                                       \
    _Generic(((config *)0)->field,                                                                                                         \
        bool: STORE_BOOL,                                                                                                                  \
        int: STORE_INT,                                                                                                                    \
        int *: STORE_INT,                                                                                                                  \
        unsigned: STORE_ENUM,                                                                                                              \
        unsigned *: STORE_ENUM,                                                                                                           \
        int64_t: STORE_INT64,                                                                                                              \
        uint64_t: STORE_UINT64,                                                                                                            \
        double: STORE_DOUBLE,                                                                                                              \
        double *: STORE_DOUBLE,                                                                                                            \
        char *: STORE_TEXT)
#define KEY(name, kind, field) .path = name, .type = TYPE_##kind, .storage = STORE(field), .offset = offsetof(config, field)
#define ITEMS(least, most) .min_items = (least), .max_items = (most)
#define COUNT(field) .count_offset = offsetof(config, field)
#define FROM(least, most) .low = (least), .high = (most)
#define ABOVE(least, most) .low = (least), .high = (most), .above_low = true
#define BELOW(least, most) .low = (least), .high = (most), .below_high = true

// clang-format off
const config_key config_keys[] = {
    {KEY("task", NAME, task), .choices = tasks, .fallback = "\"segmentation\"", .help = "What the network learns to do."},

    {KEY("model.backbone", NAME, model.backbone), .choices = backbones, .fallback = "\"resnet50\"",
     .help = "Feature extractor, built as in torchvision."},
    {KEY("model.output_stride", INTEGER, model.output_stride), .choices = strides, .fallback = "8",
     .help = "Input pixels per feature pixel, in each direction; below 32 the last stages are dilated instead of strided."},
    {KEY("model.head", NAME, model.head), .choices = heads, .fallback = "\"deeplab_v2\"",
     .help = "Classifier on the last features: deeplab_v2 sums four dilated 3x3 convolutions, fcn is 3x3, norm, ReLU, 1x1."},
    {KEY("model.aux_weight", NUMBER, model.aux_weight), FROM(0, 100), .fallback = "0.4",
     .help = "Weight of the loss of the auxiliary fcn head on layer3; 0: no such head."},
    {KEY("model.dropout", NUMBER, model.dropout), BELOW(0, 1), .fallback = "0.1",
     .help = "Share of features dropped before the last convolution of an fcn head (the auxiliary one too)."},
    {KEY("model.init", TEXT, model.init), .nullable = true, .fallback = "null",
     .help = "File of weights to start from: every tensor whose name and shape fit is taken."},

    {KEY("norm.type", NAME, norm.type), .choices = norm_types, .fallback = "\"en\"",
     .help = "Normalisation of every layer: batch, instance, layer, group, switchable or exemplar normalisation."},
    {KEY("norm.methods", NAME, norm.methods), .choices = norm_methods, COUNT(norm.k), ITEMS(1, NORM_MAX_METHODS), .distinct = true,
     .fallback = "[\"bn\", \"in\", \"ln\"]", .help = "The statistics that sn and en mix, in this order; other types use their own."},
    {KEY("norm.sync", BOOL, norm.sync), .fallback = "true",
     .help = "Take bn statistics over the images of all ranks in training (SyncBN); false: over each rank's own."},
    {KEY("norm.reduction", INTEGER, norm.reduction), FROM(1, 65536), .fallback = "32",
     .help = "en: channels per output of the ratios' grouped convolution (the largest divisor of C not above it)."},
    {KEY("norm.pi", INTEGER, norm.pi), FROM(1, 4096), .fallback = "50",
     .help = "en: width of the ratios' hidden layer, per method."},
    {KEY("norm.activation", NAME, norm.activation), .choices = activations, .fallback = "\"tanh\"",
     .help = "en: activation of the ratios' hidden layer."},
    {KEY("norm.conv", BOOL, norm.conv), .fallback = "true",
     .help = "en: learn the grouped convolution on the normalised features; false: use them as they are."},
    {KEY("norm.affine", NAME, norm.affine_single), .choices = affines, .fallback = "\"per_method\"",
     .help = "en: a scale and shift for each method, or a single one for all."},
    {KEY("norm.shift", NAME, norm.shift_outside), .choices = shifts, .fallback = "\"inside\"",
     .help = "en: mix the shift by the ratios like the scale, or add one shift outside of the mixture."},
    {KEY("norm.groups", INTEGER, norm.groups), FROM(1, 65536), .fallback = "32",
     .help = "gn, as type or among the methods: number of groups (the largest divisor of C not above it)."},

    {KEY("data.train", TEXT, data.train), .nullable = true, .fallback = "null",
     .help = "Folder of packed shards to train on, relative to the current working directory. Needed for training only."},
    {KEY("data.val", TEXT, data.val), .nullable = true, .fallback = "null",
     .help = "Folder of packed shards to evaluate on, relative to the current working directory; null: no evaluation."},
    {KEY("data.crop", INTEGER, data.crop), ITEMS(2, 2), FROM(1, 16384), .nullable = true, .fallback = "null",
     .help = "Height and width of the training crop in pixels; null: the stored size, which all images must share."},
    {KEY("data.scale", NUMBER, data.scale), ITEMS(2, 2), ABOVE(0, 16), .fallback = "[0.5, 2]",
     .help = "Smallest and largest factor of random scaling before the crop; [1, 1]: off."},
    {KEY("data.cat_max_ratio", NUMBER, data.cat_max_ratio), ABOVE(0, 1), .fallback = "1",
     .help = "Draw the crop's place again, up to 10 in all, while one class fills this much of its labelled pixels or more; 1: take the first."},
    {KEY("data.flip", BOOL, data.flip), .fallback = "true", .help = "Mirror every other training image, at random."},
    {KEY("data.photometric", BOOL, data.photometric), .fallback = "false",
     .help = "Distort brightness, contrast, saturation and hue of training images at random."},
    {KEY("data.mean", NUMBER, data.mean), ITEMS(3, 3), FROM(0, 1), .fallback = "[0.485, 0.456, 0.406]",
     .help = "Subtracted from red, green, blue, in units of 0 to 1."},
    {KEY("data.std", NUMBER, data.std), ITEMS(3, 3), ABOVE(0, 1), .fallback = "[0.229, 0.224, 0.225]",
     .help = "Then divides red, green, blue, in units of 0 to 1."},
    {KEY("data.workers", INTEGER, data.workers), FROM(0, 256), .fallback = "0",
     .help = "Threads per rank that decode and augment; 0: the program chooses."},

    {KEY("train.global_batch", INTEGER, train.global_batch), FROM(1, 1048576), .fallback = "16",
     .help = "Images per update, over all ranks: the number of ranks does not change the experiment."},
    {KEY("train.iterations", INTEGER, train.iterations), FROM(1, CONFIG_WHOLE_MAX), .fallback = "100000", .help = "Updates to make."},
    {KEY("train.seed", INTEGER, train.seed), FROM(0, CONFIG_WHOLE_MAX), .fallback = "0",
     .help = "Decides initial weights, sample order, augmentation and dropout."},
    {KEY("train.precision", NAME, train.precision), .choices = precisions, .fallback = "\"fp32\"", .help = "Storage of activations and of the weights that convolutions read: float32, or bfloat16 where the processor computes with it. Sums, statistics, loss and the kept weights are float32 always."},
    {KEY("train.tf32", BOOL, train.tf32), .fallback = "true", .help = "On a GPU, with float32: let convolutions round their inputs to TF32's 10 bits of precision, several times faster. false: all 23 bits. Nothing else changes, and nothing on the CPU."},
    {KEY("train.shuffle", BOOL, train.shuffle), .fallback = "true", .help = "A new order of samples each epoch; false: the stored order."},
    {KEY("train.log_every", INTEGER, train.log_every), FROM(0, CONFIG_WHOLE_MAX), .fallback = "50",
     .help = "Iterations between log lines; 0: none."},
    {KEY("train.checkpoint_every", INTEGER, train.checkpoint_every), FROM(0, CONFIG_WHOLE_MAX), .fallback = "1000",
     .help = "Iterations between checkpoints; 0: only at the end."},
    {KEY("train.keep", INTEGER, train.keep), FROM(0, INT_MAX), .fallback = "3",
     .help = "Newest periodic checkpoints to keep (the best one is always kept); 0: all."},
    {KEY("train.eval_every", INTEGER, train.eval_every), FROM(0, CONFIG_WHOLE_MAX), .fallback = "5000",
     .help = "Iterations between evaluations on data.val; 0: only at the end."},
    {KEY("train.class_weights", NUMBER, train.class_weights.values), COUNT(train.class_weights.count), ITEMS(1, CONFIG_MAX_LIST), .nullable = true,
     FROM(0, 1e6), .fallback = "null", .help = "Weight of each class in the loss, one per class of the data set; null: all 1."},

    {KEY("optimizer.type", NAME, optimizer.type), .choices = optimizers, .fallback = "\"sgd\"", .help = "Stochastic gradient descent with momentum."},
    {KEY("optimizer.lr", NUMBER, optimizer.lr), FROM(0, 1e6), .fallback = "0.01", .help = "Learning rate at its highest."},
    {KEY("optimizer.momentum", NUMBER, optimizer.momentum), BELOW(0, 1), .fallback = "0.9", .help = "Share of the last update kept in the next."},
    {KEY("optimizer.nesterov", BOOL, optimizer.nesterov), .fallback = "false", .help = "Nesterov's form of momentum."},
    {KEY("optimizer.weight_decay", NUMBER, optimizer.weight_decay), FROM(0, 1e6), .fallback = "0.0001",
     .help = "L2 penalty on weights, added to their gradients."},
    {KEY("optimizer.decay_norm", BOOL, optimizer.decay_norm), .fallback = "false", .help = "Decay norm parameters and biases as well."},
    {KEY("optimizer.head_lr_multiplier", NUMBER, optimizer.head_lr_multiplier), FROM(0, 1e6), .fallback = "1",
     .help = "Factor on the learning rate of the heads (the auxiliary one too)."},
    {KEY("optimizer.clip_norm", NUMBER, optimizer.clip_norm), FROM(0, 1e6), .fallback = "0",
     .help = "Scale the gradient down to this L2 norm where it is longer; 0: off."},

    {KEY("schedule.type", NAME, schedule.type), .choices = schedules, .fallback = "\"poly\"", .help = "How the learning rate falls over the iterations."},
    {KEY("schedule.power", NUMBER, schedule.power), FROM(0, 100), .fallback = "0.9",
     .help = "poly: exponent of (1 - iteration / iterations)."},
    {KEY("schedule.warmup", INTEGER, schedule.warmup), FROM(0, CONFIG_WHOLE_MAX), .fallback = "0",
     .help = "Iterations over which the learning rate first rises linearly."},
    {KEY("schedule.milestones", INTEGER, schedule.milestones.values), COUNT(schedule.milestones.count), ITEMS(0, CONFIG_MAX_LIST),
     FROM(1, CONFIG_WHOLE_MAX), .fallback = "[]", .help = "step: iterations at which the learning rate is multiplied by gamma, ascending."},
    {KEY("schedule.gamma", NUMBER, schedule.gamma), ABOVE(0, 1), .fallback = "0.1", .help = "step: the factor at each milestone."},

    {KEY("eval.scales", NUMBER, eval.scales.values), COUNT(eval.scales.count), ITEMS(1, 16), ABOVE(0, 16), .fallback = "[1]",
     .help = "Factors by which images are resized for evaluation; the probabilities of all are averaged."},
    {KEY("eval.short_sides", INTEGER, eval.short_sides.values), COUNT(eval.short_sides.count), ITEMS(1, 16), FROM(1, 16384), .nullable = true,
     .fallback = "null", .help = "In place of eval.scales: pixels that the shorter side of each image is resized to, a pass for each; null: eval.scales."},
    {KEY("eval.max_side", INTEGER, eval.max_side), FROM(0, 65536), .fallback = "0",
     .help = "With eval.short_sides: an image whose longer side would exceed so many pixels is made smaller, its shape kept; 0: no limit."},
    {KEY("eval.flip", BOOL, eval.flip), .fallback = "false", .help = "Average with the prediction for the mirrored image too."},
    {KEY("eval.mode", NAME, eval.mode), .choices = eval_modes, .fallback = "\"whole\"",
     .help = "whole: one pass over the image; slide: overlapping windows, their scores averaged."},
    {KEY("eval.crop", INTEGER, eval.crop), ITEMS(2, 2), FROM(1, 16384), .nullable = true, .fallback = "null",
     .help = "slide: height and width of a window in pixels; null: data.crop."},
    {KEY("eval.stride", INTEGER, eval.stride), ITEMS(2, 2), FROM(1, 16384), .nullable = true, .fallback = "null",
     .help = "slide: pixels from one window to the next, down and across; null: two thirds of the window."},
};
// clang-format on
const int config_key_count = (int)(sizeof config_keys / sizeof *config_keys);
_Static_assert(sizeof config_keys / sizeof *config_keys <= CONFIG_MAX_KEYS, "raise CONFIG_MAX_KEYS");

const config_section config_sections[] = {
    {"model", "The network."},
    {"norm", "The normalisation of every layer. Keys that belong to another type are checked and otherwise ignored."},
    {"data", "The images and what is done to them in training."},
    {"train", "The run."},
    {"optimizer", "The update of the weights."},
    {"schedule", "The learning rate over time."},
    {"eval", "Evaluation, in training and by `entrain eval`."},
};
const int config_section_count = (int)(sizeof config_sections / sizeof *config_sections);

/* ---- look-up ---- */

const config_key *config_find(const char *path) {
    for (int i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].path, path) == 0) return &config_keys[i];
    }
    return NULL;
}

const config_section *config_find_section(const char *name, size_t size) {
    for (int i = 0; i < config_section_count; i++) {
        if (strlen(config_sections[i].name) == size && memcmp(config_sections[i].name, name, size) == 0) return &config_sections[i];
    }
    return NULL;
}

const config_section *config_section_of(const config_key *key) {
    const char *dot = strchr(key->path, '.');
    return dot == NULL ? NULL : config_find_section(key->path, (size_t)(dot - key->path));
}

const char *config_leaf(const config_key *key) {
    const char *dot = strchr(key->path, '.');
    return dot == NULL ? key->path : dot + 1;
}

const char *config_name(const char *key_path, int value) {
    const config_key *key = config_find(key_path);
    if (key == NULL || key->choices == NULL || value == CHOICE_NOT_SUPPORTED) return "?";
    for (const config_choice *choice = key->choices; choice->name != NULL; choice++) {
        if (choice->value == value) return choice->name;
    }
    return "?";
}
