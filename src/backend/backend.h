/*
 * A backend is a table of operations on tensors in NHWC. `cpu` fills it with oneDNN and OpenMP C, `cuda` with cuDNN and kernels of its own.
 * Nothing above this header knows which backend runs. Operations cannot fail halfway: whatever can be refused is refused when it is
 * created, before step 0; a failure of the device itself is sticky and read with status().
 *
 * Operations on the device are queued, in order, and the caller goes on: what they come to stays in the device's memory, where other
 * operations use it. Only what returns a number, download and finish wait for the device. Pointers are to memory of the device unless a
 * comment says host.
 *
 * No operation allocates. Every reduction has a fixed order for a fixed number of threads, and there are no float atomics.
 * Outputs are overwritten unless a comment says "adds to".
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/dtype.h"
#include "entrain/status.h"
#include "norm/spec.h"

typedef struct backend backend;
typedef struct conv conv; /* one convolution with its primitives, made by conv_create */

typedef struct tensor {
    void *data; /* (N,H,W,C), C innermost, dense */
    int n, h, w, c;
    dtype type; /* of the elements */
} tensor;

static inline size_t tensor_count(const tensor *t) {
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->c;
}

typedef struct conv_desc {
    int n, h, w;                           /* input images and map */
    int c_in, c_out;                       /* channels */
    int kernel, stride, padding, dilation; /* square; dilation 1 = dense */
    int groups;
    bool bias;
    bool training; /* false: only the forward primitive is made */
    bool tf32;     /* products of float32 may be rounded to TF32's 10 bits, where the device has that */
    dtype type;    /* of x, dx and dy; weights, bias and their gradients are float32 wherever they are named */
    dtype y_type;  /* of y: type, or F32 for a classifier whose logits are to stay exact */
    bool plain;    /* every pass by the convolution of the backend's library, for measuring what other ways gain */
} conv_desc;

/* Length of an output map's side. */
int conv_out(int in, int kernel, int stride, int padding, int dilation);
/* One line for messages. */
void conv_describe(const conv_desc *d, char *text, size_t size);
/* Whether there can be such a convolution: ENTRAIN_DEVICE where not. what: conv_describe's text, filled in either case. */
entrain_status conv_check(const conv_desc *d, char *what, size_t size, entrain_error *err);

/* What the loss of one map adds up to, over this rank's images; all of one type, so that ranks can add them up in one piece. */
typedef struct loss_sums {
    double loss;    /* sum over valid pixels of class weight x cross-entropy */
    double valid;   /* pixels whose label is not 255 */
    double correct; /* valid pixels whose largest logit is the label's (the first of equals) */
} loss_sums;

/* Batches may be on their way to the device in so many slots. */
enum { BACKEND_SLOTS = 2 };

/* A run of parameters that SGD treats alike. */
typedef struct sgd_segment {
    size_t offset, count; /* floats */
    float lr_scale;       /* multiplies lr */
    float decay;          /* weight decay */
} sgd_segment;

/* What an update does to all of them. */
typedef struct sgd_rule {
    double lr, momentum;
    bool nesterov;
    double clip_norm;      /* gradients of a larger norm are scaled down to this; 0: never */
    const double *squares; /* sum of the squares of all gradients: where it is not finite nothing is updated; NULL: take them as they are */
} sgd_rule;

/* ---- normalisation: see norm/norm.h for the engine that strings these together ---- */

typedef struct norm_dims {
    int n, p, c; /* this rank's images, P = H*W, channels */
    dtype type;  /* of the maps x, y, residual and their gradients; what belongs to channels is float32 */
} norm_dims;

/*
 * The ReLU behind a layer, as backward sees it: it let a gradient pass where y > 0. y is the kept output or, where that is NULL,
 * a (x - m) + b by the coefficients of the forward pass, which reads one map less. Neither: no ReLU.
 */
