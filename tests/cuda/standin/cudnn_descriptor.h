/* The stand-in's idea of cuDNN's opaque types, and how tensors and filters become dense floats and back. */
#ifndef STANDIN_CUDNN_DESCRIPTOR_H
#define STANDIN_CUDNN_DESCRIPTOR_H

#include "host.h"

#include <cudnn.h>

#include <vector>

struct cudnnContext {
    cudaStream_t stream = nullptr;
};

struct cudnnTensorStruct {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    int n = 0, c = 0, h = 0, w = 0;
    long n_stride = 0, c_stride = 0, h_stride = 0, w_stride = 0; /* elements */
};

struct cudnnFilterStruct {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnTensorFormat_t format = CUDNN_TENSOR_NCHW;
    int k = 0, c = 0, r = 0, s = 0;
};

struct cudnnConvolutionStruct {
    int pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    int groups = 1;
    cudnnConvolutionMode_t mode = CUDNN_CONVOLUTION;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

namespace standin {

typedef std::vector<float> Floats;

inline bool known_type(cudnnDataType_t type) {
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_BFLOAT16;
}
inline size_t element_bytes(cudnnDataType_t type) {
    return type == CUDNN_DATA_BFLOAT16 ? 2 : 4;
}

/* Bytes from the first to the last element. */
size_t tensor_span(const cudnnTensorStruct &t);
size_t filter_span(const cudnnFilterStruct &f);

/* Elements in the order (n,h,w,c) or (k,r,s,c). */
Floats load_tensor(const cudnnTensorStruct &t, const void *data);
Floats load_filter(const cudnnFilterStruct &f, const void *data);
/* data = alpha values + beta data; where beta is 0 data is not read. */
void store_tensor(const cudnnTensorStruct &t, void *data, const Floats &values, float alpha, float beta);
void store_filter(const cudnnFilterStruct &f, void *data, const Floats &values, float alpha, float beta);

/* Reports an argument that is not memory of the device of this many bytes. */
bool check_memory(const char *function, const char *argument, const void *p, size_t bytes);

} // namespace standin

#endif
