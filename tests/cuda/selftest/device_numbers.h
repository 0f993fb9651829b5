/* Elements on the device in float32 or bfloat16, filled with random numbers and read back as float64. */
#ifndef SELFTEST_DEVICE_NUMBERS_H
#define SELFTEST_DEVICE_NUMBERS_H

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

typedef std::vector<double> Numbers;

inline double next_number() {
    static uint64_t state = 12345;
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<double>(state >> 40) / (1 << 23) - 1;
}

/* Elements on the device in one of the types; get and put convert. */
struct Device {
    Device(size_t n, cudnnDataType_t t) : count(n), type(t) {
        if (cudaMalloc(&data, bytes()) != cudaSuccess) std::exit(2);
    }
    ~Device() {
        cudaFree(data);
    }
    Device(const Device &) = delete;
    Device &operator=(const Device &) = delete;
    size_t bytes() const {
        return count * (type == CUDNN_DATA_FLOAT ? 4 : 2);
    }
    /* Random numbers, rounded as the device has them. */
    Numbers fill() {
        std::vector<float> values(count);
        for (float &value : values) {
            value = static_cast<float>(next_number());
            uint32_t bits;
            std::memcpy(&bits, &value, 4);
            if (type == CUDNN_DATA_BFLOAT16) bits &= 0xffff0000u;
            std::memcpy(&value, &bits, 4);
        }
        put(values);
        return Numbers(values.begin(), values.end());
    }
    void put(const std::vector<float> &values) {
        std::vector<uint16_t> halves(count);
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            std::memcpy(&bits, &values[i], 4);
            halves[i] = static_cast<uint16_t>(bits >> 16);
        }
        const void *from = type == CUDNN_DATA_FLOAT ? static_cast<const void *>(values.data()) : halves.data();
        cudaMemcpy(data, from, bytes(), cudaMemcpyHostToDevice);
    }
    Numbers get() const {
        std::vector<float> values(count);
        std::vector<uint16_t> halves(count);
        cudaDeviceSynchronize();
        cudaMemcpy(type == CUDNN_DATA_FLOAT ? static_cast<void *>(values.data()) : halves.data(), data, bytes(), cudaMemcpyDeviceToHost);
        if (type == CUDNN_DATA_BFLOAT16)
            for (size_t i = 0; i < count; i++) {
                const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
                std::memcpy(&values[i], &bits, 4);
            }
        return Numbers(values.begin(), values.end());
    }
    void *data = nullptr;
    size_t count;
    cudnnDataType_t type;
};

#endif
