/*
 * ResNet-18/34/50/101 as torchvision builds them: 7x7 stem, stride on the 3x3, names alike. At output strides 8 and 16 the last stages
 * trade their stride for dilation as torchvision's replace_stride_with_dilation does: the stage's first block keeps the previous
 * dilation, its later blocks take the new one. He et al., CVPR 2016.
 */
#include <stdio.h>

#include "model/graph.h"

typedef struct resnet_row {
    int blocks[4];
    bool bottleneck; /* 1x1, 3x3, 1x1 with 4 times the channels; otherwise two 3x3 */
} resnet_row;

static const resnet_row ROWS[] = {
    [BACKBONE_RESNET18] = {{2, 2, 2, 2}, false},
    [BACKBONE_RESNET34] = {{3, 4, 6, 3}, false},
    [BACKBONE_RESNET50] = {{3, 4, 6, 3}, true},
    [BACKBONE_RESNET101] = {{3, 4, 23, 3}, true},
};

/* Where a block stands: its own stride and dilation, and the width of its 3x3. */
typedef struct block_place {
    char name[NODE_NAME - 24];
    int width, stride, dilation;
    bool bottleneck;
} block_place;

/* One convolution and its norm. residual -1 for none. */
static int unit(graph *g, const block_place *b, const char *number, int input, conv_shape shape, int residual, bool relu) {
    char name[NODE_NAME];
    (void)snprintf(name, sizeof name, "%s.conv%s", b->name, number);
    const int x = graph_conv(g, name, input, shape, false);
    (void)snprintf(name, sizeof name, "%s.bn%s", b->name, number);
    return graph_norm(g, name, x, residual, relu, false);
}

/* The skip connection: the input itself, or a 1x1 projection where shape or stride differ. */
static int skip(graph *g, const block_place *b, int input, int channels) {
    if (g->failed || (b->stride == 1 && g->nodes[input].channels == channels)) return input;
    char name[NODE_NAME];
    (void)snprintf(name, sizeof name, "%s.downsample.0", b->name);
    const int x = graph_conv(g, name, input, (conv_shape){channels, 1, b->stride, 1, false}, false);
    (void)snprintf(name, sizeof name, "%s.downsample.1", b->name);
    return graph_norm(g, name, x, -1, false, false);
}

static int block(graph *g, const block_place *b, int input) {
    const int channels = b->bottleneck ? 4 * b->width : b->width;
    const int shortcut = skip(g, b, input, channels);
    if (!b->bottleneck) {
        const int first = unit(g, b, "1", input, (conv_shape){b->width, 3, b->stride, b->dilation, false}, -1, true);
        return unit(g, b, "2", first, (conv_shape){channels, 3, 1, b->dilation, false}, shortcut, true);
    }
    const int first = unit(g, b, "1", input, (conv_shape){b->width, 1, 1, 1, false}, -1, true);
    const int second = unit(g, b, "2", first, (conv_shape){b->width, 3, b->stride, b->dilation, false}, -1, true);
    return unit(g, b, "3", second, (conv_shape){channels, 1, 1, 1, false}, shortcut, true);
}

backbone_ends resnet_build(graph *g, int input, const config *c) {
    const resnet_row *row = &ROWS[c->model.backbone];
    int x = graph_conv(g, "backbone.conv1", input, (conv_shape){64, 7, 2, 1, false}, false);
    x = graph_norm(g, "backbone.bn1", x, -1, true, false);
    x = graph_maxpool(g, "backbone.maxpool", x, 3, 2, 1);
    backbone_ends ends = {0, 0};
    int reached = 4, dilation = 1; /* stride of the features so far */
    for (int stage = 0; stage < 4; stage++) {
        const int previous = dilation;
        int stride = stage == 0 ? 1 : 2;
        if (reached * stride > c->model.output_stride) {
            dilation *= stride;
            stride = 1;
        }
        reached *= stride;
        for (int i = 0; i < row->blocks[stage]; i++) {
            block_place b = {.width = 64 << stage,
                             .stride = i == 0 ? stride : 1,
                             .dilation = i == 0 ? previous : dilation,
                             .bottleneck = row->bottleneck};
            (void)snprintf(b.name, sizeof b.name, "backbone.layer%d.%d", stage + 1, i);
            x = block(g, &b, x);
        }
        if (stage == 2) ends.layer3 = x;
    }
    ends.layer4 = x;
    return ends;
}
