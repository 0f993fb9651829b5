/*
 * A network as a static list of nodes in the order of the forward pass, without any size but channels. Building the list also registers
 * the parameters. net.h makes it runnable for a given number and size of images.
 */
#ifndef MODEL_GRAPH_H
#define MODEL_GRAPH_H

#include <stdbool.h>

#include "config/config.h"
#include "model/params.h"
#include "norm/norm.h"

typedef enum node_kind { NODE_INPUT, NODE_CONV, NODE_NORM, NODE_MAXPOOL, NODE_ADD, NODE_DROPOUT } node_kind;

enum { NODE_MAX_INPUTS = 4, NODE_NAME = 64 };

typedef struct node {
    node_kind kind;
    char name[NODE_NAME];
    int inputs[NODE_MAX_INPUTS]; /* earlier nodes; a norm's second input is its residual */
    int input_count;
    int channels;                                /* of the output */
    int kernel, stride, padding, dilation;       /* conv, maxpool */
    int weight, bias;                            /* conv: parameter numbers, -1 for none */
    bool relu;                                   /* norm: ReLU after the (residual) sum */
    int tensors[NORM_MAX_TENSORS], tensor_count; /* norm: parameter numbers in the order of norm_tensors */
    double rate;                                 /* dropout */
    bool logits;                                 /* conv, add: the output is a classifier's, kept in float32 */
} node;

typedef struct graph {
    node *nodes;
    int count, capacity;
    params *params; /* not owned */
    norm_spec norm;
    int logits, aux_logits; /* nodes; aux_logits -1 without an auxiliary head */
    int output_stride;
    bool failed; /* out of memory while building; every later call is a no-op */
} graph;

/* Each adds a node and returns its number. name: of the module ("backbone.layer1.0.conv1"), parameters get ".weight" and so on. head: its
 * parameters take head_lr_multiplier. */
int graph_input(graph *g, int channels);
typedef struct conv_shape {
    int channels, kernel, stride, dilation; /* padding keeps the map's size at stride 1 */
    bool bias;                              /* a classifier: its output is logits */
} conv_shape;
int graph_conv(graph *g, const char *name, int input, conv_shape shape, bool head);
/* residual -1 for none. */
int graph_norm(graph *g, const char *name, int input, int residual, bool relu, bool head);
int graph_maxpool(graph *g, const char *name, int input, int kernel, int stride, int padding);
/* Sum of nodes that nobody else reads. */
int graph_add(graph *g, const char *name, const int *inputs, int count);
int graph_dropout(graph *g, const char *name, int input, double rate);
void graph_free(graph *g);

/* A backbone: adds its nodes after input and returns the nodes of layer3 (for the auxiliary head) and layer4. */
typedef struct backbone_ends {
    int layer3, layer4;
} backbone_ends;
backbone_ends resnet_build(graph *g, int input, const config *c);
/* Heads: from features to logits of `classes` channels at the features' resolution. prefix: "head" or "aux". */
int head_deeplab_v2(graph *g, const char *prefix, int features, int classes, const config *c);
int head_fcn(graph *g, const char *prefix, int features, int classes, const config *c);

/* The network of a configuration. p: empty; its list is filled (not yet allocated). */
entrain_status model_build(const config *c, int classes, params *p, graph *out, entrain_error *err);
/* Initial values of every tensor, each a pure function of (seed, name); running mean 0, variance 1; momentum untouched. */
entrain_status model_init(const graph *g, uint64_t seed, entrain_error *err);

#endif
