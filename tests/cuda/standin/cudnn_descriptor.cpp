/* Descriptors: what may be set in them is what the real cuDNN accepts (selftest/geometry.c compares). */
#include "cudnn_descriptor.h"

#include <cstdint>
#include <cstring>

namespace standin {

static float load(const void *data, cudnnDataType_t type, long at) {
    if (type == CUDNN_DATA_FLOAT) return static_cast<const float *>(data)[at];
    const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t *>(data)[at]) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(void *data, cudnnDataType_t type, long at, float value) {
    if (type == CUDNN_DATA_FLOAT) {
        static_cast<float *>(data)[at] = value;
        return;
    }
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value == value)
        bits += 0x7fffu + (bits >> 16 & 1u); /* to the nearest, ties to even */
    else
        bits |= 0x400000u;
    static_cast<uint16_t *>(data)[at] = static_cast<uint16_t>(bits >> 16);
}

static void blend(void *data, cudnnDataType_t type, long at, float value, float alpha, float beta) {
    value *= alpha;
    if (beta != 0) value += beta * load(data, type, at);
    store(data, type, at, value);
}

/* Calls function(place in memory) for each element in the order of Floats. */
template <class Function> static void each_of_tensor(const cudnnTensorStruct &t, Function function) {
    for (int n = 0; n < t.n; n++)
        for (int h = 0; h < t.h; h++)
            for (int w = 0; w < t.w; w++) {
                const long row = n * t.n_stride + h * t.h_stride + w * t.w_stride;
                for (int c = 0; c < t.c; c++) function(row + c * t.c_stride);
            }
}

template <class Function> static void each_of_filter(const cudnnFilterStruct &f, Function function) {
    const bool channels_last = f.format == CUDNN_TENSOR_NHWC;
    for (long k = 0; k < f.k; k++)
        for (long r = 0; r < f.r; r++)
            for (long s = 0; s < f.s; s++)
                for (long c = 0; c < f.c; c++)
                    function(channels_last ? ((k * f.r + r) * f.s + s) * f.c + c : ((k * f.c + c) * f.r + r) * f.s + s);
}

size_t tensor_span(const cudnnTensorStruct &t) {
    const long last = (t.n - 1) * t.n_stride + (t.c - 1) * t.c_stride + (t.h - 1) * t.h_stride + (t.w - 1) * t.w_stride;
    return static_cast<size_t>(last + 1) * element_bytes(t.type);
}

size_t filter_span(const cudnnFilterStruct &f) {
    return static_cast<size_t>(f.k) * static_cast<size_t>(f.c) * static_cast<size_t>(f.r) * static_cast<size_t>(f.s) *
           element_bytes(f.type);
}

Floats load_tensor(const cudnnTensorStruct &t, const void *data) {
    Floats values;
    values.reserve(static_cast<size_t>(t.n) * static_cast<size_t>(t.h) * static_cast<size_t>(t.w) * static_cast<size_t>(t.c));
    each_of_tensor(t, [&](long at) { values.push_back(load(data, t.type, at)); });
    return values;
}

Floats load_filter(const cudnnFilterStruct &f, const void *data) {
    Floats values;
    values.reserve(filter_span(f) / element_bytes(f.type));
    each_of_filter(f, [&](long at) { values.push_back(load(data, f.type, at)); });
    return values;
}

void store_tensor(const cudnnTensorStruct &t, void *data, const Floats &values, float alpha, float beta) {
    size_t i = 0;
    each_of_tensor(t, [&](long at) { blend(data, t.type, at, values[i++], alpha, beta); });
}

void store_filter(const cudnnFilterStruct &f, void *data, const Floats &values, float alpha, float beta) {
    size_t i = 0;
    each_of_filter(f, [&](long at) { blend(data, f.type, at, values[i++], alpha, beta); });
}

bool check_memory(const char *function, const char *argument, const void *p, size_t bytes) {
    if (cusim::on_device(p, bytes)) return true;
    cusim::fault("%s: %s needs %zu bytes at %p, which are not memory of the device", function, argument, bytes, p);
    return false;
}

} // namespace standin

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensorDesc) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_ALLOC_FAILED);
    *tensorDesc = new cudnnTensorStruct;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensorDesc) {
    delete tensorDesc;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t dataType, int n, int c, int h, int w,
                                           int nStride, int cStride, int hStride, int wStride) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0 || nStride == 0 || cStride == 0 || hStride == 0 || wStride == 0) return CUDNN_STATUS_BAD_PARAM;
    if (!standin::known_type(dataType)) return CUDNN_STATUS_NOT_SUPPORTED;
    *tensorDesc = cudnnTensorStruct{dataType, n, c, h, w, nStride, cStride, hStride, wStride};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t format, cudnnDataType_t dataType, int n,
                                         int c, int h, int w) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0) return CUDNN_STATUS_BAD_PARAM;
    if (format == CUDNN_TENSOR_NHWC) return cudnnSetTensor4dDescriptorEx(tensorDesc, dataType, n, c, h, w, h * w * c, 1, w * c, c);
    if (format == CUDNN_TENSOR_NCHW) return cudnnSetTensor4dDescriptorEx(tensorDesc, dataType, n, c, h, w, c * h * w, h * w, w, 1);
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnGetTensor4dDescriptor(const cudnnTensorDescriptor_t tensorDesc, cudnnDataType_t *dataType, int *n, int *c, int *h,
                                         int *w, int *nStride, int *cStride, int *hStride, int *wStride) {
    *dataType = tensorDesc->type;
    *n = tensorDesc->n;
    *c = tensorDesc->c;
    *h = tensorDesc->h;
    *w = tensorDesc->w;
    *nStride = static_cast<int>(tensorDesc->n_stride);
    *cStride = static_cast<int>(tensorDesc->c_stride);
    *hStride = static_cast<int>(tensorDesc->h_stride);
    *wStride = static_cast<int>(tensorDesc->w_stride);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filterDesc) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_ALLOC_FAILED);
    *filterDesc = new cudnnFilterStruct;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filterDesc) {
    delete filterDesc;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t dataType, cudnnTensorFormat_t format, int k,
                                         int c, int h, int w) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    if (k <= 0 || c <= 0 || h <= 0 || w <= 0) return CUDNN_STATUS_BAD_PARAM;
    if (!standin::known_type(dataType) || (format != CUDNN_TENSOR_NHWC && format != CUDNN_TENSOR_NCHW)) return CUDNN_STATUS_NOT_SUPPORTED;
    *filterDesc = cudnnFilterStruct{dataType, format, k, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convDesc) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_ALLOC_FAILED);
    *convDesc = new cudnnConvolutionStruct;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convDesc) {
    delete convDesc;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convDesc, int pad_h, int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode, cudnnDataType_t computeType) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    if (pad_h < 0 || pad_w < 0 || u <= 0 || v <= 0 || dilation_h <= 0 || dilation_w <= 0) return CUDNN_STATUS_BAD_PARAM;
    convDesc->pad_h = pad_h;
    convDesc->pad_w = pad_w;
    convDesc->stride_h = u;
    convDesc->stride_w = v;
    convDesc->dilation_h = dilation_h;
    convDesc->dilation_w = dilation_w;
    convDesc->mode = mode;
    convDesc->compute = computeType;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc, int groupCount) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    if (groupCount <= 0) return CUDNN_STATUS_BAD_PARAM;
    convDesc->groups = groupCount;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc, cudnnMathType_t mathType) {
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_BAD_PARAM);
    convDesc->math = mathType;
    return CUDNN_STATUS_SUCCESS;
}
