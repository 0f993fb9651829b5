/* Right kernels give right numbers: every way in which threads exchange values, and the device's types and intrinsics. */
#include "backend/cuda/launch.h"
#include "host.h"

#include <cuda_bf16.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

static int failed;

static void expect(bool right, const char *what) {
    if (right) return;
    std::printf("WRONG: %s\n", what);
    failed = 1;
}

template <class T> class Buffer {
  public:
    explicit Buffer(const std::vector<T> &values) : count(values.size()) {
        if (cudaMalloc(&data, count * sizeof(T)) != cudaSuccess) std::exit(2);
        cudaMemcpy(data, values.data(), count * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~Buffer() {
        cudaFree(data);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    std::vector<T> host() const {
        std::vector<T> values(count);
        cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost);
        return values;
    }
    T *data = nullptr;

  private:
    size_t count;
};

template <class T> __device__ T warp_sum(T value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

/* One block per row, in warps and then across them, as the product's reductions do. */
template <class T> static __global__ void __launch_bounds__(256) row_sums(const T *__restrict__ x, T *__restrict__ sums, int columns) {
    __shared__ T of_warp[32];
    T sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < columns; i += static_cast<int>(blockDim.x))
        sum += __ldg(x + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(columns) + i);
    sum = warp_sum(sum);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (lane == 0) of_warp[warp] = sum;
    __syncthreads();
    if (warp != 0) return;
    sum = warp_sum(lane < blockDim.x / 32 ? of_warp[lane] : static_cast<T>(0));
    if (lane == 0) sums[blockIdx.x] = sum;
}

template <class T> static void test_row_sums(const char *name, bool timed) {
    const int rows = timed ? 128 : 7, columns = timed ? 65 * 65 : 1003;
    std::vector<T> x(static_cast<size_t>(rows * columns));
    for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<T>(static_cast<int>(i % 17) - 8);
    Buffer<T> in(x), out(std::vector<T>(static_cast<size_t>(rows)));
    const clock_t begin = clock();
    EN_LAUNCH((row_sums<T>), static_cast<unsigned>(rows), 256, 0, nullptr, in.data, out.data, columns);
    const std::vector<T> sums = out.host();
    const double seconds = static_cast<double>(clock() - begin) / CLOCKS_PER_SEC;
    for (int r = 0; r < rows; r++) {
        long expected = 0;
        for (int c = 0; c < columns; c++) expected += static_cast<long>(x[static_cast<size_t>(r * columns + c)]);
        expect(static_cast<long>(sums[static_cast<size_t>(r)]) == expected, name);
    }
    if (timed) std::printf("row_sums: %.2f M threads/s\n", 256e-6 * rows / seconds);
}

static __global__ void axpy(float a, const float *x, float *y, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) y[i] += a * x[i];
}

static void time_axpy() {
    const int n = 1 << 22;
    Buffer<float> x(std::vector<float>(n, 1.0f)), y(std::vector<float>(n, 2.0f));
    const clock_t begin = clock();
    EN_LAUNCH(axpy, (n + 255) / 256, 256, 0, nullptr, 3.0f, x.data, y.data, n);
    cudaDeviceSynchronize();
    const double seconds = static_cast<double>(clock() - begin) / CLOCKS_PER_SEC;
    expect(y.host()[n - 1] == 5.0f, "axpy");
    std::printf("axpy: %.2f M threads/s\n", 1e-6 * n / seconds);
}

/* A transpose through padded dynamic shared memory, blocks of two dimensions. */
static __global__ void transpose(const float *x, float *y, int rows, int columns) {
    EN_DYN_SHARED(float, tile);
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
    int row = static_cast<int>(blockIdx.y) * 16 + ty, column = static_cast<int>(blockIdx.x) * 16 + tx;
    if (row < rows && column < columns) tile[ty * 17 + tx] = x[row * columns + column];
    __syncthreads();
    row = static_cast<int>(blockIdx.y) * 16 + tx;
    column = static_cast<int>(blockIdx.x) * 16 + ty;
    if (row < rows && column < columns) y[column * rows + row] = tile[tx * 17 + ty];
}

static void test_transpose() {
    const int rows = 37, columns = 50;
    std::vector<float> x(static_cast<size_t>(rows * columns));
    for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i);
    Buffer<float> in(x), out(std::vector<float>(x.size()));
    EN_LAUNCH(transpose, dim3(4, 3), dim3(16, 16), 16 * 17 * sizeof(float), nullptr, in.data, out.data, rows, columns);
    const std::vector<float> y = out.host();
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            expect(y[static_cast<size_t>(c * rows + r)] == x[static_cast<size_t>(r * columns + c)], "transpose");
}

