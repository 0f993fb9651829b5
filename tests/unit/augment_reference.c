/* Written for plainness, from the description of each step rather than from the code under test; the hue goes through the textbook's six
 * cases. */
#include "augment_reference.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

reference_draws reference_draw(const augment_options *o, uint64_t seed, uint64_t position) {
    random_stream r = random_open(seed, RANDOM_AUGMENT, position);
    double u[13];
    for (int i = 0; i < 13; i++) u[i] = random_uniform(&r);
    reference_draws d = {.contrast = 1.0, .saturation = 1.0};
    d.scale = o->scale_min + u[0] * (o->scale_max - o->scale_min);
    d.vertical = u[1];
    d.horizontal = u[2];
    d.flip = o->flip && u[3] < 0.5;
    if (!o->photometric) return d;
    if (u[4] < 0.5) d.brightness = -32.0 + 64.0 * u[5];
    d.contrast_first = u[6] < 0.5;
    if (u[7] < 0.5) d.contrast = 0.5 + u[8];
    if (u[9] < 0.5) d.saturation = 0.5 + u[10];
    if (u[11] < 0.5) d.hue = -36.0 + 72.0 * u[12];
    return d;
}

static double at(const image *im, int y, int x, int channel) {
    return im->data[((size_t)y * (size_t)im->width + (size_t)x) * (size_t)im->channels + (size_t)channel];
}

static double source_coordinate(int out, int size_out, int size_in) {
    const double x = (out + 0.5) * ((double)size_in / size_out) - 0.5;
    return fmin(fmax(x, 0.0), size_in - 1.0);
}

void reference_resize(const image *picture, int h, int w, double *resized) {
    for (int y = 0; y < h; y++) {
        const double sy = source_coordinate(y, h, picture->height);
        const int y0 = (int)floor(sy), y1 = y0 + 1 < picture->height ? y0 + 1 : y0;
        for (int x = 0; x < w; x++) {
            const double sx = source_coordinate(x, w, picture->width);
            const int x0 = (int)floor(sx), x1 = x0 + 1 < picture->width ? x0 + 1 : x0;
            for (int c = 0; c < 3; c++)
                *resized++ = (1 - sy + y0) * ((1 - sx + x0) * at(picture, y0, x0, c) + (sx - x0) * at(picture, y0, x1, c)) +
                             (sy - y0) * ((1 - sx + x0) * at(picture, y1, x0, c) + (sx - x0) * at(picture, y1, x1, c));
        }
    }
}

static void to_hsv(const double rgb[3], double *h, double *s, double *v) {
    const double r = rgb[0], g = rgb[1], b = rgb[2];
    *v = fmax(r, fmax(g, b));
    const double c = *v - fmin(r, fmin(g, b));
    *s = *v > 0.0 ? c / *v : 0.0;
    if (c <= 0.0)
        *h = 0.0;
    else if (*v <= r)
        *h = 60.0 * (g - b) / c;
    else if (*v <= g)
        *h = 60.0 * (b - r) / c + 120.0;
    else
        *h = 60.0 * (r - g) / c + 240.0;
}

static void from_hsv(double h, double s, double v, double rgb[3]) {
    h = fmod(h + 720.0, 360.0);
    const int sector = (int)(h / 60.0);
    const double f = h / 60.0 - sector, p = v * (1 - s), q = v * (1 - f * s), t = v * (1 - (1 - f) * s);
    const double table[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    for (int c = 0; c < 3; c++) rgb[c] = table[sector][c];
}

static void linear(double rgb[3], double factor, double add) {
    for (int c = 0; c < 3; c++) rgb[c] = fmin(fmax(rgb[c] * factor + add, 0.0), 255.0);
}

void reference_distort(const reference_draws *d, double rgb[3]) {
    linear(rgb, 1.0, d->brightness);
    if (d->contrast_first) linear(rgb, d->contrast, 0.0);
    double h, s, v;
    to_hsv(rgb, &h, &s, &v);
    from_hsv(h + d->hue, fmin(s * d->saturation, 1.0), v, rgb);
    if (!d->contrast_first) linear(rgb, d->contrast, 0.0);
}

/* Where the crop begins in the scaled picture; negative where the picture begins inside the crop. */
static int crop_start(int scaled, int out, double u) {
    return scaled >= out ? (int)floor(u * (scaled - out + 1)) : -(int)floor(u * (out - scaled + 1));
}

void reference_augment(const augment_options *o, const image *picture, const image *label, const reference_draws *d, int out_h, int out_w,
                       double *pixels, uint8_t *labels) {
    const int h = (int)fmax(floor(d->scale * picture->height + 0.5), 1.0), w = (int)fmax(floor(d->scale * picture->width + 0.5), 1.0);
    double *resized = malloc((size_t)h * (size_t)w * 3 * sizeof *resized);
    if (resized == NULL) abort();
    reference_resize(picture, h, w, resized);
    const int top = crop_start(h, out_h, d->vertical), left = crop_start(w, out_w, d->horizontal);
    for (int y = 0; y < out_h; y++) {
        for (int x = 0; x < out_w; x++) {
            const int sy = y + top, sx = (d->flip ? out_w - 1 - x : x) + left;
            const bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
            double rgb[3] = {255.0 * o->mean[0], 255.0 * o->mean[1], 255.0 * o->mean[2]};
            for (int c = 0; inside && c < 3; c++) rgb[c] = resized[((size_t)sy * (size_t)w + (size_t)sx) * 3 + (size_t)c];
            if (inside && o->photometric) reference_distort(d, rgb);
            for (int c = 0; c < 3; c++) *pixels++ = rgb[c];
            const int ly = (int)floor((sy + 0.5) * picture->height / h), lx = (int)floor((sx + 0.5) * picture->width / w);
            *labels++ = (uint8_t)(inside ? at(label, ly, lx, 0) : 255.0);
        }
    }
    free(resized);
}

static bool many_classes(const uint8_t *labels, int n, double ratio) {
    int most = 0, valid = 0, classes = 0;
    for (int c = 0; c < 255; c++) {
        int count = 0;
        for (int i = 0; i < n; i++) count += labels[i] == c;
        most = count > most ? count : most;
        valid += count;
        classes += count > 0;
    }
    return classes >= 2 && (double)most / valid < ratio;
}

int reference_choose(const augment_options *o, uint64_t seed, uint64_t position, const image *picture, const image *label, int out_h,
                     int out_w, reference_draws *d) {
    if (floor(d->scale * picture->height + 0.5) <= out_h && floor(d->scale * picture->width + 0.5) <= out_w) return 1;
    random_stream r = random_open(seed, RANDOM_AUGMENT, position);
    for (int i = 0; i < 13; i++) (void)random_uniform(&r);
    const size_t n = (size_t)out_h * (size_t)out_w;
    double *pixels = malloc(3 * n * sizeof *pixels);
    uint8_t *labels = malloc(n);
    if (pixels == NULL || labels == NULL) abort();
    int place = 1;
    for (bool good = false; !good && place < 10; place += !good) {
        reference_augment(o, picture, label, d, out_h, out_w, pixels, labels);
        good = many_classes(labels, (int)n, o->cat_max_ratio);
        if (good) continue;
        d->vertical = random_uniform(&r);
        d->horizontal = random_uniform(&r);
    }
    free(pixels);
    free(labels);
    return place;
}
