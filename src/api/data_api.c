/* Packing and verifying for the public API. */
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
                            .width = options->width};
    return job_agree(job, pack_run(&o, job->c, err), err);
}

entrain_status entrain_verify(entrain_job *job, const char *folder, entrain_error *err) {
    return job_agree(job, pack_verify(folder, job->c, err), err);
}

const char *entrain_pack_name(int row) {
    return pack_name(row);
}

const char *entrain_pack_help(int row) {
    return pack_help(row);
}
