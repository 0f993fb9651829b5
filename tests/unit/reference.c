/* The plain float64 operations of reference.h. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops_check.h"

static size_t at(ref_map m, int n, int h, int w, int c) {
    return (((size_t)n * (size_t)m.h + (size_t)h) * (size_t)m.w + (size_t)w) * (size_t)m.c + (size_t)c;
}

/* ---- convolution: all three passes walk over the same products x * w -> y ---- */

ref_map ref_conv_in(const conv_desc *d) {
    return (ref_map){d->n, d->h, d->w, d->c_in};
}

/* The length of an output side, by counting the places of the window's first tap. */
static int places(int in, int kernel, int stride, int padding, int dilation) {
    int count = 0;
    for (int first = -padding; first + dilation * (kernel - 1) < in + padding; first += stride) count++;
    return count;
}

ref_map ref_conv_out(const conv_desc *d) {
    return (ref_map){d->n, places(d->h, d->kernel, d->stride, d->padding, d->dilation),
                     places(d->w, d->kernel, d->stride, d->padding, d->dilation), d->c_out};
}

size_t ref_conv_weights(const conv_desc *d) {
    return (size_t)d->c_out * (size_t)(d->c_in / d->groups) * (size_t)(d->kernel * d->kernel);
}

typedef void conv_product(size_t x, size_t w, size_t y, void *context);

static void conv_tap(const conv_desc *d, ref_map in, size_t y, int n, int iy, int ix, int o, int tap, conv_product *product,
                     void *context) {
    const int group_in = d->c_in / d->groups, first = o / (d->c_out / d->groups) * group_in;
    for (int i = 0; i < group_in; i++) {
        const size_t w = ((size_t)o * (size_t)group_in + (size_t)i) * (size_t)(d->kernel * d->kernel) + (size_t)tap;
        product(at(in, n, iy, ix, first + i), w, y, context);
    }
}

static void conv_walk(const conv_desc *d, conv_product *product, void *context) {
    const ref_map in = ref_conv_in(d), out = ref_conv_out(d);
    for (size_t y = 0; y < ref_count(out); y++) {
        const int o = (int)(y % (size_t)out.c), ox = (int)(y / (size_t)out.c % (size_t)out.w);
        const int oy = (int)(y / (size_t)out.c / (size_t)out.w % (size_t)out.h),
                  n = (int)(y / (size_t)out.c / (size_t)out.w / (size_t)out.h);
        for (int tap = 0; tap < d->kernel * d->kernel; tap++) {
            const int iy = oy * d->stride - d->padding + tap / d->kernel * d->dilation;
            const int ix = ox * d->stride - d->padding + tap % d->kernel * d->dilation;
            if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w) conv_tap(d, in, y, n, iy, ix, o, tap, product, context);
        }
    }
}

/* What the three passes read and add to. */
typedef struct conv_sides {
    const double *a, *b;
    double *sum;
} conv_sides;

static void add_to_y(size_t x, size_t w, size_t y, void *context) {
    const conv_sides *s = context;
    s->sum[y] += s->a[x] * s->b[w];
}

static void add_to_dx(size_t x, size_t w, size_t y, void *context) {
    const conv_sides *s = context;
    s->sum[x] += s->a[y] * s->b[w];
}

static void add_to_dw(size_t x, size_t w, size_t y, void *context) {
    const conv_sides *s = context;
    s->sum[w] += s->a[x] * s->b[y];
}

void ref_conv_forward(const conv_desc *d, const double *x, const double *w, const double *bias, double *y) {
    const size_t count = ref_count(ref_conv_out(d));
    for (size_t i = 0; i < count; i++) y[i] = bias != NULL ? bias[i % (size_t)d->c_out] : 0.0;
    conv_walk(d, add_to_y, &(conv_sides){x, w, y});
}

void ref_conv_backward_data(const conv_desc *d, const double *dy, const double *w, double *dx) {
    memset(dx, 0, ref_count(ref_conv_in(d)) * sizeof *dx);
    conv_walk(d, add_to_dx, &(conv_sides){dy, w, dx});
}

void ref_conv_backward_weights(const conv_desc *d, const double *x, const double *dy, double *dw, double *dbias) {
    memset(dw, 0, ref_conv_weights(d) * sizeof *dw);
    conv_walk(d, add_to_dw, &(conv_sides){x, dy, dw});
    if (dbias == NULL) return;
    memset(dbias, 0, (size_t)d->c_out * sizeof *dbias);
    for (size_t i = 0; i < ref_count(ref_conv_out(d)); i++) dbias[i % (size_t)d->c_out] += dy[i];
}

/* ---- pooling ---- */

ref_map ref_maxpool_out(ref_map in, int kernel, int stride, int padding) {
    return (ref_map){in.n, places(in.h, kernel, stride, padding, 1), places(in.w, kernel, stride, padding, 1), in.c};
}

void ref_maxpool_forward(ref_map in, const double *x, int kernel, int stride, int padding, double *y, uint8_t *argmax) {
    const ref_map out = ref_maxpool_out(in, kernel, stride, padding);
    for (size_t i = 0; i < ref_count(out); i++) {
        const int c = (int)(i % (size_t)out.c), ox = (int)(i / (size_t)out.c % (size_t)out.w);
        const int oy = (int)(i / (size_t)out.c / (size_t)out.w % (size_t)out.h),
                  n = (int)(i / (size_t)out.c / (size_t)out.w / (size_t)out.h);
        bool found = false;
        for (int tap = 0; tap < kernel * kernel; tap++) {
            const int iy = oy * stride - padding + tap / kernel, ix = ox * stride - padding + tap % kernel;
            if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
            const double v = x[at(in, n, iy, ix, c)];
            if (found && v <= y[i]) continue;
            y[i] = v;
            argmax[i] = (uint8_t)tap;
            found = true;
        }
    }
}

