/* Opening and closing a training run. */
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/checkpoint.h"
#include "train/dataset.h"
#include "train/precision.h"

static entrain_status need_folder(const char *key, const char *value, entrain_error *err) {
    return value[0] != '\0' ? ENTRAIN_OK
                            : error_set(err, ENTRAIN_CONFIG, "%s: not set; expected a folder of shards as `entrain pack` makes them", key);
}

/* Both splits must speak of the same classes, or evaluation would compare apples with pears. */
static entrain_status same_classes(const trainer *t, entrain_error *err) {
    if (t->val == NULL) return ENTRAIN_OK;
    const shard_info *a = shard_get_info(t->train), *b = shard_get_info(t->val);
    bool same = a->classes == b->classes;
    for (int i = 0; same && i < a->classes; i++) same = strcmp(a->names[i], b->names[i]) == 0;
    return same
               ? ENTRAIN_OK
               : error_set(
                     err, ENTRAIN_DATA,
                     "data.val (%s): its %d classes are not the %d classes of data.train (%s). Both must be packed from the same data set.",
                     t->c->data.val, b->classes, a->classes, t->c->data.train);
}

static entrain_status check_class_weights(const trainer *t, entrain_error *err) {
    const int given = t->c->train.class_weights.count, classes = t->classes;
    return given == 0 || given == classes
               ? ENTRAIN_OK
               : error_set(err, ENTRAIN_CONFIG,
                           "train.class_weights: has %d numbers, but the data set has %d classes; expected one a class, or null", given,
                           classes);
}

/* Size of a training batch: the crop, or the one size that all stored images have. */
static entrain_status batch_size(trainer *t, entrain_error *err) {
    t->height = t->c->data.crop[0];
    t->width = t->c->data.crop[1];
    if (t->height > 0) return ENTRAIN_OK;
    if (t->train == NULL) return error_set(err, ENTRAIN_CONFIG, "data.crop: null, but random images need a size; expected [h, w]");
    shard_size(t->train, 0, &t->height, &t->width);
    for (int64_t i = 1; i < shard_count(t->train); i++) {
        int h, w;
        char name[256];
        shard_size(t->train, i, &h, &w);
        if (h == t->height && w == t->width) continue;
        shard_describe(t->train, i, name, sizeof name);
        return error_set(
            err, ENTRAIN_CONFIG,
            "data.crop: null, but the stored images differ in size: the first is %dx%d, %s is %dx%d (h x w). Set data.crop to [h, w].",
            t->height, t->width, name, h, w);
    }
    return ENTRAIN_OK;
}

static entrain_status open_shards(trainer *t, entrain_error *err) {
    entrain_status status = need_folder("data.train", t->c->data.train, err);
    if (status == ENTRAIN_OK) status = shard_open(t->c->data.train, &t->train, err);
    if (status == ENTRAIN_OK) status = shard_require_task(t->train, SHARD_SEGMENTATION, "data.train", err);
    if (status == ENTRAIN_OK && shard_count(t->train) < 1)
        status = error_set(err, ENTRAIN_DATA, "data.train (%s): holds no samples", t->c->data.train);
    if (status == ENTRAIN_OK && t->c->data.val[0] != '\0') status = shard_open(t->c->data.val, &t->val, err);
    if (status == ENTRAIN_OK && t->val != NULL) status = shard_require_task(t->val, SHARD_SEGMENTATION, "data.val", err);
    if (status == ENTRAIN_OK) status = same_classes(t, err);
    if (status != ENTRAIN_OK) return status;
    t->classes = shard_get_info(t->train)->classes;
    t->dataset_json = dataset_to_json(shard_get_info(t->train));
    t->config_json = config_to_json(t->c);
    if (t->dataset_json == NULL || t->config_json == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory");
    return ENTRAIN_OK;
}

static entrain_status open_data(trainer *t, int random_classes, entrain_error *err) {
    t->classes = random_classes;
    entrain_status status = random_classes > 0 ? ENTRAIN_OK : open_shards(t, err);
    if (status == ENTRAIN_OK) status = check_class_weights(t, err);
    return status == ENTRAIN_OK ? batch_size(t, err) : status;
}

static entrain_status share_batch(trainer *t, entrain_error *err) {
    const comm *c = t->job->c;
    comm_share(t->c->train.global_batch, c->rank, c->size, &t->begin, &t->end);
    if (t->c->train.global_batch >= c->size) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_CONFIG,
                     "train.global_batch: %d is less than the %d ranks; each rank needs an image. Raise it or start fewer ranks.",
                     t->c->train.global_batch, c->size);
}

