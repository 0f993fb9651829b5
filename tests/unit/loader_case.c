/* The size of a batch is that of small_shards' sets of one size. */
#include "loader_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

const loader_options LOADER_CASE = {.augment = {.crop_h = H,
                                                .crop_w = W,
                                                .scale_min = 0.5,
                                                .scale_max = 2.0,
                                                .flip = true,
                                                .photometric = true,
                                                .mean = {0.5, 0.4, 0.3},
                                                .std = {0.2, 0.25, 0.3}},
                                    .seed = 5,
                                    .shuffle = true,
                                    .global_batch = GLOBAL,
                                    .begin = 0,
                                    .end = GLOBAL,
                                    .last_step = STEPS,
                                    .height = H,
                                    .width = W,
                                    .workers = 2,
                                    .prefetch = 2,
                                    .classes = SMALL_CLASSES};

shard_set *loader_case_set(const small_shards *s) {
    entrain_error err;
    shard_set *set = NULL;
    assert_int_equal(shard_open(s->folder, &set, &err), ENTRAIN_OK);
    return set;
}

loader *loader_case_open(shard_set *set, const loader_options *o) {
    entrain_error err;
    loader *l = NULL;
    assert_int_equal(loader_open(set, o, &l, &err), ENTRAIN_OK);
    return l;
}

const batch *loader_case_next(loader *l) {
    entrain_error err;
    const batch *b = NULL;
    const entrain_status status = loader_next(l, &b, &err);
    if (status != ENTRAIN_OK) print_error("%s\n", err.text);
    assert_int_equal(status, ENTRAIN_OK);
    return b;
}