typedef struct norm_mask {
    const void *y;
    const float *a, *b; /* (N,C) */
} norm_mask;

/* Tensors of one layer's parameters, or of their gradients, or of their running statistics; NULL where the layer has none. K,C etc. as in
 * contracts. */
typedef struct norm_params {
    float *weight;                     /* (K,C) or (C) */
    float *bias;                       /* (K,C) or (C) */
    float *conv_weight;                /* (C) en with conv */
    float *fc1_weight, *fc1_bias;      /* (pi K, K K), (pi K) en */
    float *fc2_weight, *fc2_bias;      /* (K, pi K), (K) en */
    float *mean_weight, *var_weight;   /* (K) sn */
    float *running_mean, *running_var; /* (C) where bn is among the methods; not gradients */
} norm_params;

/* A layer's numbers besides its maps, carved from memory that the planner owns. */
typedef struct norm_state {
    /* what forward leaves for backward: each layer's own (norm_state_bytes) */
    float *m, *v;  /* (N,C) moments: mean and biased variance over P; for type bn in evaluation m is the running mean, v unused */
    float *a, *b;  /* (N,C) coefficients: Y = a (X - m) + b, so b is B + A m of the formulas */
    float *lambda; /* (N,K) mixture; en only, for the others 1 or the static weights do not need it */
    double *bn;    /* (2C+1) packed sums for the bn collective, forward: [sum P m, sum P (v + m^2), sum P]; afterwards mean and variance */
    void *kept;    /* private to the coefficient step */
    /* what one pass alone needs: all layers share it (norm_shared_bytes) */
    float *s1, *s2;  /* (N,C) backward: sum g, sum g (X - m) */
    float *dm, *dv;  /* (N,C) backward: gradients of m and v */
    double *bn_grad; /* (2C) backward's collective: [sum dmu, sum dvar] of bn over images */
    void *scratch;   /* private to the coefficient step */
} norm_state;

typedef struct norm_call {
    const norm_spec *spec;
    norm_dims dims;
    bool training;
    const norm_params *params;
    const norm_params *grads; /* backward: adds nothing, overwrites each gradient */
    norm_state *state;
} norm_call;