/* Weights start from the seed, then from model.init where given. */
static entrain_status initial_weights(trainer *t, entrain_error *err) {
    entrain_status status = model_init(&t->graph, t->c->train.seed, err);
    if (status != ENTRAIN_OK || t->c->model.init[0] == '\0') return status;
    int taken = 0, left = 0;
    status = checkpoint_read_init(t->c->model.init, &t->params, &taken, &left, err);
    if (status == ENTRAIN_OK) log_info("model.init: %d tensors from %s, %d left as initialised", taken, t->c->model.init, left);
    return status == ENTRAIN_OK ? status : error_prefix(err, "model.init");
}

static size_t batch_pixels(const trainer *t) {
    return (size_t)(t->end - t->begin) * (size_t)t->height * (size_t)t->width;
}

static entrain_status allocate_batch(trainer *t, entrain_error *err) {
    backend *be = t->job->be;
    const size_t pixels = batch_pixels(t);
    const config_list *weights = &t->c->train.class_weights;
    t->images = be->ops->alloc(be, 3 * pixels * dtype_size(t->type));
    t->sums = be->ops->alloc(be, TRAINER_UNREAD * sizeof *t->sums);
    if (weights->count > 0) t->class_weights = be->ops->alloc(be, (size_t)weights->count * sizeof(float));
    bool done = t->images != NULL && t->sums != NULL && (weights->count == 0 || t->class_weights != NULL);
    for (int i = 0; i < BACKEND_SLOTS; i++) {
        t->bytes[i] = be->ops->alloc(be, 3 * pixels);
        t->labels[i] = be->ops->alloc(be, pixels);
        done = done && t->bytes[i] != NULL && t->labels[i] != NULL;
    }
    if (!done)
        return error_set(err, ENTRAIN_DEVICE, "not enough memory for a batch of %d images of %dx%d", (int)(t->end - t->begin), t->height,
                         t->width);
    float host[CONFIG_MAX_LIST];
    for (int i = 0; i < weights->count; i++) host[i] = (float)weights->values[i];
    if (weights->count > 0) be->ops->upload(be, t->class_weights, host, (size_t)weights->count * sizeof(float));
    return ENTRAIN_OK;
}

static entrain_status open_network(trainer *t, entrain_error *err) {
    backend *be = t->job->be;
    entrain_status status = model_build(t->c, t->classes, &t->params, &t->graph, err);
    if (status == ENTRAIN_OK) status = update_open(&t->update, t->c, &t->graph, be, t->job->c, err);
    status = job_agree(t->job, status, err); /* what follows is collective */
    if (status == ENTRAIN_OK) params_share_gradients(&t->params, be, t->job->c);
    if (status == ENTRAIN_OK) status = params_allocate(&t->params, be, true, err);
    if (status == ENTRAIN_OK) status = initial_weights(t, err);
    if (status == ENTRAIN_OK) status = allocate_batch(t, err);
    if (status != ENTRAIN_OK) return status;
    const net_options o = {.n = (int)(t->end - t->begin),
                           .h = t->height,
                           .w = t->width,
                           .training = true,
                           .type = t->type,
                           .tf32 = t->c->train.tf32,
                           .seed = t->c->train.seed,
                           .aux_weight = t->c->model.aux_weight,
                           .class_weights = t->class_weights,
                           .finished = update_node,
                           .finished_context = &t->update};
    status = net_create(&t->graph, be, t->job->c, &o, &t->net, err);
    if (status == ENTRAIN_OK && t->val != NULL) status = evaluator_open(&t->graph, be, t->c, t->type, t->classes, &t->evaluator, err);
    return status;
}

