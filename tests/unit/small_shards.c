/* Samples go half and half into two shards; image and label of sample i are random numbers of stream i. */
#include "small_shards.h"

#include <ftw.h>
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "data/image.h"
#include "data/shard.h"
#include "jpeg_maker.h"

small_shards small_shards_sound(int samples) {
    return (small_shards){.samples = samples,
                          .bad_label = {SMALL_NOWHERE, SMALL_NOWHERE},
                          .bad_image = SMALL_NOWHERE,
                          .bad_size = SMALL_NOWHERE,
                          .false_size = SMALL_NOWHERE};
}

static image random_image(random_stream *r, int height, int width, int channels) {
    const size_t n = (size_t)height * (size_t)width * (size_t)channels;
    image im = {.data = malloc(n), .height = height, .width = width, .channels = channels, .capacity = n};
    assert_non_null(im.data);
    for (size_t i = 0; i < n; i++) im.data[i] = (uint8_t)random_below(r, 256);
    return im;
}

static void make_sample(const small_shards *s, int i, shard_sample *sample) {
    random_stream r = random_open(1, RANDOM_TEST, (uint64_t)i);
    const int vary_h = (int)random_below(&r, 21), vary_w = (int)random_below(&r, 21);
    const bool fixed = s->same_size && i != s->false_size;
    const int factor = s->jpeg ? 4 : 1;
    const int height = factor * (fixed ? 24 : 20 + vary_h) - (s->jpeg ? i % 3 : 0), width = factor * (fixed ? 32 : 20 + vary_w);
    image picture = s->jpeg ? jpeg_picture(height, width, 3, (uint64_t)i) : random_image(&r, height, width, 3),
          label = random_image(&r, height - (i == s->bad_size), width, 1);
    for (int k = 0; k < label.height * width; k++) label.data[k] = label.data[k] < 20 ? 255 : label.data[k] % SMALL_CLASSES;
    if (i == s->bad_label[0] || i == s->bad_label[1]) label.data[2 * width + 3] = SMALL_CLASSES;

    memset(sample, 0, sizeof *sample);
    entrain_error err;
    if (s->jpeg)
        jpeg_make(&picture, &(jpeg_kind){3, 1 + i % 2, 1 + i / 2 % 2, i % 5 == 4, 0}, &sample->image, &sample->image_size);
    else
        assert_int_equal(image_encode_png(&picture, &sample->image, &sample->image_size, &err), ENTRAIN_OK);
    assert_int_equal(image_encode_png(&label, &sample->label, &sample->label_size, &err), ENTRAIN_OK);
    if (i == s->bad_image) memset(sample->image, 0, sample->image_size);
    sample->height = i == s->false_size ? 24 : height;
    sample->width = i == s->false_size ? 32 : width;
    (void)snprintf(sample->id, sizeof sample->id, "picture_%d", i);
    if (s->change != NULL) s->change(sample, i);
    image_free(&picture);
    image_free(&label);
}

void small_shards_write(small_shards *s) {
    static shard_info info;
    memset(&info, 0, sizeof info);
    (void)snprintf(info.dataset, sizeof info.dataset, "small");
    (void)snprintf(info.split, sizeof info.split, "train");
    (void)snprintf(info.task, sizeof info.task, "segmentation");
    info.classes = SMALL_CLASSES;
    for (int c = 0; c < SMALL_CLASSES; c++) {
        (void)snprintf(info.names[c], sizeof info.names[c], "class %d", c);
        info.export_ids[c] = (uint8_t)c;
    }
    info.export_ids[255] = 255;
    info.samples_total = s->samples;

    (void)snprintf(s->folder, sizeof s->folder, "%s/entrain-shards-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(s->folder));
    const int half = s->samples / SMALL_SHARDS;
    for (int shard = 0; shard < SMALL_SHARDS; shard++) {
        const int begin = shard == 0 ? 0 : half, end = shard == 0 ? half : s->samples;
        entrain_error err;
        shard_writer *w = NULL;
        assert_int_equal(shard_create(s->folder, &info, shard, SMALL_SHARDS, end - begin, &w, &err), ENTRAIN_OK);
        for (int i = begin; i < end; i++) {
            shard_sample sample;
            make_sample(s, i, &sample);
            assert_int_equal(shard_append(w, &sample, &err), ENTRAIN_OK);
            free(sample.image);
            free(sample.label);
        }
        assert_int_equal(shard_finish(w, &err), ENTRAIN_OK);
    }
}

void small_shards_flip_byte(const small_shards *s, int sample) {
    const int half = s->samples / SMALL_SHARDS, shard = sample < half ? 0 : 1;
    const int within = sample < half ? sample : sample - half;
    char path[SMALL_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/train-%05d-of-%05d.h5", s->folder, shard, SMALL_SHARDS);
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t offsets = H5Dopen2(file, "/images/offset", H5P_DEFAULT), bytes = H5Dopen2(file, "/images/bytes", H5P_DEFAULT);
    assert_true(file >= 0 && offsets >= 0 && bytes >= 0);
    uint64_t offset[64];
    assert_true(half + 2 < 64);
    assert_true(H5Dread(offsets, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, offset) >= 0);
    const hsize_t at = offset[within] + 20, one = 1;
    const hid_t space = H5Dget_space(bytes), cell = H5Screate_simple(1, &one, NULL);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &one, NULL) >= 0);
    uint8_t byte = 0;
    assert_true(H5Dread(bytes, H5T_NATIVE_UINT8, cell, space, H5P_DEFAULT, &byte) >= 0);
    byte ^= 1;
    assert_true(H5Dwrite(bytes, H5T_NATIVE_UINT8, cell, space, H5P_DEFAULT, &byte) >= 0);
    (void)H5Sclose(cell);
    (void)H5Sclose(space);
    (void)H5Dclose(bytes);
    (void)H5Dclose(offsets);
    assert_true(H5Fclose(file) >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void small_shards_remove(const small_shards *s) {
    assert_int_equal(nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
