/*
 * What cuDNN says to descriptions of convolutions, valid and invalid: statuses and output sizes, one line each. No GPU is needed for that,
 * so the same file is linked with the real cuDNN and with the stand-in, and both must print the same.
 */
#include <cudnn.h>

#include <stdio.h>

typedef struct geometry {
    int n, c, h, w;
    int k, c_per_group, r, s;
    int pad, stride, dilation, groups;
} geometry;

static const geometry table[] = {
    {1, 3, 224, 224, 64, 3, 7, 7, 3, 2, 1, 1},    {2, 64, 56, 56, 64, 64, 3, 3, 1, 1, 1, 1},
    {2, 64, 65, 65, 128, 64, 3, 3, 1, 2, 1, 1},   {4, 64, 56, 56, 256, 64, 1, 1, 0, 1, 1, 1},
    {4, 256, 56, 56, 512, 256, 1, 1, 0, 2, 1, 1}, {1, 512, 65, 65, 512, 512, 3, 3, 2, 1, 2, 1},
    {1, 512, 65, 65, 512, 512, 3, 3, 4, 1, 4, 1}, {2, 32, 14, 14, 32, 2, 3, 3, 1, 1, 1, 16},
    {2, 32, 14, 13, 32, 1, 3, 3, 1, 2, 1, 32},    {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1},
    {1, 8, 5, 7, 8, 8, 5, 7, 0, 1, 1, 1},         {1, 8, 5, 7, 8, 8, 3, 1, 0, 3, 1, 1},
    {1, 8, 4, 4, 8, 8, 3, 3, 0, 1, 2, 1},         {1, 8, 2, 2, 8, 8, 3, 3, 0, 1, 1, 1},
    {1, 8, 3, 3, 8, 8, 3, 3, 0, 1, 2, 1},         {1, 8, 2, 2, 8, 8, 3, 3, 0, 2, 1, 1},
    {1, 8, 1, 9, 8, 8, 3, 3, 0, 1, 1, 1},         {1, 8, 2, 9, 8, 8, 3, 3, 0, 3, 1, 1},
    {1, 8, 8, 8, 8, 4, 3, 3, 1, 1, 1, 1},         {1, 8, 8, 8, 8, 4, 3, 3, 1, 1, 1, 2},
    {1, 8, 8, 8, 9, 4, 3, 3, 1, 1, 1, 2},         {1, 9, 8, 8, 8, 4, 3, 3, 1, 1, 1, 2},
    {1, 8, 8, 8, 8, 8, 3, 3, -1, 1, 1, 1},        {1, 8, 8, 8, 8, 8, 3, 3, 1, 0, 1, 1},
    {1, 8, 8, 8, 8, 8, 3, 3, 1, 1, 0, 1},         {1, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 0},
    {1, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, -1},        {0, 8, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1},
    {1, 0, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1},         {1, 8, 8, 8, 0, 8, 3, 3, 1, 1, 1, 1},
    {1, 8, 8, 8, 8, 0, 3, 3, 1, 1, 1, 1},         {1, 8, -8, 8, 8, 8, 3, 3, 1, 1, 1, 1},
    {1, 8, 8, 8, 8, 8, 0, 3, 1, 1, 1, 1},         {1, 8, 8, 8, 8, 8, 3, 3, 9, 1, 1, 1},
};

static void print(const geometry *g, cudnnTensorFormat_t tensor_format, cudnnTensorFormat_t filter_format, cudnnDataType_t type,
                  cudnnDataType_t filter_type) {
    cudnnTensorDescriptor_t x;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    cudnnCreateTensorDescriptor(&x);
    cudnnCreateFilterDescriptor(&w);
    cudnnCreateConvolutionDescriptor(&conv);
    const int set_x = (int)cudnnSetTensor4dDescriptor(x, tensor_format, type, g->n, g->c, g->h, g->w);
    const int set_w = (int)cudnnSetFilter4dDescriptor(w, filter_type, filter_format, g->k, g->c_per_group, g->r, g->s);
    const int set_conv = (int)cudnnSetConvolution2dDescriptor(conv, g->pad, g->pad, g->stride, g->stride, g->dilation, g->dilation,
                                                              CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    const int set_groups = (int)cudnnSetConvolutionGroupCount(conv, g->groups);
    const int set_math = (int)cudnnSetConvolutionMathType(conv, CUDNN_TENSOR_OP_MATH);
    int n = -7, c = -7, h = -7, width = -7, status = -1;
    if (!set_x && !set_w && !set_conv) status = (int)cudnnGetConvolution2dForwardOutputDim(conv, x, w, &n, &c, &h, &width);
    printf("x (%d,%d,%d,%d) %d w (%d,%d,%d,%d) %d conv (%d,%d,%d) %d groups %d %d math %d: %d (%d,%d,%d,%d)\n", g->n, g->c, g->h, g->w,
           set_x, g->k, g->c_per_group, g->r, g->s, set_w, g->pad, g->stride, g->dilation, set_conv, g->groups, set_groups, set_math,
           status, n, c, h, width);
    cudnnDestroyTensorDescriptor(x);
    cudnnDestroyFilterDescriptor(w);
    cudnnDestroyConvolutionDescriptor(conv);
}

/* Strides of our own choice, and those of NHWC by another way. */
static void print_strides(int n_stride, int c_stride, int h_stride, int w_stride) {
    cudnnTensorDescriptor_t x;
    cudnnDataType_t type = CUDNN_DATA_DOUBLE;
    int d[8] = {0};
    cudnnCreateTensorDescriptor(&x);
    const int set = (int)cudnnSetTensor4dDescriptorEx(x, CUDNN_DATA_BFLOAT16, 2, 3, 4, 5, n_stride, c_stride, h_stride, w_stride);
    const int get = set ? -1 : (int)cudnnGetTensor4dDescriptor(x, &type, &d[0], &d[1], &d[2], &d[3], &d[4], &d[5], &d[6], &d[7]);
    printf("strides %d,%d,%d,%d: %d, %d: type %d (%d,%d,%d,%d) by (%d,%d,%d,%d)\n", n_stride, c_stride, h_stride, w_stride, set, get,
           (int)type, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    cudnnDestroyTensorDescriptor(x);
}

int main(void) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        print(&table[i], CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT);
        print(&table[i], CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, CUDNN_DATA_BFLOAT16);
    }
    print(&table[1], CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT);
    print(&table[1], CUDNN_TENSOR_NCHW, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT);
    print(&table[1], CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16);
    print_strides(60, 1, 15, 3);
    print_strides(60, 20, 5, 1);
    print_strides(120, 1, 30, 6);
    print_strides(1, 1, 1, 1);
    print_strides(0, 1, 15, 3);
    print_strides(60, -1, 15, 3);
    for (int s = 0; s < 3; s++) {
        static const cudnnStatus_t statuses[] = {CUDNN_STATUS_SUCCESS, CUDNN_STATUS_BAD_PARAM, CUDNN_STATUS_NOT_SUPPORTED};
        printf("%d %s\n", (int)statuses[s], cudnnGetErrorString(statuses[s]));
    }
    printf("version %d\n", (int)cudnnGetVersion());
    return 0;
}
