/*
 * The lists of algorithms. As with the real cuDNN, the first that is offered for a backward pass may be one whose sums depend on the order
 * in which its threads finish; who wants repeatable results must look for one that says it is deterministic.
 */
#include "cudnn_algorithm.h"

#include <algorithm>
#include <cstring>

namespace standin {

static const std::vector<Algorithm> &algorithms(Pass pass) {
    static const std::vector<Algorithm> lists[3] = {
        {{CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, true, 8}, {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, true, 0}},
        {{CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, false, 0}, {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, true, 12}},
        {{CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, false, 0},
         {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, false, 4},
         {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, true, 16}},
    };
    return lists[pass];
}

const Algorithm *find_algorithm(Pass pass, int id) {
    for (const Algorithm &algorithm : algorithms(pass))
        if (algorithm.id == id) return &algorithm;
    return nullptr;
}

size_t workspace_bytes(const Algorithm &algorithm, const Geometry &g) {
    return static_cast<size_t>(g.n) * static_cast<size_t>(g.out_h) * static_cast<size_t>(g.out_w) *
           static_cast<size_t>(algorithm.bytes_per_pixel);
}

static bool channels_last(const cudnnTensorStruct *t) {
    return t->c_stride == 1 && t->w_stride == t->c && t->h_stride == static_cast<long>(t->c) * t->w &&
           t->n_stride == static_cast<long>(t->c) * t->w * t->h;
}

cudnnStatus_t describe(const cudnnTensorStruct *x, const cudnnFilterStruct *w, const cudnnConvolutionStruct *conv,
                       const cudnnTensorStruct *y, Geometry *g) {
    if (x == nullptr || w == nullptr || conv == nullptr || y == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (x->n == 0 || y->n == 0 || w->k == 0) return CUDNN_STATUS_BAD_PARAM; /* never set */
    *g = Geometry{x->n,
                  x->h,
                  x->w,
                  x->c,
                  w->k,
                  w->r,
                  w->s,
                  output_size(x->h, conv->pad_h, w->r, conv->dilation_h, conv->stride_h),
                  output_size(x->w, conv->pad_w, w->s, conv->dilation_w, conv->stride_w),
                  w->c,
                  *conv};
    if (x->c != w->c * conv->groups || w->k % conv->groups != 0) return CUDNN_STATUS_BAD_PARAM;
    if (g->out_h <= 0 || g->out_w <= 0 || y->n != x->n || y->c != w->k || y->h != g->out_h || y->w != g->out_w)
        return CUDNN_STATUS_BAD_PARAM;
    /* The combinations that cuDNN documents for its simple interface: one type for all three, sums in float. */
    if (x->type != w->type || x->type != y->type || conv->compute != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    if (conv->mode != CUDNN_CROSS_CORRELATION) return CUDNN_STATUS_NOT_SUPPORTED;
    if (w->format == CUDNN_TENSOR_NHWC && cusim::setting("CUSIM_NO_NHWC", 0) != 0) return CUDNN_STATUS_NOT_SUPPORTED;
    if (w->format == CUDNN_TENSOR_NHWC && (!channels_last(x) || !channels_last(y))) return CUDNN_STATUS_NOT_SUPPORTED;
    return CUDNN_STATUS_SUCCESS;
}

template <class Row>
static cudnnStatus_t offer(Pass pass, const cudnnTensorStruct *x, const cudnnFilterStruct *w, const cudnnConvolutionStruct *conv,
                           const cudnnTensorStruct *y, int requested, int *returned, Row *rows) {
    Geometry g;
    const cudnnStatus_t status = describe(x, w, conv, y, &g);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (requested < 1 || returned == nullptr || rows == nullptr) return CUDNN_STATUS_BAD_PARAM;
    *returned = std::min(requested, static_cast<int>(algorithms(pass).size()));
    for (int i = 0; i < *returned; i++) {
        const Algorithm &algorithm = algorithms(pass)[static_cast<size_t>(i)];
        std::memset(&rows[i], 0, sizeof rows[i]);
        rows[i].algo = static_cast<decltype(rows[i].algo)>(algorithm.id);
        rows[i].status = CUDNN_STATUS_SUCCESS;
        rows[i].time = -1;
        rows[i].memory = workspace_bytes(algorithm, g);
        rows[i].determinism = algorithm.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
        rows[i].mathType = conv->math;
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t size_of(Pass pass, int id, const cudnnTensorStruct *x, const cudnnFilterStruct *w, const cudnnConvolutionStruct *conv,
                             const cudnnTensorStruct *y, size_t *bytes) {
    Geometry g;
    const cudnnStatus_t status = describe(x, w, conv, y, &g);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const Algorithm *algorithm = find_algorithm(pass, id);
    if (algorithm == nullptr) return CUDNN_STATUS_NOT_SUPPORTED;
    *bytes = workspace_bytes(*algorithm, g);
    return CUDNN_STATUS_SUCCESS;
}

} // namespace standin

using namespace standin;

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convDesc,
                                                    const cudnnTensorDescriptor_t inputTensorDesc, const cudnnFilterDescriptor_t filterDesc,
                                                    int *n, int *c, int *h, int *w) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    *n = *c = *h = *w = 0;
    if (inputTensorDesc->c != filterDesc->c * convDesc->groups) return CUDNN_STATUS_BAD_PARAM;
    *n = inputTensorDesc->n;
    *c = filterDesc->k;
    const int out_h = output_size(inputTensorDesc->h, convDesc->pad_h, filterDesc->r, convDesc->dilation_h, convDesc->stride_h);
    const int out_w = output_size(inputTensorDesc->w, convDesc->pad_w, filterDesc->s, convDesc->dilation_w, convDesc->stride_w);
    if (out_h <= 0 || out_w <= 0) return CUDNN_STATUS_BAD_PARAM;
    *h = out_h;
    *w = out_w;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t srcDesc,
                                                     const cudnnFilterDescriptor_t filterDesc, const cudnnConvolutionDescriptor_t convDesc,
                                                     const cudnnTensorDescriptor_t destDesc, const int requestedAlgoCount,
                                                     int *returnedAlgoCount, cudnnConvolutionFwdAlgoPerf_t *perfResults) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return offer(FORWARD, srcDesc, filterDesc, convDesc, destDesc, requestedAlgoCount, returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, const cudnnFilterDescriptor_t filterDesc,
                                                          const cudnnTensorDescriptor_t diffDesc,
                                                          const cudnnConvolutionDescriptor_t convDesc,
                                                          const cudnnTensorDescriptor_t gradDesc, const int requestedAlgoCount,
                                                          int *returnedAlgoCount, cudnnConvolutionBwdDataAlgoPerf_t *perfResults) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return offer(BACKWARD_DATA, gradDesc, filterDesc, convDesc, diffDesc, requestedAlgoCount, returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t srcDesc,
                                                            const cudnnTensorDescriptor_t diffDesc,
                                                            const cudnnConvolutionDescriptor_t convDesc,
                                                            const cudnnFilterDescriptor_t gradDesc, const int requestedAlgoCount,
                                                            int *returnedAlgoCount, cudnnConvolutionBwdFilterAlgoPerf_t *perfResults) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return offer(BACKWARD_FILTER, srcDesc, gradDesc, convDesc, diffDesc, requestedAlgoCount, returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t xDesc,
                                                      const cudnnFilterDescriptor_t wDesc, const cudnnConvolutionDescriptor_t convDesc,
                                                      const cudnnTensorDescriptor_t yDesc, cudnnConvolutionFwdAlgo_t algo,
                                                      size_t *sizeInBytes) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return size_of(FORWARD, algo, xDesc, wDesc, convDesc, yDesc, sizeInBytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t wDesc,
                                                           const cudnnTensorDescriptor_t dyDesc,
                                                           const cudnnConvolutionDescriptor_t convDesc,
                                                           const cudnnTensorDescriptor_t dxDesc, cudnnConvolutionBwdDataAlgo_t algo,
                                                           size_t *sizeInBytes) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return size_of(BACKWARD_DATA, algo, dxDesc, wDesc, convDesc, dyDesc, sizeInBytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t xDesc,
                                                             const cudnnTensorDescriptor_t dyDesc,
                                                             const cudnnConvolutionDescriptor_t convDesc,
                                                             const cudnnFilterDescriptor_t gradDesc, cudnnConvolutionBwdFilterAlgo_t algo,
                                                             size_t *sizeInBytes) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_INTERNAL_ERROR);
    return size_of(BACKWARD_FILTER, algo, xDesc, gradDesc, convDesc, dyDesc, sizeInBytes);
}
