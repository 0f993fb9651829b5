/* In place of the CUDA backend in a build without it. */
#include "backend/backend.h"
#include "base/error.h"

static const char REASON[] = "this build has no CUDA backend: configure with -DENTRAIN_CUDA=ON where the CUDA toolkit, cuDNN and NCCL are "
                             "installed.";

int backend_cuda_devices(entrain_error *why) {
    error_set(why, ENTRAIN_DEVICE, "%s", REASON);
    return 0;
}

entrain_status backend_open_cuda(int device, int threads, backend **out, entrain_error *err) {
    (void)device, (void)threads;
    *out = NULL;
    return error_set(err, ENTRAIN_DEVICE, "%s", REASON);
}
