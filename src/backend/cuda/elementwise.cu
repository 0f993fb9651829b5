/*
 * Operations that treat every element alike: each reads its inputs once and writes its output once, 16 bytes a thread, and is as fast as
 * the device's memory. Outputs may be inputs: a thread reads all that it needs before it writes the same places.
 */
#include "backend/cuda/each.cuh"

/* ---- sums ---- */

/* In the inputs' order, rounded to the type after each. Bytes per element: COUNT + 1 elements, the minimum. */
template <typename T, int COUNT> struct sum_operation {
    const T *inputs[COUNT]; /* (elements) each */
    T *y;                   /* (elements) */

    template <int V> __device__ void apply(size_t i) const {
        lanes<V> terms[COUNT];
#pragma unroll
        for (int k = 0; k < COUNT; k++) terms[k] = lanes_load<V>(inputs[k] + i);
        lanes<V> sum = terms[0];
#pragma unroll
        for (int k = 1; k < COUNT; k++) {
#pragma unroll
            for (int e = 0; e < V; e++) sum.x[e] = as_stored<T>(sum.x[e] + terms[k].x[e]);
        }
        lanes_store<V>(y + i, sum);
    }
};

template <typename T, int COUNT> static void add_launch(backend *be, const void *const *inputs, void *y, size_t elements) {
    sum_operation<T, COUNT> sum;
    sum.y = static_cast<T *>(y);
    bool aligned = aligned_to(16, y);
    for (int k = 0; k < COUNT; k++) {
        sum.inputs[k] = static_cast<const T *>(inputs[k]);
        aligned = aligned && aligned_to(16, inputs[k]);
    }
    each_launch<vector_of<T>::length>(be, "add", sum, elements, aligned);
}

/* As many inputs as `count` says, which is COUNT or more. */
template <typename T, int COUNT> static void add_dispatch(backend *be, const void *const *inputs, int count, void *y, size_t elements) {
    if constexpr (COUNT < 8) {
        if (count > COUNT) {
            add_dispatch<T, COUNT + 1>(be, inputs, count, y, elements);
            return;
        }
    }
    add_launch<T, COUNT>(be, inputs, y, elements);
}

void cuda_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type) {
    (type == BF16 ? add_dispatch<__nv_bfloat16, 1> : add_dispatch<float, 1>)(be, inputs, count, y, elements);
}

void cuda_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type) {
    const void *const inputs[2] = {y, x};
    cuda_add(be, inputs, 2, y, elements, type);
}

/* ---- ReLU ---- */

/* Bytes per element: two elements, the minimum. */
template <typename T> struct relu_operation {
    const T *x; /* (elements) */
    T *y;       /* (elements) */

    template <int V> __device__ void apply(size_t i) const {
        lanes<V> value = lanes_load<V>(x + i);
#pragma unroll
        for (int e = 0; e < V; e++) value.x[e] = value.x[e] < 0.0f ? 0.0f : value.x[e]; /* NaN stays NaN */
        lanes_store<V>(y + i, value);
    }
};

template <typename T> static void relu_launch(backend *be, const void *x, void *y, size_t elements) {
    const relu_operation<T> relu = {static_cast<const T *>(x), static_cast<T *>(y)};
    each_launch<vector_of<T>::length>(be, "relu_forward", relu, elements, aligned_to(16, x, y));
}

void cuda_relu_forward(backend *be, const void *x, void *y, size_t elements, dtype type) {
    (type == BF16 ? relu_launch<__nv_bfloat16> : relu_launch<float>)(be, x, y, elements);
}

/* Bytes per element: three elements, the minimum. */
template <typename T> struct relu_backward_operation {
    const T *dy, *y; /* (elements) */
    T *dx;           /* (elements) */

    template <int V> __device__ void apply(size_t i) const {
        lanes<V> gradient = lanes_load<V>(dy + i);
        const lanes<V> output = lanes_load<V>(y + i);
#pragma unroll
        for (int e = 0; e < V; e++) gradient.x[e] = output.x[e] > 0.0f ? gradient.x[e] : 0.0f;
        lanes_store<V>(dx + i, gradient);
    }
};

template <typename T> static void relu_backward_launch(backend *be, const void *dy, const void *y, void *dx, size_t elements) {
    const relu_backward_operation<T> relu = {static_cast<const T *>(dy), static_cast<const T *>(y), static_cast<T *>(dx)};
    each_launch<vector_of<T>::length>(be, "relu_backward", relu, elements, aligned_to(16, dy, y, dx));
}

void cuda_relu_backward(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type) {
    (type == BF16 ? relu_backward_launch<__nv_bfloat16> : relu_backward_launch<float>)(be, dy, y, dx, elements);
}

/* ---- scale ---- */

/* One thread: a division of doubles takes many GPUs longer than the elements that one thread multiplies. */
static __global__ void scale_factor_kernel(double factor, const double *divisor, float *quotient) {
    *quotient = static_cast<float>(*divisor != 0.0 ? factor / *divisor : 0.0);
}

/* Bytes per element: two elements, the minimum. */
template <typename T> struct scale_operation {
    T *x;                /* (elements) */
    const float *factor; /* (1) */

    template <int V> __device__ void apply(size_t i) const {
        const float by = *factor;
        lanes<V> value = lanes_load<V>(x + i);
#pragma unroll
        for (int e = 0; e < V; e++) value.x[e] *= by;
        lanes_store<V>(x + i, value);
    }
};

template <typename T> static void scale_launch(backend *be, void *x, const float *factor, size_t elements) {
    const scale_operation<T> scale = {static_cast<T *>(x), factor};
    each_launch<vector_of<T>::length>(be, "scale", scale, elements, aligned_to(16, x));
}

void cuda_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type) {
    if (elements == 0) return;
    float *quotient = static_cast<float *>(cuda_scratch(be));
    CUDA_LAUNCH(be, "scale", scale_factor_kernel, 1, 1, 0, factor, divisor, quotient);
    (type == BF16 ? scale_launch<__nv_bfloat16> : scale_launch<float>)(be, x, quotient, elements);
}

/* ---- conversion ---- */

/* Four elements a thread, so that neighbours read and write side by side in both types. Bytes per element: one of each, the minimum. */
template <typename From, typename To> struct convert_operation {
    const From *from; /* (elements) */
    To *to;           /* (elements) */

    template <int V> __device__ void apply(size_t i) const {
        if constexpr (V == 4)
            quad_store(to + i, quad_load(from + i));
        else
            element_store(to + i, element_load(from + i));
    }
};

template <typename From, typename To> static void convert_launch(backend *be, const void *from, void *to, size_t elements) {
    const convert_operation<From, To> convert = {static_cast<const From *>(from), static_cast<To *>(to)};
    each_launch<4>(be, "convert", convert, elements, aligned_to(4 * sizeof(From), from) && aligned_to(4 * sizeof(To), to));
}

void cuda_convert(backend *be, const void *from, dtype from_type, void *to, dtype to_type, size_t elements) {
    if (elements == 0) return;
    if (from_type == to_type)
        cuda_check(be, cudaMemcpyAsync(to, from, elements * dtype_size(to_type), cudaMemcpyDeviceToDevice, cuda_stream(be)), "convert");
    else if (to_type == BF16)
        convert_launch<float, __nv_bfloat16>(be, from, to, elements);
    else
        convert_launch<__nv_bfloat16, float>(be, from, to, elements);
}
