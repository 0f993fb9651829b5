/* The calls that compute. Arguments are judged at the call, the computing is work for the handle's stream. */
#include "cudnn_algorithm.h"

#include <cstring>
#include <functional>

#include <unistd.h>

namespace standin {

/* What an algorithm without a fixed order of sums may do: other last bits each time, in other runs too. */
static void disturb(Floats &values, cudnnDataType_t type) {
    static unsigned long calls = static_cast<unsigned long>(getpid());
    const float step = type == CUDNN_DATA_BFLOAT16 ? 1.0f + 1.0f / 128 : 1.0f + 1.0f / (1 << 22);
    calls++;
    for (size_t i = calls % 3; i < values.size(); i += 3) values[i] *= step;
}

struct Argument {
    const char *name;
    const void *data;
    size_t bytes;
};

/* What the three passes have in common. compute and store run when the stream comes to it. */
static cudnnStatus_t convolve(const char *function, cudnnHandle_t handle, Pass pass, int id, const Geometry &g, void *workspace,
                              size_t workspace_size, std::initializer_list<Argument> arguments, cudnnDataType_t type,
                              const std::function<Floats()> &compute, const std::function<void(const Floats &)> &store) {
    if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM;
    const Algorithm *algorithm = find_algorithm(pass, id);
    if (algorithm == nullptr) return CUDNN_STATUS_NOT_SUPPORTED;
    const size_t needed = workspace_bytes(*algorithm, g);
    if (workspace_size < needed || (needed > 0 && workspace == nullptr)) {
        cusim::fault("%s: the algorithm needs %zu bytes of workspace and is given %zu at %p", function, needed, workspace_size, workspace);
        return CUDNN_STATUS_BAD_PARAM;
    }
    for (const Argument &argument : arguments)
        if (!check_memory(function, argument.name, argument.data, argument.bytes)) return CUDNN_STATUS_BAD_PARAM;
    if (workspace != nullptr && workspace_size > 0 && !check_memory(function, "the workspace", workspace, workspace_size))
        return CUDNN_STATUS_BAD_PARAM;
    cusim::submit(handle->stream, [=] {
        /* Nobody may rely on what is in the workspace, nor keep anything there: it becomes NaN. */
        if (workspace != nullptr) std::memset(workspace, 0xFF, workspace_size);
        Floats values = compute();
        if (!algorithm->deterministic) disturb(values, type);
        store(values);
    });
    return CUDNN_STATUS_SUCCESS;
}

static float number(const void *scale) {
    return *static_cast<const float *>(scale);
}

} // namespace standin

using namespace standin;

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x,
                                      const cudnnFilterDescriptor_t wDesc, const void *w, const cudnnConvolutionDescriptor_t convDesc,
                                      cudnnConvolutionFwdAlgo_t algo, void *workSpace, size_t workSpaceSizeInBytes, const void *beta,
                                      const cudnnTensorDescriptor_t yDesc, void *y) {
    cusim::Guard guard;
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_EXECUTION_FAILED);
    Geometry g;
    const cudnnStatus_t status = describe(xDesc, wDesc, convDesc, yDesc, &g);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const cudnnTensorStruct x_desc = *xDesc, y_desc = *yDesc;
    const cudnnFilterStruct w_desc = *wDesc;
    const float a = number(alpha), b = number(beta);
    return convolve(
        __func__, handle, FORWARD, algo, g, workSpace, workSpaceSizeInBytes,
        {{"x", x, tensor_span(x_desc)}, {"w", w, filter_span(w_desc)}, {"y", y, tensor_span(y_desc)}}, y_desc.type,
        [=] { return forward(g, load_tensor(x_desc, x), load_filter(w_desc, w)); },
        [=](const Floats &values) { store_tensor(y_desc, y, values, a, b); });
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t wDesc, const void *w,
                                           const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                           const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdDataAlgo_t algo, void *workSpace,
                                           size_t workSpaceSizeInBytes, const void *beta, const cudnnTensorDescriptor_t dxDesc, void *dx) {
    cusim::Guard guard;
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_EXECUTION_FAILED);
    Geometry g;
    const cudnnStatus_t status = describe(dxDesc, wDesc, convDesc, dyDesc, &g);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const cudnnTensorStruct dx_desc = *dxDesc, dy_desc = *dyDesc;
    const cudnnFilterStruct w_desc = *wDesc;
    const float a = number(alpha), b = number(beta);
    return convolve(
        __func__, handle, BACKWARD_DATA, algo, g, workSpace, workSpaceSizeInBytes,
        {{"dx", dx, tensor_span(dx_desc)}, {"w", w, filter_span(w_desc)}, {"dy", dy, tensor_span(dy_desc)}}, dx_desc.type,
        [=] { return backward_data(g, load_filter(w_desc, w), load_tensor(dy_desc, dy)); },
        [=](const Floats &values) { store_tensor(dx_desc, dx, values, a, b); });
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t xDesc, const void *x,
                                             const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                             const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdFilterAlgo_t algo,
                                             void *workSpace, size_t workSpaceSizeInBytes, const void *beta,
                                             const cudnnFilterDescriptor_t dwDesc, void *dw) {
    cusim::Guard guard;
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_EXECUTION_FAILED);
    Geometry g;
    const cudnnStatus_t status = describe(xDesc, dwDesc, convDesc, dyDesc, &g);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const cudnnTensorStruct x_desc = *xDesc, dy_desc = *dyDesc;
    const cudnnFilterStruct dw_desc = *dwDesc;
    const float a = number(alpha), b = number(beta);
    return convolve(
        __func__, handle, BACKWARD_FILTER, algo, g, workSpace, workSpaceSizeInBytes,
        {{"x", x, tensor_span(x_desc)}, {"dw", dw, filter_span(dw_desc)}, {"dy", dy, tensor_span(dy_desc)}}, dw_desc.type,
        [=] { return backward_filter(g, load_tensor(x_desc, x), load_tensor(dy_desc, dy)); },
        [=](const Floats &values) { store_filter(dw_desc, dw, values, a, b); });
}

