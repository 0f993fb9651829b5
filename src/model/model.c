/* From a configuration to a network: one row a backbone, one row a head, and the initial values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "model/graph.h"

typedef backbone_ends (*backbone_builder)(graph *g, int input, const config *c);
typedef int (*head_builder)(graph *g, const char *prefix, int features, int classes, const config *c);

static const backbone_builder BACKBONES[] = {
    [BACKBONE_RESNET18] = resnet_build,
    [BACKBONE_RESNET34] = resnet_build,
    [BACKBONE_RESNET50] = resnet_build,
    [BACKBONE_RESNET101] = resnet_build,
};
static const head_builder HEADS[] = {
    [HEAD_DEEPLAB_V2] = head_deeplab_v2,
    [HEAD_FCN] = head_fcn,
};

entrain_status model_build(const config *c, int classes, params *p, graph *out, entrain_error *err) {
    memset(out, 0, sizeof *out);
    memset(p, 0, sizeof *p);
    out->params = p;
    out->norm = c->norm;
    out->output_stride = c->model.output_stride;
    out->aux_logits = -1;
    const int input = graph_input(out, 3);
    const backbone_ends ends = BACKBONES[c->model.backbone](out, input, c);
    out->logits = HEADS[c->model.head](out, "head", ends.layer4, classes, c);
    if (c->model.aux_weight > 0.0) out->aux_logits = head_fcn(out, "aux", ends.layer3, classes, c);
    if (out->failed) return error_set(err, ENTRAIN_DEVICE, "out of memory while building the network");
    return ENTRAIN_OK;
}

/*
 * Convolutions: He et al.'s normal distribution over the fan-out, as torchvision; the classifier (the one with a bias, which also starts
 * at 0) N(0, 0.01^2), as DeepLab.
 */
static void init_conv(const param *q, bool classifier, uint64_t seed, float *values) {
    random_stream s = random_open(seed, RANDOM_INIT, random_hash(q->name));
    const double fan_out = (double)q->dims[0] * q->dims[2] * q->dims[3];
    const double deviation = classifier ? 0.01 : sqrt(2.0 / fan_out);
    for (size_t i = 0; i < q->count; i++) values[i] = (float)(deviation * random_normal(&s));
}

static void init_node(const graph *g, const node *q, uint64_t seed, int which, float *values) {
    const param *list = g->params->list;
    if (q->kind == NODE_CONV && which == q->weight) {
        init_conv(&list[which], q->bias >= 0, seed, values);
        return;
    }
    norm_tensor tensors[NORM_MAX_TENSORS];
    const int count = q->kind == NODE_NORM ? norm_tensors(&g->norm, q->channels, tensors) : 0;
    for (int i = 0; i < count; i++)
        if (q->tensors[i] == which) norm_init_tensor(&g->norm, q->channels, &tensors[i], seed, random_hash(list[which].name), values);
}

static entrain_status init_param(const graph *g, const node *q, uint64_t seed, int which, entrain_error *err) {
    if (which < 0) return ENTRAIN_OK;
    const param *r = &g->params->list[which];
    float *values = calloc(r->count, sizeof *values);
    if (values == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the initial values of %s", r->name);
    init_node(g, q, seed, which, values);
    g->params->be->ops->upload(g->params->be, params_value(g->params, which), values, r->count * sizeof *values);
    free(values);
    return ENTRAIN_OK;
}

entrain_status model_init(const graph *g, uint64_t seed, entrain_error *err) {
    entrain_status status = ENTRAIN_OK;
    for (int i = 0; i < g->count && status == ENTRAIN_OK; i++) {
        const node *q = &g->nodes[i];
        status = init_param(g, q, seed, q->weight, err);
        if (status == ENTRAIN_OK) status = init_param(g, q, seed, q->bias, err);
        for (int k = 0; k < q->tensor_count && status == ENTRAIN_OK; k++) status = init_param(g, q, seed, q->tensors[k], err);
    }
    return status;
}
