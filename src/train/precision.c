#include "train/precision.h"

#include "base/log.h"

dtype precision_choose(const config *c, backend *be, comm *ranks) {
    if (c->train.precision != PRECISION_BF16) return F32;
    const bool mine = be->ops->supports(be, BF16);
    const bool missing = ranks != NULL ? comm_any(ranks, !mine) : !mine;
    if (!missing) return BF16;
    if (ranks == NULL || ranks->rank == 0)
        log_warn("train.precision: bf16, but %s without bfloat16 instructions, where it would be slower than float32. float32 is used.",
                 ranks != NULL && ranks->size > 1 ? "a rank runs on a processor" : "this is a processor");
    return F32;
}