typedef struct backend_ops {
    const char *name;
    void (*close)(backend *be);
    /* The first failure of the device, or ENTRAIN_OK. */
    entrain_status (*status)(backend *be, entrain_error *err);

    /* Whether the device computes with activations of this type by itself; what it would emulate is possible, but slower than F32. */
    bool (*supports)(backend *be, dtype type);

    /* Of the device's memory in use, MiB; on the CPU this process's resident memory. */
    double (*memory_mib)(backend *be);
    /* Memory of the device; zeroed; NULL when there is not enough. */
    void *(*alloc)(backend *be, size_t bytes);
    void (*release)(backend *be, void *p);
    void (*upload)(backend *be, void *to, const void *from_host, size_t bytes);
    /* Floats of the host to elements of this type. */
    void (*upload_floats)(backend *be, void *to, dtype type, const float *from_host, size_t elements);
    void (*download)(backend *be, void *to_host, const void *from, size_t bytes);
    void (*zero)(backend *be, void *p, size_t bytes);
    /* Wait until everything that was queued is done. */
    void (*finish)(backend *be);

    /*
     * Batches, copied beside the computation. Memory of the host to copy from (zeroed; NULL when there is not enough); stage queues a copy
     * from there, which begins when the operations queued before the slot's last stage_end are done; what is queued after stage_use finds
     * the slot's copies made; stage_wait returns when they are made, and the host's memory may be filled again.
     */
    void *(*host_alloc)(backend *be, size_t bytes);
    void (*host_release)(backend *be, void *p);
    void (*stage)(backend *be, int slot, void *to, const void *from_host, size_t bytes);
    void (*stage_use)(backend *be, int slot);
    void (*stage_end)(backend *be, int slot);
    void (*stage_wait)(backend *be, int slot);
    /* y = (x / 255 - mean) / std for images x (n,h,w,3) of y's shape, rounded once; mean, std (3) host. */
    void (*normalise)(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y);

    /* Convolution, weights w (C_out, C_in/groups, k, k), bias (C_out) or NULL. workspace: at least conv_workspace bytes, shared by all. */
    entrain_status (*conv_create)(backend *be, const conv_desc *d, conv **out, entrain_error *err);
    void (*conv_destroy)(backend *be, conv *cv);
    size_t (*conv_workspace)(const conv *cv);
    void (*conv_forward)(backend *be, conv *cv, const void *x, const float *w, const float *bias, void *y, void *workspace);
    void (*conv_backward_data)(backend *be, conv *cv, const void *dy, const float *w, void *dx, void *workspace);
    void (*conv_backward_weights)(backend *be, conv *cv, const void *x, const void *dy, float *dw, float *dbias, void *workspace);

    /*
     * A pass's kernel alone, 0 forward, 1 backward data, 2 backward weights, on the weights that the same convolution's last call left in
     * workspace; w and dw are not touched. For measuring what the rest costs.
     */
    void (*conv_kernel)(backend *be, conv *cv, int pass, void *x, void *y, void *workspace);

    /* Max pooling; argmax (N,OH,OW,C) keeps the winner's place in its window (kernel <= 15). Padding never wins. */
    void (*maxpool_forward)(backend *be, const tensor *x, int kernel, int stride, int padding, tensor *y, uint8_t *argmax);
    void (*maxpool_backward)(backend *be, const tensor *dy, const uint8_t *argmax, int kernel, int stride, int padding, tensor *dx);
    /* Mean over H and W: x (N,H,W,C) -> y (N,1,1,C). */
    void (*global_pool_forward)(backend *be, const tensor *x, tensor *y);
    void (*global_pool_backward)(backend *be, const tensor *dy, tensor *dx);
    /* y = sum of count inputs (1..8) of y's shape, in their order; in BF16 rounded after each. */
    void (*add)(backend *be, const void *const *inputs, int count, void *y, size_t elements, dtype type);
    /* y += x. */
    void (*accumulate)(backend *be, const void *x, void *y, size_t elements, dtype type);
    void (*relu_forward)(backend *be, const void *x, void *y, size_t elements, dtype type);
    /* dx = dy where y > 0, else 0. dx may be dy. */
    void (*relu_backward)(backend *be, const void *dy, const void *y, void *dx, size_t elements, dtype type);
    /*
     * y = x * mask / (1 - rate); the mask of image i is a pure function of (seed, layer, first_position + i, place in the image), so the
     * same call on a gradient is the backward pass. y may be x. rate in [0, 1).
     */
    void (*dropout)(backend *be, const tensor *x, double rate, uint64_t seed, uint32_t layer, uint64_t first_position, tensor *y);
    /* Bilinear resize of float32 maps, align_corners false, PyTorch's convention; channels alike. */
    void (*resize_forward)(backend *be, const tensor *x, tensor *y);
    void (*resize_backward)(backend *be, const tensor *dy, tensor *dx);
    /*
     * Softmax cross-entropy of the logits, resized bilinearly to the labels' size on the fly (the large map is never stored):
     * logits F32, labels (N,label_h,label_w) with 255 = ignore, class_weights (C) or NULL. When dlogits (of the logits' shape) is not NULL
     * it receives the gradient of sums->loss (not divided by anything). sums is overwritten. workspace: upsample_loss_workspace bytes.
     */
    size_t (*upsample_loss_workspace)(backend *be, const tensor *logits, int label_h, int label_w);
    void (*upsample_loss)(backend *be, const tensor *logits, const uint8_t *labels, int label_h, int label_w, const float *class_weights,
                          const tensor *dlogits, loss_sums *sums, void *workspace);
    /* x *= factor / *divisor, or 0 where *divisor is 0. */
    void (*scale)(backend *be, void *x, double factor, const double *divisor, size_t elements, dtype type);
    /* Adds the sum of the squares of x to *sum. */
    void (*sum_squares)(backend *be, const float *x, size_t elements, double *sum);
    /* Index of the first element that is not finite, or -1. */
    int64_t (*find_nonfinite)(backend *be, const void *x, size_t elements, dtype type);
    /*
     * PyTorch's SGD: d = s g + decay w; v = momentum v + d; w -= lr lr_scale (nesterov ? d + momentum v : v); s is 1, or what clipping
     * asks for. segments: of the first `elements` of the three, in ascending order; what lies between them is left alone.
     */
    void (*sgd)(backend *be, float *w, const float *g, float *v, size_t elements, const sgd_segment *segments, int segment_count,
                const sgd_rule *rule);

    /* Moments over P per image and channel. Right for x = 1000 + N(0,1): shifted sums, never a plain sum of squares. */
    void (*norm_moments)(backend *be, const void *x, norm_dims d, float *m, float *v);
    /*
     * y = a (x - m) + b (+ residual) (then max(0, .)); residual may be NULL; y may be x or residual. About m, because a x + b would cancel
     * two numbers as large as 1000 / sqrt(eps) where an image is constant.
     */
    void (*norm_affine)(backend *be, const void *x, norm_dims d, const float *m, const float *a, const float *b, const void *residual,
                        bool relu, void *y);
    /* s1 = sum g, s2 = sum g (x - m), with g = dy masked as mask says. */
    void (*norm_reduce)(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *m, float *s1, float *s2);
    /* dx = a g + dm/P + 2 dv (x - m)/P; dresidual = g when not NULL. dx may be dy or x, dresidual may be dy. */
    void (*norm_backward)(backend *be, const void *dy, norm_mask mask, const void *x, norm_dims d, const float *a, const float *m,
                          const float *dm, const float *dv, void *dx, void *dresidual);
    /* The coefficient step, split where the collective goes: *_sums fills state->bn / bn_grad with this rank's part. */
    void (*norm_forward_sums)(backend *be, const norm_call *call);
    void (*norm_forward_coefficients)(backend *be, const norm_call *call);
    void (*norm_backward_sums)(backend *be, const norm_call *call);
    void (*norm_backward_coefficients)(backend *be, const norm_call *call);
} backend_ops;

