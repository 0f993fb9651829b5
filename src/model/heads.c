/* Segmentation heads: from the backbone's features to class logits at their resolution. */
#include <stdio.h>

#include "model/graph.h"

/* DeepLab v2 (Chen et al., PAMI 2018): four parallel dilated 3x3 convolutions, summed. Rates 6, 12, 18, 24 at stride 8, scaled with it. */
int head_deeplab_v2(graph *g, const char *prefix, int features, int classes, const config *c) {
    int branches[4];
    char name[NODE_NAME];
    for (int i = 0; i < 4; i++) {
        const int rate = 6 * (i + 1) * 8 / c->model.output_stride;
        (void)snprintf(name, sizeof name, "%s.convs.%d", prefix, i);
        branches[i] = graph_conv(g, name, features, (conv_shape){classes, 3, 1, rate > 0 ? rate : 1, true}, true);
    }
    (void)snprintf(name, sizeof name, "%s.sum", prefix);
    return graph_add(g, name, branches, 4);
}

/* torchvision's FCNHead: 3x3 to a quarter of the channels, norm, ReLU, dropout, 1x1. */
int head_fcn(graph *g, const char *prefix, int features, int classes, const config *c) {
    char name[NODE_NAME];
    if (g->failed) return 0;
    (void)snprintf(name, sizeof name, "%s.0", prefix);
    int x = graph_conv(g, name, features, (conv_shape){g->nodes[features].channels / 4, 3, 1, 1, false}, true);
    (void)snprintf(name, sizeof name, "%s.1", prefix);
    x = graph_norm(g, name, x, -1, true, true);
    if (c->model.dropout > 0.0) {
        (void)snprintf(name, sizeof name, "%s.3", prefix);
        x = graph_dropout(g, name, x, c->model.dropout);
    }
    (void)snprintf(name, sizeof name, "%s.4", prefix);
    return graph_conv(g, name, x, (conv_shape){classes, 1, 1, 1, true}, true);
}
