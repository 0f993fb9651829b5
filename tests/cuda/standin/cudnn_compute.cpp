/* Each image's windows are laid out as rows of a matrix, and the three passes are products with it or its transpose, group by group. */
#include "cudnn_compute.h"
#include "cudnn_gemm.h"

#include <cstring>

namespace standin {

int output_size(int in, int pad, int kernel, int dilation, int stride) {
    const int room = in + 2 * pad - ((kernel - 1) * dilation + 1);
    return room < 0 ? 0 : room / stride + 1;
}

static long pixels(const Geometry &g) {
    return static_cast<long>(g.out_h) * g.out_w;
}
static long window(const Geometry &g) {
    return static_cast<long>(g.r) * g.s * g.channels;
}

/* Calls function(channels of the image or NULL where it is padding, channels of the window), for each output pixel and filter position. */
template <class Pointer, class Function>
static void each_window(const Geometry &g, Pointer image, float *columns, int group, Function function) {
    for (int p = 0; p < g.out_h; p++)
        for (int q = 0; q < g.out_w; q++)
            for (int r = 0; r < g.r; r++)
                for (int s = 0; s < g.s; s++, columns += g.channels) {
                    const int h = p * g.conv.stride_h - g.conv.pad_h + r * g.conv.dilation_h;
                    const int w = q * g.conv.stride_w - g.conv.pad_w + s * g.conv.dilation_w;
                    const bool inside = h >= 0 && h < g.h && w >= 0 && w < g.w;
                    function(inside ? image + (static_cast<long>(h) * g.w + w) * g.c + static_cast<long>(group) * g.channels : nullptr,
                             columns);
                }
}

static void gather(const Geometry &g, const float *image, int group, Floats &columns) {
    const size_t bytes = static_cast<size_t>(g.channels) * sizeof(float);
    each_window(g, image, columns.data(), group, [bytes](const float *from, float *to) {
        if (from != nullptr)
            std::memcpy(to, from, bytes);
        else
            std::memset(to, 0, bytes);
    });
}

static void scatter(const Geometry &g, float *image, int group, Floats &columns) {
    each_window(g, image, columns.data(), group, [&g](float *to, const float *from) {
        if (to == nullptr) return;
        for (int c = 0; c < g.channels; c++) to[c] += from[c];
    });
}

Floats forward(const Geometry &g, const Floats &x, const Floats &w) {
    const long k_group = g.k / g.conv.groups, image = static_cast<long>(g.h) * g.w * g.c;
    Floats y(static_cast<size_t>(g.n * pixels(g) * g.k)), columns(static_cast<size_t>(pixels(g) * window(g)));
    Floats turned(static_cast<size_t>(window(g) * k_group)); /* the group's filters, (r,s,c) x k */
    for (int group = 0; group < g.conv.groups; group++) {
        for (long k = 0; k < k_group; k++)
            for (long i = 0; i < window(g); i++)
                turned[static_cast<size_t>(i * k_group + k)] = w[static_cast<size_t>((group * k_group + k) * window(g) + i)];
        for (long n = 0; n < g.n; n++) {
            gather(g, x.data() + n * image, group, columns);
            gemm(pixels(g), k_group, window(g), columns.data(), window(g), 1, turned.data(), k_group,
                 y.data() + n * pixels(g) * g.k + group * k_group, g.k);
        }
    }
    return y;
}

Floats backward_data(const Geometry &g, const Floats &w, const Floats &dy) {
    const long k_group = g.k / g.conv.groups, image = static_cast<long>(g.h) * g.w * g.c;
    Floats dx(static_cast<size_t>(g.n * image)), columns(static_cast<size_t>(pixels(g) * window(g)));
    for (int group = 0; group < g.conv.groups; group++)
        for (long n = 0; n < g.n; n++) {
            std::memset(columns.data(), 0, columns.size() * sizeof(float));
            gemm(pixels(g), window(g), k_group, dy.data() + n * pixels(g) * g.k + group * k_group, g.k, 1,
                 w.data() + group * k_group * window(g), window(g), columns.data(), window(g));
            scatter(g, dx.data() + n * image, group, columns);
        }
    return dx;
}

Floats backward_filter(const Geometry &g, const Floats &x, const Floats &dy) {
    const long k_group = g.k / g.conv.groups, image = static_cast<long>(g.h) * g.w * g.c;
    Floats dw(static_cast<size_t>(g.k * window(g))), columns(static_cast<size_t>(pixels(g) * window(g)));
    for (int group = 0; group < g.conv.groups; group++)
        for (long n = 0; n < g.n; n++) {
            gather(g, x.data() + n * image, group, columns);
            gemm(k_group, window(g), pixels(g), dy.data() + n * pixels(g) * g.k + group * k_group, 1, g.k, columns.data(), window(g),
                 dw.data() + group * k_group * window(g), window(g));
        }
    return dw;
}

} // namespace standin
