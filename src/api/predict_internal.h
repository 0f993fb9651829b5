/* What the files of predict share. */
#ifndef API_PREDICT_INTERNAL_H
#define API_PREDICT_INTERNAL_H

#include "api/internal.h"
#include "data/image.h"
#include "train/loaded.h"
#include "train/logits.h"
#include "train/output_names.h"

typedef struct predictor {
    loaded loaded;
    image_decoder *decoder;
    image picture;
    uint8_t *labels; /* (height, width) of the current picture, or of its source */
    logits_file *logits;
    output_names names; /* of images so far */
    const char *out;
} predictor;

/* Read and decode an image file into p->picture. */
entrain_status predict_read(predictor *p, const char *file, entrain_error *err);
/* Labels of p->picture at a size of (height,width), into p->labels; scores may be NULL. what: the image, for messages. */
entrain_status predict_labels(predictor *p, const char *what, int height, int width, const float **scores, entrain_error *err);
/* data.val, which must have as many classes as the network. option: that asked for it. */
entrain_status predict_open_val(const predictor *p, const config *c, const char *option, shard_set **out, entrain_error *err);

/* predict --submit: label files alone, the ranks sharing the work. Collective; each rank's own status, and *failed the same on all. */
entrain_status predict_submit(predictor *p, const config *c, comm *ranks, const entrain_predict_options *o, bool *failed,
                              entrain_error *err);

#endif
