/*
 * The cuDNN stand-in against a direct convolution in float64: all three passes, strides, padding, dilation, groups, both types, both filter
 * layouts, alpha and beta; and what it refuses. "convolution time" measures.
 */
#include "device_numbers.h"
#include "host.h"

#include <cudnn.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

static int failed;

static void expect(bool right, const char *what, double value = 0) {
    if (right) return;
    std::printf("WRONG: %s (%g)\n", what, value);
    failed = 1;
}

struct Shape {
    int n, h, w, c, k, r, s, pad, stride, dilation, groups;
};

/* Descriptors of one convolution and their sizes. */
struct Convolution {
    Convolution(const Shape &shape, cudnnDataType_t type, cudnnTensorFormat_t filter) : g(shape) {
        cudnnCreate(&handle);
        cudnnCreateTensorDescriptor(&x);
        cudnnCreateTensorDescriptor(&y);
        cudnnCreateTensorDescriptor(&bias);
        cudnnCreateFilterDescriptor(&w);
        cudnnCreateConvolutionDescriptor(&conv);
        cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, type, g.n, g.c, g.h, g.w);
        cudnnSetFilter4dDescriptor(w, type, filter, g.k, g.c / g.groups, g.r, g.s);
        cudnnSetConvolution2dDescriptor(conv, g.pad, g.pad, g.stride, g.stride, g.dilation, g.dilation, CUDNN_CROSS_CORRELATION,
                                        CUDNN_DATA_FLOAT);
        cudnnSetConvolutionGroupCount(conv, g.groups);
        int n, k;
        expect(cudnnGetConvolution2dForwardOutputDim(conv, x, w, &n, &k, &out_h, &out_w) == CUDNN_STATUS_SUCCESS, "output size");
        cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NHWC, type, g.n, g.k, out_h, out_w);
        cudnnSetTensor4dDescriptor(bias, CUDNN_TENSOR_NHWC, type, 1, g.k, 1, 1);
        x_count = static_cast<size_t>(g.n * g.h * g.w * g.c);
        y_count = static_cast<size_t>(g.n * out_h * out_w * g.k);
        w_count = static_cast<size_t>(g.k * g.c / g.groups * g.r * g.s);
        filter_last = filter == CUDNN_TENSOR_NHWC;
    }
    ~Convolution() {
        cudnnDestroyTensorDescriptor(x);
        cudnnDestroyTensorDescriptor(y);
        cudnnDestroyTensorDescriptor(bias);
        cudnnDestroyFilterDescriptor(w);
        cudnnDestroyConvolutionDescriptor(conv);
        cudnnDestroy(handle);
    }
    Convolution(const Convolution &) = delete;
    Convolution &operator=(const Convolution &) = delete;
    Shape g;
    cudnnHandle_t handle;
    cudnnTensorDescriptor_t x, y, bias;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    int out_h = 0, out_w = 0;
    size_t x_count, y_count, w_count;
    bool filter_last;

    /* Calls function(place in x, in w, in y) for each product of the sum that a convolution is. */
    template <class Function> void each_product(Function function) const {
        const int channels = g.c / g.groups, k_group = g.k / g.groups;
        for (int n = 0; n < g.n; n++)
            for (int p = 0; p < out_h; p++)
                for (int q = 0; q < out_w; q++)
                    for (int r = 0; r < g.r; r++)
                        for (int s = 0; s < g.s; s++) {
                            const int h = p * g.stride - g.pad + r * g.dilation, v = q * g.stride - g.pad + s * g.dilation;
                            if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
                            for (int k = 0; k < g.k; k++)
                                for (int c = 0; c < channels; c++) {
                                    const int at_x = ((n * g.h + h) * g.w + v) * g.c + k / k_group * channels + c;
                                    const int at_w =
                                        filter_last ? ((k * g.r + r) * g.s + s) * channels + c : ((k * channels + c) * g.r + r) * g.s + s;
                                    function(static_cast<size_t>(at_x), static_cast<size_t>(at_w),
                                             static_cast<size_t>(((n * out_h + p) * out_w + q) * g.k + k));
                                }
                        }
    }
};

static double dot(const Numbers &a, const Numbers &b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
    return sum;
}

