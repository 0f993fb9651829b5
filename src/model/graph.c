#include "model/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_node(graph *g, node_kind kind, const char *name, const int *inputs, int input_count, int channels) {
    if (g->failed) return 0;
    if (g->count == g->capacity) {
        const int capacity = g->capacity > 0 ? 2 * g->capacity : 128;
        node *nodes = realloc(g->nodes, (size_t)capacity * sizeof *nodes);
        if (nodes == NULL) {
            g->failed = true;
            return 0;
        }
        g->nodes = nodes;
        g->capacity = capacity;
    }
    node *q = &g->nodes[g->count];
    *q = (node){.kind = kind, .input_count = input_count, .channels = channels, .weight = -1, .bias = -1};
    (void)snprintf(q->name, sizeof q->name, "%s", name);
    for (int i = 0; i < input_count; i++) q->inputs[i] = inputs[i];
    return g->count++;
}

static int add_param(graph *g, const char *module, const char *leaf, param description) {
    (void)snprintf(description.name, sizeof description.name, "%s.%s", module, leaf);
    const int index = params_add(g->params, &description);
    if (index < 0) g->failed = true;
    return index;
}

int graph_input(graph *g, int channels) {
    return add_node(g, NODE_INPUT, "input", NULL, 0, channels);
}

int graph_conv(graph *g, const char *name, int input, conv_shape shape, bool head) {
    const int id = add_node(g, NODE_CONV, name, &input, 1, shape.channels);
    if (g->failed) return 0;
    node *q = &g->nodes[id];
    q->kernel = shape.kernel;
    q->stride = shape.stride;
    q->dilation = shape.dilation;
    q->padding = shape.dilation * (shape.kernel - 1) / 2;
    q->logits = shape.bias;
    const int in = g->nodes[input].channels;
    const param weight = {
        .rank = 4, .dims = {shape.channels, in, shape.kernel, shape.kernel}, .learned = true, .decay = true, .head = head};
    q->weight = add_param(g, name, "weight", weight);
    const param bias = {.rank = 1, .dims = {shape.channels}, .learned = true, .head = head};
    if (shape.bias) q->bias = add_param(g, name, "bias", bias);
    return id;
}

/* "bn,in,ln": what a checkpoint says about the order of K. */
static void methods_text(const norm_spec *spec, char *text, size_t size) {
    text[0] = '\0';
    for (int k = 0; k < spec->k; k++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%s", k > 0 ? "," : "", norm_method_name(spec->methods[k]));
    }
}

int graph_norm(graph *g, const char *name, int input, int residual, bool relu, bool head) {
    const int inputs[2] = {input, residual};
    if (g->failed) return 0;
    const int channels = g->nodes[input].channels;
    const int id = add_node(g, NODE_NORM, name, inputs, residual < 0 ? 1 : 2, channels);
    if (g->failed) return 0;
    node *q = &g->nodes[id];
    q->relu = relu;
    norm_tensor list[NORM_MAX_TENSORS];
    q->tensor_count = norm_tensors(&g->norm, channels, list);
    for (int i = 0; i < q->tensor_count; i++) {
        param description = {.rank = list[i].rank, .dims = {list[i].dims[0], list[i].dims[1]}, .learned = list[i].learned, .head = head};
        if (strcmp(list[i].name, "weight") == 0) methods_text(&g->norm, description.methods, sizeof description.methods);
        q->tensors[i] = add_param(g, name, list[i].name, description);
    }
    return id;
}

int graph_maxpool(graph *g, const char *name, int input, int kernel, int stride, int padding) {
    if (g->failed) return 0;
    const int id = add_node(g, NODE_MAXPOOL, name, &input, 1, g->nodes[input].channels);
    if (g->failed) return 0;
    g->nodes[id].kernel = kernel;
    g->nodes[id].stride = stride;
    g->nodes[id].padding = padding;
    g->nodes[id].dilation = 1;
    return id;
}

int graph_add(graph *g, const char *name, const int *inputs, int count) {
    const int id = g->failed ? 0 : add_node(g, NODE_ADD, name, inputs, count, g->nodes[inputs[0]].channels);
    if (!g->failed) g->nodes[id].logits = g->nodes[inputs[0]].logits;
    return id;
}

int graph_dropout(graph *g, const char *name, int input, double rate) {
    if (g->failed) return 0;
    const int id = add_node(g, NODE_DROPOUT, name, &input, 1, g->nodes[input].channels);
    if (!g->failed) g->nodes[id].rate = rate;
    return id;
}

void graph_free(graph *g) {
    free(g->nodes);
    memset(g, 0, sizeof *g);
}
