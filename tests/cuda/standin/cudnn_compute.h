/* Convolutions of dense float maps in (n,h,w,c) with filters in (k,r,s,c): numbers only, no descriptors or streams. */
#ifndef STANDIN_CUDNN_COMPUTE_H
#define STANDIN_CUDNN_COMPUTE_H

#include "cudnn_descriptor.h"

namespace standin {

struct Geometry {
    int n, h, w, c;   /* input */
    int k, r, s;      /* filter */
    int out_h, out_w; /* output; its channels are k */
    int channels;     /* of the input, per group */
    cudnnConvolutionStruct conv;
};

/* Output size along one axis, 0 or less where the filter does not fit. */
int output_size(int in, int pad, int kernel, int dilation, int stride);

Floats forward(const Geometry &g, const Floats &x, const Floats &w);
Floats backward_data(const Geometry &g, const Floats &w, const Floats &dy);
Floats backward_filter(const Geometry &g, const Floats &x, const Floats &dy);

} // namespace standin

#endif
