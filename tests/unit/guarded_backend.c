/*
 * Each piece of memory is a mapping of its own, which mprotect closes and opens; its end lies at the mapping's, and the page behind it is
 * never opened, so that most writes behind a piece show as well. An operation finds only those pieces open that it was given.
 */
#include "guarded_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_PIECES = 4096, PAGE = 4096, ALIGNMENT = 64 };

typedef struct piece {
    char *base;
    void *given;   /* to whom asked for it, behind base */
    size_t length; /* of the mapping, without the page behind it that is never opened */
    bool in_use;   /* by the operation under way */
} piece;

static piece pieces[MOST_PIECES];
static int piece_count;
static const backend_ops *inner;
static backend_ops table;

static piece *find(const void *p) {
    for (int i = 0; i < piece_count; i++)
        if ((const char *)p >= pieces[i].base && (const char *)p < pieces[i].base + pieces[i].length) return &pieces[i];
    return NULL;
}

static void stop(const char *operation, const char *what) {
    (void)fprintf(stderr, "guarded backend: %s: %s\n", operation, what);
    abort();
}

static void must_be_device(const char *operation, const void *const *pointers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        piece *const found = pointers[i] != NULL ? find(pointers[i]) : NULL;
        if (pointers[i] != NULL && found == NULL) stop(operation, "memory of the host was given for the device's");
        if (found != NULL) found->in_use = true;
    }
}

static void must_be_host(const char *operation, const void *p) {
    if (p != NULL && find(p) != NULL) stop(operation, "memory of the device was given for the host's");
}

static void protect(int how) {
    for (int i = 0; i < piece_count; i++) {
        if (!pieces[i].in_use) continue;
        if (mprotect(pieces[i].base, pieces[i].length, how) != 0) stop("mprotect", "failed");
        pieces[i].in_use = how != PROT_NONE;
    }
}

