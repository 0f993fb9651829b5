/* The library's network: a checkpoint, a backend of its own, one image at a time. */
#include "entrain/network.h"

#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "train/loaded.h"
#include "train/precision.h"

struct entrain_network {
    config c; /* a copy: the caller may free the configuration */
    backend *be;
    loaded loaded;
};

entrain_status entrain_network_open(const entrain_config *settings, const char *checkpoint, int threads, entrain_network **out,
                                    entrain_error *err) {
    *out = NULL;
    entrain_network *n = calloc(1, sizeof *n);
    if (n == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for the network");
    n->c = settings->c;
    entrain_status status = backend_open_cpu(threads, &n->be, err);
    if (status == ENTRAIN_OK) status = loaded_open(&n->loaded, checkpoint, &n->c, precision_choose(&n->c, n->be, NULL), n->be, err);
    if (status != ENTRAIN_OK) {
        entrain_network_close(n);
        return status;
    }
    *out = n;
    return ENTRAIN_OK;
}

void entrain_network_close(entrain_network *network) {
    if (network == NULL) return;
    loaded_close(&network->loaded);
    if (network->be != NULL) backend_close(network->be);
    free(network);
}

int entrain_network_classes(const entrain_network *network) {
    return network->loaded.info.classes;
}

/* (height, width, classes) -> (classes, height, width) */
static void channels_first(const float *from, size_t pixels, size_t classes, float *to) {
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < classes; k++) to[k * pixels + i] = from[i * classes + k];
}

entrain_status entrain_network_run(entrain_network *network, const uint8_t *rgb, int height, int width, uint8_t *labels, float *logits,
                                   entrain_error *err) {
    if (height < 1 || width < 1) return error_set(err, ENTRAIN_USAGE, "an image of %dx%d (h x w): expected at least 1x1", height, width);
    const size_t pixels = (size_t)height * (size_t)width;
    image picture = {.data = malloc(3 * pixels), .height = height, .width = width, .channels = 3, .capacity = 3 * pixels};
    if (picture.data == NULL) return error_set(err, ENTRAIN_DEVICE, "out of memory for an image of %dx%d", height, width);
    memcpy(picture.data, rgb, 3 * pixels);
    const float *scores = NULL;
    const entrain_status status = evaluator_run(network->loaded.evaluator, &picture, logits == NULL ? NULL : &scores, labels, err);
    if (status == ENTRAIN_OK && logits != NULL) channels_first(scores, pixels, (size_t)network->loaded.info.classes, logits);
    free(picture.data);
    return status;
}
