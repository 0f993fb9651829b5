/* In place of the communicator of GPUs in a build without CUDA. */
#include "base/error.h"
#include "comm/comm.h"

entrain_status comm_open_nccl(comm *host, comm **out, entrain_error *err) {
    (void)host;
    *out = NULL;
    return error_set(err, ENTRAIN_DEVICE, "this build has no NCCL");
}