/* Greatest difference relative to the greatest number. */
static double difference(const Numbers &got, const Numbers &expected) {
    double most = 0, worst = 0;
    for (size_t i = 0; i < expected.size(); i++) {
        most = std::fmax(most, std::fabs(expected[i]));
        const double d = std::fabs(got[i] - expected[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst / most;
}

static void test_passes(const Shape &shape, cudnnDataType_t type, cudnnTensorFormat_t filter) {
    Convolution cv(shape, type, filter);
    const double tolerance = type == CUDNN_DATA_FLOAT ? 2e-6 : 6e-3;
    Device x(cv.x_count, type), w(cv.w_count, type), y(cv.y_count, type), dy(cv.y_count, type), dx(cv.x_count, type), dw(cv.w_count, type);
    Device space(1 << 20, CUDNN_DATA_FLOAT);
    const Numbers x0 = x.fill(), w0 = w.fill(), dy0 = dy.fill();
    const float one = 1, zero = 0, half = 0.5f;
    Numbers y1(cv.y_count), dx1(cv.x_count), dw1(cv.w_count);
    cv.each_product([&](size_t i, size_t j, size_t o) {
        y1[o] += x0[i] * w0[j];
        dx1[i] += dy0[o] * w0[j];
        dw1[j] += dy0[o] * x0[i];
    });
    /* Outputs are NaN before, which beta = 0 must not read. */
    expect(cudnnConvolutionForward(cv.handle, &one, cv.x, x.data, cv.w, w.data, cv.conv, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                   space.data, space.bytes(), &zero, cv.y, y.data) == CUDNN_STATUS_SUCCESS,
           "forward");
    expect(cudnnConvolutionBackwardData(cv.handle, &one, cv.w, w.data, cv.y, dy.data, cv.conv, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                                        space.data, space.bytes(), &zero, cv.x, dx.data) == CUDNN_STATUS_SUCCESS,
           "backward data");
    expect(cudnnConvolutionBackwardFilter(cv.handle, &one, cv.x, x.data, cv.y, dy.data, cv.conv, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                                          space.data, space.bytes(), &zero, cv.w, dw.data) == CUDNN_STATUS_SUCCESS,
           "backward filter");
    const Numbers y2 = y.get(), dx2 = dx.get(), dw2 = dw.get();
    expect(difference(y2, y1) < tolerance, "forward numbers", difference(y2, y1));
    expect(difference(dx2, dx1) < tolerance, "backward data numbers", difference(dx2, dx1));
    expect(difference(dw2, dw1) < tolerance, "backward filter numbers", difference(dw2, dw1));
    /* <y,dy> = <x,dx> = <w,dw>, on the scale of the sums' terms. */
    const double scale = std::sqrt(dot(y2, y2) * dot(dy0, dy0));
    expect(std::fabs(dot(y2, dy0) - dot(x0, dx2)) < tolerance * scale, "x's adjoint");
    expect(std::fabs(dot(y2, dy0) - dot(w0, dw2)) < tolerance * scale, "w's adjoint");

    /* y = 0.5 conv + y */
    expect(cudnnConvolutionForward(cv.handle, &half, cv.x, x.data, cv.w, w.data, cv.conv, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr,
                                   0, &one, cv.y, y.data) == CUDNN_STATUS_SUCCESS,
           "forward with alpha and beta");
    for (double &v : y1) v *= 1.5;
    expect(difference(y.get(), y1) < 1.5 * tolerance, "alpha and beta");

    /* Bias, added and summed up. */
    Device bias(static_cast<size_t>(shape.k), type);
    const Numbers b0 = bias.fill();
    expect(cudnnAddTensor(cv.handle, &one, cv.bias, bias.data, &one, cv.y, y.data) == CUDNN_STATUS_SUCCESS, "bias");
    Numbers sums(b0.size());
    for (size_t i = 0; i < y1.size(); i++) {
        y1[i] += b0[i % b0.size()];
        sums[i % b0.size()] += dy0[i];
    }
    expect(difference(y.get(), y1) < 2 * tolerance, "bias numbers");
    expect(cudnnConvolutionBackwardBias(cv.handle, &one, cv.y, dy.data, &zero, cv.bias, bias.data) == CUDNN_STATUS_SUCCESS,
           "bias' gradient");
    expect(difference(bias.get(), sums) < tolerance, "bias' gradient numbers");
}

static void test_algorithms() {
    Convolution cv({2, 9, 9, 8, 8, 3, 3, 1, 1, 1, 1}, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC);
    cudnnConvolutionBwdFilterAlgoPerf_t rows[8];
    int found = 0;
    expect(cudnnGetConvolutionBackwardFilterAlgorithm_v7(cv.handle, cv.x, cv.y, cv.conv, cv.w, 8, &found, rows) == CUDNN_STATUS_SUCCESS &&
               found == 3,
           "list of algorithms");
    expect(rows[0].determinism == CUDNN_NON_DETERMINISTIC && rows[2].determinism == CUDNN_DETERMINISTIC && rows[2].memory > 0,
           "determinism");
    Device x(cv.x_count, CUDNN_DATA_FLOAT), dy(cv.y_count, CUDNN_DATA_FLOAT), dw(cv.w_count, CUDNN_DATA_FLOAT),
        space(100000, CUDNN_DATA_FLOAT);
    x.fill();
    dy.fill();
    const float one = 1, zero = 0;
    Numbers results[4];
    for (int i = 0; i < 4; i++) {
        cudnnConvolutionBackwardFilter(cv.handle, &one, cv.x, x.data, cv.y, dy.data, cv.conv, rows[i < 2 ? 0 : 2].algo, space.data,
                                       space.bytes(), &zero, cv.w, dw.data);
        results[i] = dw.get();
    }
    expect(results[0] != results[1], "an algorithm that is not deterministic");
    expect(results[2] == results[3], "an algorithm that is");
    const Numbers scribbled = space.get();
    expect(std::isnan(scribbled[0]) && std::isnan(scribbled.back()), "the workspace becomes NaN");
}

static void test_refusals() {
    Convolution cv({1, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1}, CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_NHWC);
    Device x(cv.x_count, CUDNN_DATA_BFLOAT16), w(cv.w_count, CUDNN_DATA_BFLOAT16), y(cv.y_count, CUDNN_DATA_FLOAT);
    const float one = 1, zero = 0;
    cudnnTensorDescriptor_t other;
    cudnnCreateTensorDescriptor(&other);
    auto forward = [&](const void *data, cudnnConvolutionFwdAlgo_t algo) {
        return cudnnConvolutionForward(cv.handle, &one, cv.x, data, cv.w, w.data, cv.conv, algo, nullptr, 0, &zero, other, y.data);
    };
    cudnnSetTensor4dDescriptor(other, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 1, 8, 8, 8);
    expect(forward(x.data, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM) == CUDNN_STATUS_NOT_SUPPORTED, "bfloat16 to float32");
    cudnnSetTensor4dDescriptor(other, CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, 1, 8, 8, 7);
    expect(forward(x.data, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM) == CUDNN_STATUS_BAD_PARAM, "an output of another size");
    cudnnSetTensor4dDescriptor(other, CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, 1, 8, 8, 8);
    expect(forward(x.data, CUDNN_CONVOLUTION_FWD_ALGO_FFT) == CUDNN_STATUS_NOT_SUPPORTED, "an algorithm for others");
    expect(cusim_errors() == 0, "refusing is no fault");
    expect(forward(x.data, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM) == CUDNN_STATUS_BAD_PARAM, "no workspace");
    expect(forward(&one, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM) == CUDNN_STATUS_BAD_PARAM, "memory of the host");
    expect(cusim_errors() == 2, "faults");
    cudnnDestroyTensorDescriptor(other);
}

static void measure(const Shape &shape) {
    Convolution cv(shape, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC);
    Device x(cv.x_count, CUDNN_DATA_FLOAT), w(cv.w_count, CUDNN_DATA_FLOAT), y(cv.y_count, CUDNN_DATA_FLOAT),
        space(1 << 20, CUDNN_DATA_FLOAT);
    x.fill();
    w.fill();
    const float one = 1, zero = 0;
    const double flops = 2.0 * static_cast<double>(cv.y_count) * shape.c / shape.groups * shape.r * shape.s;
    double seconds[3];
    for (int pass = 0; pass < 3; pass++) {
        const clock_t begin = clock();
        if (pass == 0)
            cudnnConvolutionForward(cv.handle, &one, cv.x, x.data, cv.w, w.data, cv.conv, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, nullptr,
                                    0, &zero, cv.y, y.data);
        else if (pass == 1)
            cudnnConvolutionBackwardData(cv.handle, &one, cv.w, w.data, cv.y, y.data, cv.conv, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                                         space.data, space.bytes(), &zero, cv.x, x.data);
        else
            cudnnConvolutionBackwardFilter(cv.handle, &one, cv.x, x.data, cv.y, y.data, cv.conv, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                                           space.data, space.bytes(), &zero, cv.w, w.data);
        cudaDeviceSynchronize();
        seconds[pass] = static_cast<double>(clock() - begin) / CLOCKS_PER_SEC;
    }
    std::printf("%dx%dx%dx%d, %d %dx%d: forward %.1f, backward data %.1f, backward filter %.1f GF/s\n", shape.n, shape.h, shape.w, shape.c,
                shape.k, shape.r, shape.s, flops / seconds[0] * 1e-9, flops / seconds[1] * 1e-9, flops / seconds[2] * 1e-9);
}

int main(int argc, char **argv) {
    if (argc > 1 && std::strcmp(argv[1], "time") == 0) {
        measure({2, 65, 65, 64, 64, 3, 3, 1, 1, 1, 1});
        measure({4, 16, 16, 256, 256, 3, 3, 1, 1, 1, 1});
        measure({4, 32, 32, 64, 256, 1, 1, 0, 1, 1, 1});
    }
    static const Shape shapes[] = {
        {2, 9, 8, 5, 7, 3, 3, 1, 1, 1, 1},   {1, 11, 13, 3, 8, 7, 7, 3, 2, 1, 1}, {2, 9, 9, 4, 6, 3, 3, 4, 1, 4, 1},
        {1, 8, 8, 16, 32, 1, 1, 0, 2, 1, 1}, {2, 6, 7, 8, 12, 3, 3, 1, 2, 1, 4},  {1, 7, 7, 6, 6, 3, 3, 1, 1, 2, 6},
    };
    for (const Shape &shape : shapes)
        for (cudnnDataType_t type : {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16})
            for (cudnnTensorFormat_t filter : {CUDNN_TENSOR_NHWC, CUDNN_TENSOR_NCHW}) test_passes(shape, type, filter);
    test_algorithms();
    expect(cusim_errors() == 0, "no faults");
    std::fflush(stdout);
    std::printf(failed ? "failed\n" : "right\n");
    if (argc > 1 && std::strcmp(argv[1], "refusals") == 0) test_refusals();
    return failed;
}