/* Run a call of the inner table; further arguments: every pointer to the device's memory among its own. */
#define GUARDED(operation, arguments, ...) GUARDED_AS(, operation, arguments, __VA_ARGS__)
#define GUARDED_AS(assign, operation, arguments, ...)                                                                                      \
    do {                                                                                                                                   \
        const void *const device_[] = {__VA_ARGS__};                                                                                       \
        must_be_device(#operation, device_, sizeof device_ / sizeof device_[0]);                                                           \
        protect(PROT_READ | PROT_WRITE);                                                                                                   \
        assign inner->operation arguments;                                                                                                 \
        protect(PROT_NONE);                                                                                                                \
    } while (0)

/* ---- memory ---- */

static void *guarded_alloc(backend *be, size_t bytes) {
    (void)be;
    if (bytes > SIZE_MAX / 2 || piece_count == MOST_PIECES) return NULL;
    const size_t used = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, length = (used + PAGE) / PAGE * PAGE;
    char *base = mmap(NULL, length + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    (void)madvise(base, length, MADV_HUGEPAGE); /* where that cannot be had, opening large pieces takes longer */
    pieces[piece_count++] = (piece){base, base + length - (used > 0 ? used : ALIGNMENT), length, false};
    return pieces[piece_count - 1].given;
}

static void guarded_release(backend *be, void *p) {
    (void)be;
    for (int i = 0; i < piece_count; i++) {
        if (pieces[i].given != p) continue;
        if (munmap(pieces[i].base, pieces[i].length + PAGE) != 0) stop("release", "munmap failed");
        pieces[i] = pieces[--piece_count];
        return;
    }
    if (p != NULL) stop("release", "what it was given is no piece of the device's memory");
}

static void guarded_upload(backend *be, void *to, const void *from_host, size_t bytes) {
    must_be_host("upload", from_host);
    GUARDED(upload, (be, to, from_host, bytes), to);
}

static void guarded_upload_floats(backend *be, void *to, dtype type, const float *from_host, size_t elements) {
    must_be_host("upload_floats", from_host);
    GUARDED(upload_floats, (be, to, type, from_host, elements), to);
}

static void guarded_download(backend *be, void *to_host, const void *from, size_t bytes) {
    must_be_host("download", to_host);
    GUARDED(download, (be, to_host, from, bytes), from);
}

static void guarded_zero(backend *be, void *p, size_t bytes) {
    GUARDED(zero, (be, p, bytes), p);
}

static void check_slot(const char *operation, int slot) {
    if (slot < 0 || slot >= BACKEND_SLOTS) stop(operation, "there is no such slot");
}

static void guarded_stage(backend *be, int slot, void *to, const void *from_host, size_t bytes) {
    check_slot("stage", slot);
    must_be_host("stage", from_host);
    GUARDED(stage, (be, slot, to, from_host, bytes), to);
}

static void guarded_stage_use(backend *be, int slot) {
    check_slot("stage_use", slot);
    inner->stage_use(be, slot);
}

static void guarded_stage_end(backend *be, int slot) {
    check_slot("stage_end", slot);
    inner->stage_end(be, slot);
}

static void guarded_stage_wait(backend *be, int slot) {
    check_slot("stage_wait", slot);
    inner->stage_wait(be, slot);
}

static void guarded_normalise(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y) {
    must_be_host("normalise", mean);
    must_be_host("normalise", std);
    GUARDED(normalise, (be, x, mean, std, y), x, y->data);
}

/* ---- operations on maps ---- */

static void guarded_conv_forward(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace) {
    GUARDED(conv_forward, (be, cv, x, w, bias, y, workspace), x, w, bias, y, workspace);
}

static void guarded_conv_backward_data(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace) {
    GUARDED(conv_backward_data, (be, cv, dy, w, dx, workspace), dy, w, dx, workspace);
}

static void guarded_conv_backward_weights(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace) {
    GUARDED(conv_backward_weights, (be, cv, x, dy, dw, dbias, workspace), x, dy, dw, dbias, workspace);
}

static void guarded_conv_kernel(backend *be, conv *cv, int pass, void *x, void *y, void *workspace) {
    GUARDED(conv_kernel, (be, cv, pass, x, y, workspace), x, y, workspace);
}

static void guarded_maxpool_forward(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax) {
    GUARDED(maxpool_forward, (be, x, kernel, stride, padding, y, argmax), x->data, y->data, argmax);
}

static void guarded_maxpool_backward(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding,
                                     tensor *dx) {
    GUARDED(maxpool_backward, (be, dy, argmax, kernel, stride, padding, dx), dy->data, argmax, dx->data);
}

static void guarded_global_pool_forward(backend *be, const tensor *x, tensor *y) {
    GUARDED(global_pool_forward, (be, x, y), x->data, y->data);
}

static void guarded_global_pool_backward(backend *be, const tensor *dy, tensor *dx) {
    GUARDED(global_pool_backward, (be, dy, dx), dy->data, dx->data);
}

static void guarded_add(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type) {
    must_be_host("add", inputs);
    must_be_device("add", inputs, (size_t)count);
    GUARDED(add, (be, inputs, count, y, elements, type), y);
}

static void guarded_accumulate(backend *be, const void *x, void *y, size_t elements, dtype type) {
    GUARDED(accumulate, (be, x, y, elements, type), x, y);
}

static void guarded_relu_forward(backend *be, const void *x, void *y, size_t elements, dtype type) {
    GUARDED(relu_forward, (be, x, y, elements, type), x, y);
}

static void guarded_relu_backward(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type) {
    GUARDED(relu_backward, (be, dy, y, dx, elements, type), dy, y, dx);
}

static void guarded_dropout(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y) {
    GUARDED(dropout, (be, x, rate, seed, layer, first_position, y), x->data, y->data);
}

static void guarded_resize_forward(backend *be, const tensor *x, tensor *y) {
    GUARDED(resize_forward, (be, x, y), x->data, y->data);
}

static void guarded_resize_backward(backend *be, const tensor *dy, tensor *dx) {
    GUARDED(resize_backward, (be, dy, dx), dy->data, dx->data);
}

static void guarded_upsample_loss(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w,
                                  const float *class_weights, const tensor *dlogits, loss_sums *sums, void *workspace) {
    GUARDED(upsample_loss, (be, logits, labels, label_h, label_w, class_weights, dlogits, sums, workspace), logits->data, labels,
            class_weights, dlogits != NULL ? dlogits->data : NULL, sums, workspace);
}

/* ---- operations on parameters ---- */

static void guarded_scale(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type) {
    GUARDED(scale, (be, x, factor, divisor, elements, type), x, divisor);
}

static void guarded_sum_squares(backend *be, const float *x, size_t elements, double *sum) {
    GUARDED(sum_squares, (be, x, elements, sum), x, sum);
}

static int64_t guarded_find_nonfinite(backend *be, const void *x, size_t elements, dtype type) {
    int64_t found = -1;
    GUARDED_AS(found =, find_nonfinite, (be, x, elements, type), x);
    return found;
}

static void guarded_sgd(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
                        const sgd_rule *rule) {
    must_be_host("sgd", rule);
    GUARDED(sgd, (be, w, g, v, elements, segments, segment_count, rule), w, g, v, segments, rule->squares);
}

/* ---- normalisation ---- */

static void guarded_norm_moments(backend *be, const void *x, norm_dims d, float *m, float *v) {
    GUARDED(norm_moments, (be, x, d, m, v), x, m, v);
}

static void guarded_norm_affine(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b,
                                const void *residual, bool relu, void *y) {
    GUARDED(norm_affine, (be, x, d, m, a, b, residual, relu, y), x, m, a, b, residual, y);
}

static void guarded_norm_reduce(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1,
                                float *s2) {
    GUARDED(norm_reduce, (be, dy, mask, x, d, m, s1, s2), dy, mask.y, mask.a, mask.b, x, m, s1, s2);
}

static void guarded_norm_backward(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                                  const float *dm, const float *dv, void *dx, void *dresidual) {
    GUARDED(norm_backward, (be, dy, mask, x, d, a, m, dm, dv, dx, dresidual), dy, mask.y, mask.a, mask.b, x, a, m, dm, dv, dx, dresidual);
}

/* A call's three structures are the host's and hold nothing but pointers to the device's memory. */
static void check_call(const char *operation, const norm_call *call) {
    const struct {
        const void *at;
        size_t bytes;
    } structures[] = {{call->params, sizeof *call->params}, {call->grads, sizeof *call->grads}, {call->state, sizeof *call->state}};
    for (int i = 0; i < 3; i++) {
        const void *pointers[16] = {NULL};
        must_be_host(operation, structures[i].at);
        if (structures[i].at != NULL) memcpy(pointers, structures[i].at, structures[i].bytes);
        must_be_device(operation, pointers, structures[i].bytes / sizeof pointers[0]);
    }
}

static void guarded_norm_forward_sums(backend *be, const norm_call *call) {
    check_call("norm_forward_sums", call);
    GUARDED(norm_forward_sums, (be, call), NULL);
}

static void guarded_norm_forward_coefficients(backend *be, const norm_call *call) {
    check_call("norm_forward_coefficients", call);
    GUARDED(norm_forward_coefficients, (be, call), NULL);
}

static void guarded_norm_backward_sums(backend *be, const norm_call *call) {
    check_call("norm_backward_sums", call);
    GUARDED(norm_backward_sums, (be, call), NULL);
}

static void guarded_norm_backward_coefficients(backend *be, const norm_call *call) {
    check_call("norm_backward_coefficients", call);
    GUARDED(norm_backward_coefficients, (be, call), NULL);
}

/* ---- the table ---- */

static void guarded_close(backend *be) {
    if (piece_count > 0) stop("close", "not all of the device's memory has been released");
    inner->close(be);
}

static void fill_table(void) {
    table.name = "guarded";
    table.close = guarded_close;
    table.alloc = guarded_alloc;
    table.release = guarded_release;
    table.upload = guarded_upload;
    table.upload_floats = guarded_upload_floats;
    table.download = guarded_download;
    table.zero = guarded_zero;
    table.stage = guarded_stage;
    table.stage_use = guarded_stage_use;
    table.stage_end = guarded_stage_end;
    table.stage_wait = guarded_stage_wait;
    table.normalise = guarded_normalise;
    table.conv_forward = guarded_conv_forward;
    table.conv_backward_data = guarded_conv_backward_data;
    table.conv_backward_weights = guarded_conv_backward_weights;
    table.conv_kernel = guarded_conv_kernel;
    table.maxpool_forward = guarded_maxpool_forward;
    table.maxpool_backward = guarded_maxpool_backward;
    table.global_pool_forward = guarded_global_pool_forward;
    table.global_pool_backward = guarded_global_pool_backward;
    table.add = guarded_add;
    table.accumulate = guarded_accumulate;
    table.relu_forward = guarded_relu_forward;
    table.relu_backward = guarded_relu_backward;
    table.dropout = guarded_dropout;
    table.resize_forward = guarded_resize_forward;
    table.resize_backward = guarded_resize_backward;
    table.upsample_loss = guarded_upsample_loss;
    table.scale = guarded_scale;
    table.sum_squares = guarded_sum_squares;
    table.find_nonfinite = guarded_find_nonfinite;
    table.sgd = guarded_sgd;
    table.norm_moments = guarded_norm_moments;
    table.norm_affine = guarded_norm_affine;
    table.norm_reduce = guarded_norm_reduce;
    table.norm_backward = guarded_norm_backward;
    table.norm_forward_sums = guarded_norm_forward_sums;
    table.norm_forward_coefficients = guarded_norm_forward_coefficients;
    table.norm_backward_sums = guarded_norm_backward_sums;
    table.norm_backward_coefficients = guarded_norm_backward_coefficients;
}

entrain_status backend_open_guarded(int threads, backend **out, entrain_error *err) {
    const entrain_status status = backend_open_cpu(threads, out, err);
    if (status != ENTRAIN_OK) return status;
    inner = (*out)->ops;
    table = *inner;
    fill_table();
    (*out)->ops = &table;
    (*out)->host_memory = false;
    return ENTRAIN_OK;
}
