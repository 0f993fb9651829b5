/* What every backend shares: shapes, and closing through the table. */
#include "backend/backend.h"

int conv_out(int in, int kernel, int stride, int padding, int dilation) {
    const int span = in + 2 * padding - dilation * (kernel - 1); /* places where the window's first tap may stand */
    return span > 0 ? (span - 1) / stride + 1 : 0;
}

void backend_close(backend *be) {
    if (be != NULL) be->ops->close(be);
}
