/* Convolution passes by oneDNN, for conv.c. dnnl.c and the header of version differences are the only files that know its interface. */
#ifndef BACKEND_CPU_DNNL_H
#define BACKEND_CPU_DNNL_H

#include "backend/cpu/cpu.h"

enum pass_kind { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, PASSES };

typedef struct dnnl_pass dnnl_pass; /* one primitive, at most one reorder of weights, and their memory objects */

/*
 * The passes of a convolution: all, or FORWARD alone without d->training; the others stay NULL. Returns 0, or oneDNN's status; then too the
 * caller frees what there is.
 */
int dnnl_passes_create(cpu_dnnl *dnnl, const conv_desc *d, dnnl_pass *pass[PASSES]);
void dnnl_pass_free(dnnl_pass *p);
size_t dnnl_pass_workspace(const dnnl_pass *p);

/* x, y, w, b: values or gradients as the pass has it; b may be NULL. Returns 0, or oneDNN's status. */
int dnnl_pass_run(cpu_dnnl *dnnl, dnnl_pass *p, void *x, void *y, void *w, void *b, void *workspace);
/* For measuring, after a run: its kernel alone, with the weights and bias of the last run. */
int dnnl_pass_kernel(cpu_dnnl *dnnl, dnnl_pass *p, void *x, void *y, void *workspace);
/* oneDNN's name for the kernel. */
const char *dnnl_pass_implementation(const dnnl_pass *p);
/*
 * A pass of a dense 1x1 convolution on float32 maps as one matrix product, which takes weights in a checkpoint's order: w (O,I), pixels x I
 * for x, pixels x O for y; values or gradients as the pass has them. add: forward's y already holds what the product is added to.
 * Returns 0, or oneDNN's status.
 */
int dnnl_product(enum pass_kind kind, int64_t pixels, int in, int out, float *x, float *y, float *w, bool add);
/* Keep this failure of a pass for cpu_dnnl_status, if it is the first. */
void cpu_dnnl_failed(cpu_dnnl *dnnl, const char *what, int pass, int status);

#endif
