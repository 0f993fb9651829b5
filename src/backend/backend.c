/* What every backend shares: shapes, and closing through the table. */
#include "backend/backend.h"

#include <stdio.h>

#include "base/error.h"

int conv_out(int in, int kernel, int stride, int padding, int dilation) {
    const int span = in + 2 * padding - dilation * (kernel - 1); /* places where the window's first tap may stand */
    return span > 0 ? (span - 1) / stride + 1 : 0;
}

void conv_describe(const conv_desc *d, char *text, size_t size) {
    (void)snprintf(text, size, "convolution %dx%d of (%d,%d,%d,%d) to %d channels, stride %d, padding %d, dilation %d, groups %d%s",
                   d->kernel, d->kernel, d->n, d->h, d->w, d->c_in, d->c_out, d->stride, d->padding, d->dilation, d->groups,
                   d->type == BF16 ? ", bfloat16" : "");
}

static bool sensible(const conv_desc *d) {
    if (d->n < 1 || d->c_in < 1 || d->c_out < 1 || d->kernel < 1 || d->stride < 1 || d->padding < 0 || d->dilation < 1) return false;
    if (d->groups < 1 || d->c_in % d->groups != 0 || d->c_out % d->groups != 0) return false;
    return conv_out(d->h, d->kernel, d->stride, d->padding, d->dilation) > 0 &&
           conv_out(d->w, d->kernel, d->stride, d->padding, d->dilation) > 0;
}

entrain_status conv_check(const conv_desc *d, char *what, size_t size, entrain_error *err) {
    conv_describe(d, what, size);
    if (sensible(d)) return ENTRAIN_OK;
    return error_set(
        err, ENTRAIN_DEVICE,
        "%s: no such convolution; sizes must be positive, groups divide both channel counts and the window fit into the padded "
        "map",
        what);
}

void backend_close(backend *be) {
    if (be != NULL) be->ops->close(be);
}
