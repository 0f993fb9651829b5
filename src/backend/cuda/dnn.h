/* What dnn.c (convolutions) and algorithm.c (which of cuDNN's algorithms computes them) share. No other file knows cuDNN. */
#ifndef BACKEND_CUDA_DNN_H
#define BACKEND_CUDA_DNN_H

#include <cudnn.h>

#include "backend/cuda/cuda.h"

enum { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, PASSES };

typedef struct pass {
    dtype type;          /* of x, y and w as cuDNN sees them */
    bool channels_first; /* w is in the parameters' order */
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    int algorithm; /* of the pass's own enumeration */
    size_t bytes;  /* of cuDNN's workspace */
} pass;

/* Do the next call unless one has failed. */
#define THEN(status, call)                                                                                                                 \
    do {                                                                                                                                   \
        if ((status) == CUDNN_STATUS_SUCCESS) (status) = (call);                                                                           \
    } while (0)

/*
 * Fill algorithm and bytes of a pass whose descriptors are set: the first of cuDNN's ranking that is deterministic, can be used and takes
 * a reasonable workspace. CUDNN_STATUS_NOT_SUPPORTED, or cuDNN's own status, where there is none.
 */
cudnnStatus_t dnn_choose(cudnnHandle_t h, int kind, pass *p);

#endif
