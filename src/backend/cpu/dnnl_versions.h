/*
 * oneDNN 2.x and 3.x under one set of names: what changed between them and is used here. For dnnl.c alone.
 *
 * A description of memory is a `layout`, always held by pointer: in 3.x oneDNN's own object, in 2.x a struct of the caller's.
 */
#ifndef BACKEND_CPU_DNNL_VERSIONS_H
#define BACKEND_CPU_DNNL_VERSIONS_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR != 2 && DNNL_VERSION_MAJOR != 3
#error "entrain is written for oneDNN 2.x and 3.x"
#endif

/* The tensors of a convolution pass and its window; b NULL: no bias. In backward passes x, w, b, y stand for gradients where they are ones.
 */
typedef struct window {
    dnnl_dims_t stride, dilation, padding;
} window;

#if DNNL_VERSION_MAJOR == 2

typedef dnnl_memory_desc_t layout;

static inline dnnl_status_t layout_create(layout **out, int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    *out = malloc(sizeof **out);
    return *out == NULL ? dnnl_out_of_memory : dnnl_memory_desc_init_by_tag(*out, rank, dims, type, tag);
}

static inline void layout_destroy(layout *l) {
    free(l);
}

#else

typedef struct dnnl_memory_desc layout;

static inline dnnl_status_t layout_create(layout **out, int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_create_with_tag(out, rank, dims, type, tag);
}

static inline void layout_destroy(layout *l) {
    if (l != NULL) (void)dnnl_memory_desc_destroy(l);
}

#endif

/* Whether this implementation is code generated for the shape at hand; others are matrix products or plain loops. */
static inline bool is_generated(const_dnnl_primitive_desc_t pd) {
    const char *name = "";
    (void)dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return strncmp(name, "jit", 3) == 0 || strncmp(name, "brg", 3) == 0;
}

/* The describe functions take the first implementation that fits, with no_generated the first of the other ones. */

#if DNNL_VERSION_MAJOR == 2

static inline dnnl_status_t choose(const void *op, const_dnnl_primitive_attr_t attr, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                   bool no_generated, dnnl_primitive_desc_t *out) {
    dnnl_primitive_desc_iterator_t it = NULL;
    dnnl_status_t e = dnnl_primitive_desc_iterator_create(&it, op, attr, engine, hint);
    while (e == dnnl_success) {
        dnnl_primitive_desc_t pd = dnnl_primitive_desc_iterator_fetch(it);
        if (!no_generated || !is_generated(pd)) {
            *out = pd;
            break;
        }
        (void)dnnl_primitive_desc_destroy(pd);
        e = dnnl_primitive_desc_iterator_next(it);
    }
    if (it != NULL) (void)dnnl_primitive_desc_iterator_destroy(it);
    return e;
}

static inline dnnl_status_t describe_forward(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *x, const layout *w,
                                             const layout *b, const layout *y, const window *g, bool no_generated,
                                             dnnl_primitive_desc_t *out) {
    dnnl_convolution_desc_t op;
    const dnnl_status_t e = dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct, x, w, b, y,
                                                                       g->stride, g->dilation, g->padding, g->padding);
    return e == dnnl_success ? choose(&op, attr, engine, NULL, no_generated, out) : e;
}

static inline dnnl_status_t describe_backward_data(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *dx,
                                                   const layout *w, const layout *dy, const window *g, const_dnnl_primitive_desc_t hint,
                                                   bool no_generated, dnnl_primitive_desc_t *out) {
    dnnl_convolution_desc_t op;
    const dnnl_status_t e = dnnl_dilated_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, dx, w, dy, g->stride,
                                                                             g->dilation, g->padding, g->padding);
    return e == dnnl_success ? choose(&op, attr, engine, hint, no_generated, out) : e;
}

static inline dnnl_status_t describe_backward_weights(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *x,
                                                      const layout *dw, const layout *db, const layout *dy, const window *g,
                                                      const_dnnl_primitive_desc_t hint, bool no_generated, dnnl_primitive_desc_t *out) {
    dnnl_convolution_desc_t op;
    const dnnl_status_t e = dnnl_dilated_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, x, dw, db, dy, g->stride,
                                                                                g->dilation, g->padding, g->padding);
    return e == dnnl_success ? choose(&op, attr, engine, hint, no_generated, out) : e;
}

#else

static inline dnnl_status_t choose(dnnl_status_t e, bool no_generated, dnnl_primitive_desc_t *pd) {
    while (e == dnnl_success && no_generated && is_generated(*pd)) e = dnnl_primitive_desc_next_impl(*pd);
    return e;
}

static inline dnnl_status_t describe_forward(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *x, const layout *w,
                                             const layout *b, const layout *y, const window *g, bool no_generated,
                                             dnnl_primitive_desc_t *out) {
    const dnnl_status_t e = dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_training, dnnl_convolution_direct, x,
                                                                           w, b, y, g->stride, g->dilation, g->padding, g->padding, attr);
    return choose(e, no_generated, out);
}

static inline dnnl_status_t describe_backward_data(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *dx,
                                                   const layout *w, const layout *dy, const window *g, const_dnnl_primitive_desc_t hint,
                                                   bool no_generated, dnnl_primitive_desc_t *out) {
    const dnnl_status_t e = dnnl_convolution_backward_data_primitive_desc_create(out, engine, dnnl_convolution_direct, dx, w, dy, g->stride,
                                                                                 g->dilation, g->padding, g->padding, hint, attr);
    return choose(e, no_generated, out);
}

static inline dnnl_status_t describe_backward_weights(dnnl_engine_t engine, const_dnnl_primitive_attr_t attr, const layout *x,
                                                      const layout *dw, const layout *db, const layout *dy, const window *g,
                                                      const_dnnl_primitive_desc_t hint, bool no_generated, dnnl_primitive_desc_t *out) {
    const dnnl_status_t e = dnnl_convolution_backward_weights_primitive_desc_create(
        out, engine, dnnl_convolution_direct, x, dw, db, dy, g->stride, g->dilation, g->padding, g->padding, hint, attr);
    return choose(e, no_generated, out);
}

#endif

#endif
