/* Which algorithms there are, what they need and whether they repeat themselves; and whether a call's descriptors fit each other. */
#ifndef STANDIN_CUDNN_ALGORITHM_H
#define STANDIN_CUDNN_ALGORITHM_H

#include "cudnn_compute.h"

namespace standin {

enum Pass { FORWARD, BACKWARD_DATA, BACKWARD_FILTER };

struct Algorithm {
    int id; /* cudnnConvolution...Algo_t of the pass */
    bool deterministic;
    int bytes_per_pixel; /* workspace: that many for each output pixel of each image */
};

/* NULL where the algorithm does not serve. */
const Algorithm *find_algorithm(Pass pass, int id);
size_t workspace_bytes(const Algorithm &algorithm, const Geometry &g);
cudnnStatus_t describe(const cudnnTensorStruct *x, const cudnnFilterStruct *w, const cudnnConvolutionStruct *conv,
                       const cudnnTensorStruct *y, Geometry *g);

} // namespace standin

#endif
