/* Packing, verifying and unpacking for the public API. */
#include "api/internal.h"
#include "data/pack.h"

entrain_status entrain_pack(entrain_job *job, const entrain_pack_options *options, entrain_error *err) {
    const pack_options o = {.dataset = options->dataset,
                            .root = options->root,
                            .split = options->split,
                            .out = options->out,
                            .shards = options->shards,
                            .images = options->images,
                            .seed = options->seed,
                            .height = options->height,
                            .width = options->width,
                            .classes = options->classes,
                            .list = options->list,
                            .images_folder = options->images_folder,
                            .labels_folder = options->labels_folder,
                            .max_side = options->max_side,
                            .short_side = options->short_side,
                            .jpeg_quality = options->jpeg_quality,
                            .png = options->png != 0,
                            .threads = options->threads};
    return job_agree(job, pack_run(&o, job->c, err), err);
}

entrain_status entrain_verify(entrain_job *job, const char *folder, int threads, entrain_error *err) {
    return job_agree(job, pack_verify(folder, threads, job->c, err), err);
}

entrain_status entrain_unpack(entrain_job *job, const entrain_unpack_options *options, entrain_error *err) {
    return job_agree(job, pack_unpack(options->folder, options->out, options->train_ids != 0, options->threads, job->c, err), err);
}

const char *entrain_pack_name(int row) {
    return pack_name(row);
}

const char *entrain_pack_help(int row) {
    return pack_help(row);
}