/* A result per lane of each warp operation, checked against its definition. */
static __global__ void warp_operations(unsigned *out) {
    const unsigned lane = threadIdx.x;
    out[lane] = __shfl_sync(0xffffffffu, lane, 5);
    out[32 + lane] = __shfl_up_sync(0xffffffffu, lane, 3);
    out[64 + lane] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
    out[96 + lane] = __shfl_xor_sync(0xffffffffu, lane, 6);
    out[128 + lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
    out[160 + lane] = static_cast<unsigned>(__any_sync(0xffffffffu, lane == 9) + 2 * __all_sync(0xffffffffu, lane < 31));
    /* Two halves of the warp, each by itself. */
    out[192 + lane] = lane < 16 ? __shfl_sync(0x0000ffffu, lane * 2, 15) : __shfl_sync(0xffff0000u, lane * 3, 16);
    const unsigned long long wide = __shfl_sync(0xffffffffu, 0x100000000ull + lane, 31);
    out[224 + lane] = static_cast<unsigned>(wide >> 32) + static_cast<unsigned>(wide);
}

static void test_warp_operations() {
    Buffer<unsigned> out(std::vector<unsigned>(256));
    EN_LAUNCH(warp_operations, 1, 32, 0, nullptr, out.data);
    const std::vector<unsigned> y = out.host();
    for (unsigned i = 0; i < 32; i++) {
        expect(y[i] == 5, "__shfl_sync");
        expect(y[32 + i] == (i >= 3 ? i - 3 : i), "__shfl_up_sync");
        expect(y[64 + i] == (i % 8 < 5 ? i + 3 : i), "__shfl_down_sync in sections");
        expect(y[96 + i] == (i ^ 6u), "__shfl_xor_sync");
        expect(y[128 + i] == 0x49249249u, "__ballot_sync");
        expect(y[160 + i] == 1, "__any_sync, __all_sync");
        expect(y[192 + i] == (i < 16 ? 30u : 48u), "halves of a warp");
        expect(y[224 + i] == 32, "shuffle of 64 bits");
    }
}

static __global__ void histogram(const unsigned char *x, int n, unsigned *counts, unsigned long long *total, int *greatest) {
    __shared__ unsigned local[256];
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
    __syncthreads();
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += static_cast<int>(gridDim.x * blockDim.x)) {
        atomicAdd(&local[x[i]], 1);
        atomicAdd(total, x[i]);
        atomicMax(greatest, x[i]);
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x)
        if (local[i] != 0) atomicAdd(&counts[i], local[i]);
}

static void test_histogram() {
    std::vector<unsigned char> x(5001);
    std::vector<unsigned> expected(256);
    unsigned long long sum = 0;
    int most = 0;
    for (size_t i = 0; i < x.size(); i++) {
        x[i] = static_cast<unsigned char>(i * i % 201);
        expected[x[i]]++;
        sum += x[i];
        most = max(most, static_cast<int>(x[i]));
    }
    Buffer<unsigned char> in(x);
    Buffer<unsigned> counts(std::vector<unsigned>(256));
    Buffer<unsigned long long> total(std::vector<unsigned long long>(1));
    Buffer<int> greatest(std::vector<int>(1));
    EN_LAUNCH(histogram, 3, 96, 0, nullptr, in.data, static_cast<int>(x.size()), counts.data, total.data, greatest.data);
    expect(counts.host() == expected, "histogram");
    expect(total.host()[0] == sum, "atomicAdd of 64 bits");
    expect(greatest.host()[0] == most, "atomicMax");
}

/* bfloat16 in vectors, and what else the device has that the host has not. */
static __global__ void types(const float *x, __nv_bfloat16 *y, float *checks) {
    const unsigned i = threadIdx.x;
    const float2 pair = make_float2(x[2 * i], x[2 * i + 1]);
    reinterpret_cast<__nv_bfloat162 *>(y)[i] = __floats2bfloat162_rn(pair.x, pair.y);
    if (i != 0) return;
    checks[0] = __fmaf_rn(2, 3, 4) - 10;
    checks[1] = static_cast<float>(__umulhi(0x80000000u, 6) - 3);
    checks[2] = __int_as_float(__float_as_int(1.5f)) - 1.5f;
    checks[3] = __uint_as_float(__float_as_uint(-2.5f)) + 2.5f;
    checks[4] = fabsf(rsqrtf(4.0f) - 0.5f);
    checks[5] = static_cast<float>(min(3, 4) + max(1u, 2u)) - 5;
    checks[6] = fmaxf(__expf(0.0f), 0.5f) - 1;
    checks[7] = static_cast<float>(warpSize - 32);
}

static void test_types() {
    std::vector<float> x(64);
    for (size_t i = 0; i < x.size(); i++) x[i] = 1.0f + static_cast<float>(i) / 256;
    Buffer<float> in(x), checks(std::vector<float>(8, 9.0f));
    Buffer<__nv_bfloat16> out(std::vector<__nv_bfloat16>(64));
    EN_LAUNCH(types, 1, 32, 0, nullptr, in.data, out.data, checks.data);
    const std::vector<__nv_bfloat16> y = out.host();
    for (size_t i = 0; i < x.size(); i++)
        expect(std::fabs(__bfloat162float(y[i]) - x[i]) <= 1.0f / 256 && __bfloat162float(y[i]) == __bfloat162float(__float2bfloat16(x[i])),
               "bfloat16");
    for (float check : checks.host()) expect(check == 0, "intrinsics");
}

static void test_shared_limit() {
    std::vector<float> x(64 * 64);
    Buffer<float> in(x), out(x);
    expect(cudaFuncSetAttribute(transpose, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10) == cudaSuccess, "cudaFuncSetAttribute");
    EN_LAUNCH(transpose, dim3(4, 4), dim3(16, 16), 100 << 10, nullptr, in.data, out.data, 64, 64);
    expect(cudaGetLastError() == cudaSuccess, "100 KiB of dynamic shared memory");
}

int main(int argc, char **argv) {
    const bool timed = argc > 1 && std::strcmp(argv[1], "time") == 0;
    test_row_sums<float>("row sums", false);
    test_row_sums<double>("row sums in float64", false);
    test_transpose();
    test_warp_operations();
    test_histogram();
    test_types();
    test_shared_limit();
    if (timed) {
        test_row_sums<float>("row sums", true);
        time_axpy();
    }
    unsigned long long threads, switches;
    cusim_counts(&threads, &switches);
    expect(threads > 0 && switches > 0, "counts");
    if (cudaGetLastError() != cudaSuccess || cusim_errors() != 0) failed = 1;
    std::printf(failed ? "failed\n" : "right\n");
    return failed;
}
