/* Rules that no single row of the table can state: what two keys must be to each other. */
#include "config/check.h"

#include <string.h>

void config_derive(config *c) {
    norm_method only;
    switch (c->norm.type) {
    case NORM_BN:
        only = NORM_METHOD_BN;
        break;
    case NORM_IN:
        only = NORM_METHOD_IN;
        break;
    case NORM_LN:
        only = NORM_METHOD_LN;
        break;
    case NORM_GN:
        only = NORM_METHOD_GN;
        break;
    case NORM_SN:
    case NORM_EN:
    default:
        return;
    }
    memset(c->norm.methods, 0, sizeof c->norm.methods);
    c->norm.methods[0] = only;
    c->norm.k = 1;
}

/* Has neither key a mistake of its own? */
static bool sound(const config_report *r, const char *first, const char *second) {
    return !r->bad[config_find(first) - config_keys] && !r->bad[config_find(second) - config_keys];
}

static void check_data(const config *c, config_report *r) {
    if (sound(r, "data.scale", "data.scale") && c->data.scale[0] > c->data.scale[1]) {
        config_mistake(r, "data.scale: expected [smallest, largest]; found %g before %g", c->data.scale[0], c->data.scale[1]);
    }
}

/* eval.crop, or data.crop where that is null. */
static const int *window_of(const config *c) {
    return c->eval.crop[0] > 0 ? c->eval.crop : c->data.crop;
}

bool config_windows(const config *c, int crop[2], int stride[2]) {
    const int *window = window_of(c);
    const bool slide = c->eval.mode == EVAL_SLIDE && window[0] > 0;
    for (int i = 0; i < 2; i++) {
        crop[i] = slide ? window[i] : 0;
        stride[i] = !slide ? 0 : c->eval.stride[i] > 0 ? c->eval.stride[i] : (2 * window[i] + 2) / 3;
    }
    return slide;
}

static void check_evaluation(const config *c, config_report *r) {
    const int *crop = window_of(c), *stride = c->eval.stride;
    if (!sound(r, "eval.mode", "data.crop") || !sound(r, "eval.crop", "eval.stride")) return;
    if (c->eval.mode == EVAL_SLIDE && crop[0] == 0) {
        config_mistake(r, "eval.mode: slide needs eval.crop or data.crop, the size of its windows; found null in both. Set one of them, or "
                          "eval.mode to whole");
    } else if (stride[0] > 0 && crop[0] > 0 && (stride[0] > crop[0] || stride[1] > crop[1])) {
        config_mistake(r, "eval.stride: expected at most the window, [%d, %d] (%s); found [%d, %d], which would leave gaps", crop[0],
                       crop[1], crop == c->eval.crop ? "eval.crop" : "data.crop", stride[0], stride[1]);
    }
}

static void check_training(const config *c, config_report *r) {
    const config_list *weights = &c->train.class_weights;
    double heaviest = 0;
    for (int i = 0; i < weights->count; i++) heaviest = weights->values[i] > heaviest ? weights->values[i] : heaviest;
    if (weights->count > 0 && heaviest == 0)
        config_mistake(r, "train.class_weights: expected at least one weight above 0; found only zeros");
    if (sound(r, "optimizer.nesterov", "optimizer.momentum") && c->optimizer.nesterov && c->optimizer.momentum == 0) {
        config_mistake(r, "optimizer.nesterov: expected an optimizer.momentum above 0 with it; found 0");
    }
}

static void check_schedule(const config *c, config_report *r) {
    const config_list *milestones = &c->schedule.milestones;
    for (int i = 1; i < milestones->count; i++) {
        if (milestones->values[i] > milestones->values[i - 1]) continue;
        config_mistake(r, "schedule.milestones: expected ascending iterations; found %.0f after %.0f", milestones->values[i],
                       milestones->values[i - 1]);
        break;
    }
    if (sound(r, "schedule.type", "schedule.milestones") && c->schedule.type == SCHEDULE_STEP && milestones->count == 0) {
        config_mistake(r, "schedule.milestones: schedule.type step needs at least one; found []");
    }
}

void config_check(const config *c, config_report *r) {
    check_data(c, r);
    check_evaluation(c, r);
    check_training(c, r);
    check_schedule(c, r);
}