void ref_maxpool_backward(ref_map in, const double *dy, const uint8_t *argmax, int kernel, int stride, int padding, double *dx) {
    const ref_map out = ref_maxpool_out(in, kernel, stride, padding);
    memset(dx, 0, ref_count(in) * sizeof *dx);
    for (size_t i = 0; i < ref_count(out); i++) {
        const int c = (int)(i % (size_t)out.c), ox = (int)(i / (size_t)out.c % (size_t)out.w);
        const int oy = (int)(i / (size_t)out.c / (size_t)out.w % (size_t)out.h),
                  n = (int)(i / (size_t)out.c / (size_t)out.w / (size_t)out.h);
        dx[at(in, n, oy * stride - padding + argmax[i] / kernel, ox * stride - padding + argmax[i] % kernel, c)] += dy[i];
    }
}

void ref_global_pool_forward(ref_map in, const double *x, double *y) {
    const size_t p = (size_t)in.h * (size_t)in.w, c = (size_t)in.c;
    memset(y, 0, (size_t)in.n * c * sizeof *y);
    for (size_t i = 0; i < ref_count(in); i++) y[i / c / p * c + i % c] += x[i] / (double)p;
}

void ref_global_pool_backward(ref_map in, const double *dy, double *dx) {
    const size_t p = (size_t)in.h * (size_t)in.w, c = (size_t)in.c;
    for (size_t i = 0; i < ref_count(in); i++) dx[i] = dy[i / c / p * c + i % c] / (double)p;
}

/* ---- bilinear resize ---- */

typedef struct ref_mix {
    int near, far;
    double share; /* of far */
} ref_mix;

/* PyTorch's align_corners=False: source = (out + 0.5) in / out - 0.5, not below 0, far neighbour not beyond the last. */
static ref_mix mix_of(int to, int in, int out) {
    const double source = fmax(0.0, (to + 0.5) * in / out - 0.5);
    ref_mix m = {.near = (int)floor(source)};
    m.share = source - m.near;
    m.far = m.near + 1 < in ? m.near + 1 : in - 1;
    return m;
}

typedef void resize_visit(double weight, size_t from, size_t to, const double *a, double *b);

static void add_forward(double weight, size_t from, size_t to, const double *a, double *b) {
    b[to] += weight * a[from];
}

static void add_backward(double weight, size_t from, size_t to, const double *a, double *b) {
    b[from] += weight * a[to];
}

static void resize_walk(ref_map in, int out_h, int out_w, const double *a, double *b, resize_visit *visit) {
    const ref_map out = {in.n, out_h, out_w, in.c};
    for (size_t i = 0; i < ref_count(out); i++) {
        const int c = (int)(i % (size_t)out.c), ox = (int)(i / (size_t)out.c % (size_t)out.w);
        const int oy = (int)(i / (size_t)out.c / (size_t)out.w % (size_t)out.h),
                  n = (int)(i / (size_t)out.c / (size_t)out.w / (size_t)out.h);
        const ref_mix v = mix_of(oy, in.h, out_h), h = mix_of(ox, in.w, out_w);
        visit((1 - v.share) * (1 - h.share), at(in, n, v.near, h.near, c), i, a, b);
        visit((1 - v.share) * h.share, at(in, n, v.near, h.far, c), i, a, b);
        visit(v.share * (1 - h.share), at(in, n, v.far, h.near, c), i, a, b);
        visit(v.share * h.share, at(in, n, v.far, h.far, c), i, a, b);
    }
}

void ref_resize_forward(ref_map in, int out_h, int out_w, const double *x, double *y) {
    memset(y, 0, ref_count((ref_map){in.n, out_h, out_w, in.c}) * sizeof *y);
    resize_walk(in, out_h, out_w, x, y, add_forward);
}

void ref_resize_backward(ref_map in, int out_h, int out_w, const double *dy, double *dx) {
    memset(dx, 0, ref_count(in) * sizeof *dx);
    resize_walk(in, out_h, out_w, dy, dx, add_backward);
}

/* ---- loss ---- */

/* One pixel: its logits z (C) are replaced by their gradient. */
static void pixel_loss(double *z, int c, int label, double weight, loss_sums *sums) {
    int best = 0;
    double total = 0.0;
    for (int i = 1; i < c; i++) best = z[i] > z[best] ? i : best;
    const double largest = z[best];
    for (int i = 0; i < c; i++) total += exp(z[i] - largest);
    sums->loss += weight * (log(total) + largest - z[label]);
    sums->valid++;
    sums->correct += best == label;
    for (int i = 0; i < c; i++) z[i] = weight * (exp(z[i] - largest) / total - (i == label ? 1.0 : 0.0));
}

void ref_upsample_loss(ref_map in, const double *x, const uint8_t *labels, int label_h, int label_w, const double *class_weights,
                       double *dx, loss_sums *sums) {
    const size_t c = (size_t)in.c, pixels = (size_t)in.n * (size_t)label_h * (size_t)label_w;
    double *large = check_doubles(pixels * c);
    ref_resize_forward(in, label_h, label_w, x, large);
    *sums = (loss_sums){0};
    for (size_t i = 0; i < pixels; i++) {
        if (labels[i] == 255)
            memset(large + i * c, 0, c * sizeof *large);
        else
            pixel_loss(large + i * c, in.c, labels[i], class_weights != NULL ? class_weights[labels[i]] : 1.0, sums);
    }
    if (dx != NULL) ref_resize_backward(in, label_h, label_w, large, dx);
    free(large);
}
