/* Evaluation on a validation set, and prediction for single images. */
#ifndef ENTRAIN_EVAL_H
#define ENTRAIN_EVAL_H

#include "entrain/config.h"
#include "entrain/job.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct entrain_eval_options {
    const char *checkpoint; /* a checkpoint, or a run folder (its best checkpoint, else its newest) */
    const char *json;       /* write the figures here too; NULL for not, like the next ones */
    const char *confusion;  /* the confusion matrix as HDF5 */
    const char *picture;    /* and as a PNG */
} entrain_eval_options;

/* Evaluate data.val as eval.* says, print the table of classes. The images are shared out among the ranks. Collective. */
ENTRAIN_API entrain_status entrain_evaluate(entrain_job *job, const entrain_config *config, const entrain_eval_options *options,
                                            entrain_error *err);

typedef struct entrain_predict_options {
    const char *checkpoint;    /* as above */
    const char *out;           /* folder for NAME.png (labels in the data set's own ids) and NAME_overlay.png */
    const char *logits;        /* HDF5 file for the logits; NULL for not */
    const char *const *images; /* PNG or JPEG files */
    int count;
    int validation_samples; /* also this many of data.val, with the truth beside: NAME_compare.png; 0 for none */
    int submit;             /* not 0: label files alone, as the data set's own evaluation expects them, of all of data.val or, where images
                               are given, of these */
} entrain_predict_options;

/* Segment images. One rank does it; with submit the ranks share the work. Collective. */
ENTRAIN_API entrain_status entrain_predict(entrain_job *job, const entrain_config *config, const entrain_predict_options *options,
                                           entrain_error *err);

#ifdef __cplusplus
}
#endif
#endif
