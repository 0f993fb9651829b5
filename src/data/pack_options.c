/* Whether the options of `pack` make sense, and whether the data set's packer has a use for them. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/pack_job.h"
#include "data/shard_internal.h"

/* It becomes part of file names, and an attribute of every shard. */
static bool is_plain_name(const char *text) {
    return text[0] != '.' && strchr(text, '/') == NULL && strlen(text) < SHARD_NAME && shard_plain_text(text, SHARD_NAME);
}

entrain_status pack_options_check(const pack_options *o, entrain_error *err) {
    if (o->dataset == NULL) return error_set(err, ENTRAIN_USAGE, "pack: no data set named.");
    if (o->split == NULL || !is_plain_name(o->split))
        return error_set(
            err, ENTRAIN_USAGE,
            "pack: --split must be a plain name such as train or val, shorter than %d bytes, without '/' and control characters.",
            SHARD_NAME);
    if (o->out == NULL || o->out[0] == '\0') return error_set(err, ENTRAIN_USAGE, "pack: --out is needed, the folder of the shards.");
    if (o->root != NULL && strlen(o->root) >= PATH_MAX) return error_set(err, ENTRAIN_USAGE, "pack: the path of --root is too long.");
    if (o->shards < 0 || o->shards > SHARD_MAX_SHARDS)
        return error_set(err, ENTRAIN_USAGE, "pack: --shards %d; expected 1 to %d.", o->shards, SHARD_MAX_SHARDS);
    if (o->max_side < 0 || o->short_side < 0)
        return error_set(err, ENTRAIN_USAGE, "pack: --max-side %d, --short-side %d; expected numbers of pixels.", o->max_side,
                         o->short_side);
    if (o->jpeg_quality < 0 || o->jpeg_quality > 100 || (o->png && o->jpeg_quality > 0))
        return error_set(err, ENTRAIN_USAGE, "pack: --codec must be keep, png, or jpeg:Q with Q from 1 to 100.");
    if (o->threads < 0 || o->threads > PACK_MAX_THREADS)
        return error_set(err, ENTRAIN_USAGE, "pack: --threads %d; expected 1 to %d.", o->threads, PACK_MAX_THREADS);
    return ENTRAIN_OK;
}

entrain_status pack_options_fit(const pack_options *o, const packer *p, entrain_error *err) {
    const struct {
        const char *name;
        bool given;
        unsigned kind;
    } options[] = {
        {"--root", o->root != NULL, PACK_TAKES_ROOT},
        {"--list", o->list != NULL, PACK_TAKES_LIST},
        {"--classes", o->classes != NULL, PACK_TAKES_CLASSES},
        {"--images-folder", o->images_folder != NULL, PACK_TAKES_FOLDERS},
        {"--labels-folder", o->labels_folder != NULL, PACK_TAKES_FOLDERS},
        {"--max-side", o->max_side != 0, PACK_TAKES_FORM},
        {"--short-side", o->short_side != 0, PACK_TAKES_FORM},
        {"--codec", o->jpeg_quality != 0 || o->png, PACK_TAKES_FORM},
        {"--images", o->images != 0, PACK_TAKES_DRAWING},
        {"--seed", o->seed != 0, PACK_TAKES_DRAWING},
        {"--size", o->height != 0 || o->width != 0, PACK_TAKES_DRAWING},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].given && (p->takes & options[i].kind) == 0)
            return error_set(err, ENTRAIN_USAGE, "pack %s: %s does not apply: %s.", p->name, options[i].name,
                             p->drawing != NULL ? "the images are drawn, as PNG" : "`entrain pack --help` says what does");
    return ENTRAIN_OK;
}
