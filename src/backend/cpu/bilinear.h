/*
 * The two taps of bilinear interpolation along one axis: PyTorch's convention with align_corners false. Place `to` of a line of `out`
 * takes (1 - f) of place i0 and f of place i1 = min(i0 + 1, in - 1). Where both are the last place f is 0, so that callers may leave i1
 * out of it.
 */
#ifndef BACKEND_CPU_BILINEAR_H
#define BACKEND_CPU_BILINEAR_H

typedef struct bilinear_tap {
    int i0, i1;
    float f;
} bilinear_tap;

static inline bilinear_tap bilinear_at(int to, int in, int out) {
    const double centre = ((double)to + 0.5) * (double)in / (double)out - 0.5;
    const double src = centre > 0.0 ? centre : 0.0;
    const int i0 = (int)src < in - 1 ? (int)src : in - 1;
    if (i0 == in - 1) return (bilinear_tap){i0, i0, 0.0f};
    return (bilinear_tap){i0, i0 + 1, (float)(src - (double)i0)};
}

#endif
