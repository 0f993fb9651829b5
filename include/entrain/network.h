/* A trained network in a program of one's own: build it from a configuration, load a checkpoint, run images. */
#ifndef ENTRAIN_NETWORK_H
#define ENTRAIN_NETWORK_H

#include <stdint.h>

#include "entrain/config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_network entrain_network;

/*
 * Build the network of a configuration and load a checkpoint (file or run folder). threads: CPU threads, 0 for all that the process may
 * use. The number of classes is the checkpoint's. Belongs to the caller; one thread at a time.
 */
ENTRAIN_API entrain_status entrain_network_open(const entrain_config *config, const char *checkpoint, int threads, entrain_network **out,
                                                entrain_error *err);
ENTRAIN_API void entrain_network_close(entrain_network *network);
ENTRAIN_API int entrain_network_classes(const entrain_network *network);
/*
 * Segment one image. rgb: (height, width, 3) bytes. labels: (height, width), receives the class of each pixel; may be NULL. logits:
 * (classes, height, width), receives the scores at full size; may be NULL: the upsampled logits, or, where the configuration's eval asks
 * for several scales, flipping or sliding windows over them, the averaged softmax probabilities (a single sliding pass gives averaged
 * logits).
 */
ENTRAIN_API entrain_status entrain_network_run(entrain_network *network, const uint8_t *rgb, int height, int width, uint8_t *labels,
                                               float *logits, entrain_error *err);

#ifdef __cplusplus
}
#endif
#endif