entrain_status trainer_open(trainer *t, entrain_job *job, const config *c, int random_classes, entrain_error *err) {
    *t = (trainer){.job = job, .c = c, .best_miou = -1.0, .started = log_seconds()};
    t->type = precision_choose(c, job->be, job->c);
    entrain_status status = share_batch(t, err);
    if (status == ENTRAIN_OK) status = open_data(t, random_classes, err);
    status = job_agree(job, status, err); /* what follows is collective on the way */
    if (status == ENTRAIN_OK) status = open_network(t, err);
    return job_agree(job, status, err);
}

/* Decoding keeps up with one worker a compute thread; more than four have never been of use. */
static int choose_workers(const trainer *t) {
    if (t->c->data.workers > 0) return t->c->data.workers;
    return t->job->be->threads < 4 ? t->job->be->threads : 4;
}

/* The loader's batches lie where the device copies from. */
static void *host_alloc(void *context, size_t bytes) {
    backend *be = context;
    return be->ops->host_alloc(be, bytes);
}

static void host_release(void *context, void *p) {
    backend *be = context;
    be->ops->host_release(be, p);
}

entrain_status trainer_start_loader(trainer *t, entrain_error *err) {
    if (t->train == NULL) return ENTRAIN_OK;
    backend *be = t->job->be;
    loader_options o = {.augment = {.crop_h = t->c->data.crop[0],
                                    .crop_w = t->c->data.crop[1],
                                    .scale_min = t->c->data.scale[0],
                                    .scale_max = t->c->data.scale[1],
                                    .cat_max_ratio = t->c->data.cat_max_ratio,
                                    .flip = t->c->data.flip,
                                    .photometric = t->c->data.photometric},
                        .seed = t->c->train.seed,
                        .shuffle = t->c->train.shuffle,
                        .global_batch = t->c->train.global_batch,
                        .begin = t->begin,
                        .end = t->end,
                        .first_step = t->step,
                        .last_step = t->c->train.iterations,
                        .height = t->height,
                        .width = t->width,
                        .workers = choose_workers(t),
                        .prefetch = be->host_memory ? 2 : 2 + BACKEND_SLOTS, /* as many may be held while they are copied */
                        .classes = t->classes,
                        .memory = {host_alloc, host_release, be}};
    memcpy(o.augment.mean, t->c->data.mean, sizeof o.augment.mean);
    memcpy(o.augment.std, t->c->data.std, sizeof o.augment.std);
    return loader_open(t->train, &o, &t->loader, err);
}

double trainer_planned_bytes(const trainer *t) {
    const net_memory m = net_get_memory(t->net);
    const size_t input = batch_pixels(t) * (3 * dtype_size(t->type) + BACKEND_SLOTS * 4);
    return (double)(m.arena + m.norm_state) + (double)params_bytes(&t->params) + (double)input;
}

void trainer_close(trainer *t) {
    backend *be = t->job->be;
    be->ops->finish(be);
    if (t->loader != NULL) loader_close(t->loader);
    evaluator_close(t->evaluator);
    net_free(t->net);
    void *const device[] = {t->class_weights, t->images, t->sums, t->bytes[0], t->bytes[1], t->labels[0], t->labels[1]};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        if (device[i] != NULL) be->ops->release(be, device[i]);
    graph_free(&t->graph);
    params_free(&t->params);
    if (t->train != NULL) shard_close(t->train);
    if (t->val != NULL) shard_close(t->val);
    update_close(&t->update);
    free(t->config_json);
    free(t->dataset_json);
}