/* db (1,k,1,1) */
cudnnStatus_t cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                           const void *beta, const cudnnTensorDescriptor_t dbDesc, void *db) {
    cusim::Guard guard;
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_EXECUTION_FAILED);
    if (handle == nullptr || dyDesc->n == 0 || dbDesc->n != 1 || dbDesc->h != 1 || dbDesc->w != 1 || dbDesc->c != dyDesc->c)
        return CUDNN_STATUS_BAD_PARAM;
    if (dyDesc->type != dbDesc->type) return CUDNN_STATUS_NOT_SUPPORTED;
    const cudnnTensorStruct dy_desc = *dyDesc, db_desc = *dbDesc;
    if (!check_memory(__func__, "dy", dy, tensor_span(dy_desc)) || !check_memory(__func__, "db", db, tensor_span(db_desc)))
        return CUDNN_STATUS_BAD_PARAM;
    const float a = number(alpha), b = number(beta);
    cusim::submit(handle->stream, [=] {
        const Floats values = load_tensor(dy_desc, dy);
        const size_t channels = static_cast<size_t>(dy_desc.c);
        std::vector<double> sums(channels);
        for (size_t i = 0; i < values.size(); i++) sums[i % channels] += static_cast<double>(values[i]);
        Floats result(channels);
        for (size_t c = 0; c < channels; c++) result[c] = static_cast<float>(sums[c]);
        store_tensor(db_desc, db, result, a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}

/* C = alpha A + beta C; where an extent of A is 1 it goes for all of C's. */
cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t aDesc, const void *A, const void *beta,
                             const cudnnTensorDescriptor_t cDesc, void *C) {
    cusim::Guard guard;
    CUSIM_INJECT(cudnnStatus_t, CUDNN_STATUS_EXECUTION_FAILED);
    if (handle == nullptr || aDesc->n == 0 || cDesc->n == 0) return CUDNN_STATUS_BAD_PARAM;
    const cudnnTensorStruct a_desc = *aDesc, c_desc = *cDesc;
    if ((a_desc.n != 1 && a_desc.n != c_desc.n) || (a_desc.c != 1 && a_desc.c != c_desc.c) || (a_desc.h != 1 && a_desc.h != c_desc.h) ||
        (a_desc.w != 1 && a_desc.w != c_desc.w))
        return CUDNN_STATUS_BAD_PARAM;
    if (a_desc.type != c_desc.type) return CUDNN_STATUS_NOT_SUPPORTED;
    if (!check_memory(__func__, "A", A, tensor_span(a_desc)) || !check_memory(__func__, "C", C, tensor_span(c_desc)))
        return CUDNN_STATUS_BAD_PARAM;
    const float a = number(alpha), b = number(beta);
    cusim::submit(handle->stream, [=] {
        cudnnTensorStruct spread = c_desc; /* A with C's extents, standing still where it has one element */
        spread.n_stride = a_desc.n == 1 ? 0 : a_desc.n_stride;
        spread.c_stride = a_desc.c == 1 ? 0 : a_desc.c_stride;
        spread.h_stride = a_desc.h == 1 ? 0 : a_desc.h_stride;
        spread.w_stride = a_desc.w == 1 ? 0 : a_desc.w_stride;
        store_tensor(c_desc, C, load_tensor(spread, A), a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}
