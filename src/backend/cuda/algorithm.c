/*
 * Which of cuDNN's algorithms computes a pass of a convolution. cuDNN ranks them by what it expects to be fast, for a descriptor's math;
 * its ranking is advice, and what it ranks first may still be refused when asked for its workspace. So the candidates are asked one by
 * one; those that are known to be deterministic and to take any geometry stand at the end, for a ranking that fails or leaves them out.
 */
#include "backend/cuda/dnn.h"

/* More workspace than this buys little, and it stands in the memory plan; taken only where no candidate does with less. */
static const size_t WORKSPACE_LIMIT = (size_t)1 << 30;
enum { RANKED = 16, LAST_RESORTS = 2 };

typedef struct candidates {
    int algorithm[RANKED + LAST_RESORTS];
    int count;
} candidates;

/* The deterministic ones of a ranking; the three passes' rankings differ in the type of `algo` alone. */
#define TAKE(list, ranking, ranked)                                                                                                        \
    for (int i_ = 0; i_ < (ranked); i_++)                                                                                                  \
        if ((ranking)[i_].status == CUDNN_STATUS_SUCCESS && (ranking)[i_].determinism == CUDNN_DETERMINISTIC)                              \
    (list)->algorithm[(list)->count++] = (int)(ranking)[i_].algo

static void rank_forward(cudnnHandle_t h, const pass *p, candidates *list) {
    cudnnConvolutionFwdAlgoPerf_t ranking[RANKED];
    int ranked = 0;
    if (cudnnGetConvolutionForwardAlgorithm_v7(h, p->x, p->w, p->conv, p->y, RANKED, &ranked, ranking) == CUDNN_STATUS_SUCCESS)
        TAKE(list, ranking, ranked);
    list->algorithm[list->count++] = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    list->algorithm[list->count++] = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
}

static void rank_backward_data(cudnnHandle_t h, const pass *p, candidates *list) {
    cudnnConvolutionBwdDataAlgoPerf_t ranking[RANKED];
    int ranked = 0;
    if (cudnnGetConvolutionBackwardDataAlgorithm_v7(h, p->w, p->y, p->conv, p->x, RANKED, &ranked, ranking) == CUDNN_STATUS_SUCCESS)
        TAKE(list, ranking, ranked);
    list->algorithm[list->count++] = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
}

static void rank_backward_weights(cudnnHandle_t h, const pass *p, candidates *list) {
    cudnnConvolutionBwdFilterAlgoPerf_t ranking[RANKED];
    int ranked = 0;
    if (cudnnGetConvolutionBackwardFilterAlgorithm_v7(h, p->x, p->y, p->conv, p->w, RANKED, &ranked, ranking) == CUDNN_STATUS_SUCCESS)
        TAKE(list, ranking, ranked);
    list->algorithm[list->count++] = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
}

static cudnnStatus_t workspace(cudnnHandle_t h, int kind, const pass *p, int algorithm, size_t *bytes) {
    *bytes = 0;
    if (kind == FORWARD)
        return cudnnGetConvolutionForwardWorkspaceSize(h, p->x, p->w, p->conv, p->y, (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
    if (kind == BACKWARD_DATA)
        return cudnnGetConvolutionBackwardDataWorkspaceSize(h, p->w, p->y, p->conv, p->x, (cudnnConvolutionBwdDataAlgo_t)algorithm, bytes);
    return cudnnGetConvolutionBackwardFilterWorkspaceSize(h, p->x, p->y, p->conv, p->w, (cudnnConvolutionBwdFilterAlgo_t)algorithm, bytes);
}

cudnnStatus_t dnn_choose(cudnnHandle_t h, int kind, pass *p) {
    static void (*const rank[PASSES])(cudnnHandle_t, const pass *, candidates *) = {rank_forward, rank_backward_data,
                                                                                    rank_backward_weights};
    candidates list = {.count = 0};
    cudnnStatus_t last = CUDNN_STATUS_NOT_SUPPORTED;
    bool found = false;
    rank[kind](h, p, &list);
    for (int i = 0; i < list.count && !(found && p->bytes <= WORKSPACE_LIMIT); i++) {
        size_t bytes = 0;
        const cudnnStatus_t s = workspace(h, kind, p, list.algorithm[i], &bytes);
        if (s != CUDNN_STATUS_SUCCESS) last = s;
        if (s != CUDNN_STATUS_SUCCESS || (found && bytes >= p->bytes)) continue;
        p->algorithm = list.algorithm[i];
        p->bytes = bytes;
        found = true;
    }
    return found ? CUDNN_STATUS_SUCCESS : last;
}