struct backend {
    const backend_ops *ops;
    int threads;
    bool host_memory;        /* the device's memory is the host's: any of the host's will do for it, and nothing is ever queued */
    void *stream;            /* the device's stream, NULL on the CPU */
    void *state;             /* the implementation's own */
    const char *description; /* words for a table, such as "GPU 0, NVIDIA H100 80GB HBM3 (sm_90, 79 GiB, 0000:3B:00.0)"; NULL on the CPU */
    uint64_t key;            /* of the device: no other has it; 0 on the CPU */
    struct op_timer *timer;  /* timed.h; NULL where nobody measures */
    /* Asked again and again while the host waits for the device, which may itself wait for other ranks; waited: seconds so far. What it
     * returns other than ENTRAIN_OK ends the wait and becomes the backend's status. NULL: nobody is asked. */
    entrain_status (*watch)(void *watched, double waited, entrain_error *err);
    void *watched;
};

/* The CPU backend with this many OpenMP threads (0: as many as this process may run on). */
entrain_status backend_open_cpu(int threads, backend **out, entrain_error *err);
/* Usable GPUs; 0 with the reason in *why where there are none, or this build has no CUDA. */
int backend_cuda_devices(entrain_error *why);
/* The GPU of this number, with so many threads for what the host does. ENTRAIN_DEVICE. */
entrain_status backend_open_cuda(int device, int threads, backend **out, entrain_error *err);
void backend_close(backend *be);

#endif
