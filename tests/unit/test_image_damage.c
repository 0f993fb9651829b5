/*
 * Damaged images and label maps, by the hundred: through the decoder, whole and in part, and through the loader, whose shards are otherwise
 * sound. Each ends as ENTRAIN_DATA that names its sample, or as a decoded image where the damage is harmless; never as anything else. Run
 * under AddressSanitizer this also shows that no byte outside is touched.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "check.h"
#include "jpeg_maker.h"
#include "loader_case.h"

enum { MUTATIONS = 240, SHARD_SAMPLES = 60 };

static entrain_error err;

/* Damage some bytes, in one of six ways. Returns the new length. */
static size_t mutate(uint8_t *bytes, size_t size, uint64_t seed) {
    random_stream r = random_open(seed, RANDOM_TEST, 30);
    const uint32_t n = (uint32_t)size, at = random_below(&r, n);
    switch (seed % 6) {
    case 0: /* cut anywhere */
        return random_below(&r, n);
    case 1: /* cut in the header, or at the very end */
        return random_below(&r, 2) == 0 ? random_below(&r, n < 100 ? n : 100) : size - 1 - random_below(&r, 12);
    case 2:
        bytes[at] ^= (uint8_t)(1u << random_below(&r, 8));
        return size;
    case 3: /* in the header */
        bytes[random_below(&r, n < 200 ? n : 200)] = (uint8_t)random_below(&r, 256);
        return size;
    case 4: /* a run of one value */
        for (uint32_t i = at; i < n && i < at + 40; i++) bytes[i] = (uint8_t)(seed / 6 % 2 == 0 ? 0 : 255);
        return size;
    default: /* many bytes */
        for (int i = 0; i < 20; i++) bytes[random_below(&r, n)] = (uint8_t)random_below(&r, 256);
        return size;
    }
}

/* Decode a copy that ends where its memory does. Returns whether it was refused. */
static bool refused(image_decoder *d, const uint8_t *bytes, size_t size, bool label, uint64_t seed, image *out) {
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const image_source from = {.bytes = copy, .size = size, .name = "damaged.file", .height = 90, .width = 70};
    image_part want = {.reduce = !label && seed % 2 == 0 && image_can_reduce(copy, size) ? 2 : 1}, got;
    want.top = (int)(seed % 20);
    want.left = (int)(seed % 7);
    want.height = want.width = 20;
    const entrain_status whole =
        label ? image_decode_label(d, copy, size, "damaged.file", out, &err) : image_decode_rgb(d, copy, size, "damaged.file", out, &err);
    if (whole == ENTRAIN_DATA) assert_non_null(strstr(err.text, "damaged.file"));
    assert_true(whole == ENTRAIN_OK || whole == ENTRAIN_DATA);
    const entrain_status part = image_decode_part(d, &from, label, &want, out, &got, &err);
    assert_true(part == ENTRAIN_OK || part == ENTRAIN_DATA);
    if (part == ENTRAIN_DATA) assert_non_null(strstr(err.text, "damaged.file"));
    if (part == ENTRAIN_OK) assert_true(out->height >= 20 && out->width >= 20);
    free(copy);
    return whole == ENTRAIN_DATA;
}

static void decoders_survive(void **state) {
    (void)state;
    static const jpeg_kind baseline = {3, 2, 2, false, 1}, progressive = {3, 2, 1, true, 0};
    image_decoder *d = image_decoder_open();
    image picture = jpeg_picture(90, 70, 3, 1), label = jpeg_picture(90, 70, 1, 2), out = {0};
    uint8_t *files[4];
    size_t sizes[4];
    jpeg_make(&picture, &baseline, &files[0], &sizes[0]);
    jpeg_make(&picture, &progressive, &files[1], &sizes[1]);
    assert_ok(image_encode_png(&picture, &files[2], &sizes[2], &err));
    assert_ok(image_encode_png(&label, &files[3], &sizes[3], &err));
    for (int f = 0; f < 4; f++) {
        int bad = 0;
        uint8_t *bytes = malloc(sizes[f]);
        assert_non_null(bytes);
        assert_false(refused(d, files[f], sizes[f], f == 3, 0, &out));
        for (uint64_t seed = 0; seed < MUTATIONS; seed++) {
            memcpy(bytes, files[f], sizes[f]);
            bad += refused(d, bytes, mutate(bytes, sizes[f], seed), f == 3, seed, &out);
        }
        assert_false(refused(d, files[f], sizes[f], f == 3, 0, &out)); /* the decoder is none the worse */
        assert_true(bad > MUTATIONS / 3);
        free(bytes);
        free(files[f]);
    }
    image_free(&picture);
    image_free(&label);
    image_free(&out);
    image_decoder_close(d);
}

/* ---- through the loader ---- */

/* Every third sample's label map is damaged, the others' images. */
static void damage(shard_sample *sample, int i) {
    const bool label = i % 3 == 2;
    size_t *size = label ? &sample->label_size : &sample->image_size;
    *size = mutate(label ? sample->label : sample->image, *size, (uint64_t)i + 1000);
    if (*size == 0) *size = 1; /* an empty one is the shard's matter */
}

/* Each sample by itself. Returns how many were refused. */
static int load_each(bool jpeg) {
    small_shards s = small_shards_sound(SHARD_SAMPLES);
    s.jpeg = jpeg;
    s.change = damage;
    small_shards_write(&s);
    int bad = 0;
    for (int i = 0; i < 2 * SHARD_SAMPLES; i++) { /* twice: other draws */
        shard_set *set = loader_case_set(&s);
        loader_options o = LOADER_CASE;
        o.shuffle = false;
        o.end = o.global_batch = 1;
        o.first_step = i;
        o.last_step = i + 1;
        o.workers = 1;
        o.augment.cat_max_ratio = i < SHARD_SAMPLES ? 1.0 : 0.75;
        loader *l = loader_case_open(set, &o);
        const batch *b = NULL;
        const entrain_status status = loader_next(l, &b, &err);
        assert_true(status == ENTRAIN_OK || status == ENTRAIN_DATA);
        char name[32];
        (void)snprintf(name, sizeof name, "picture_%d)", i % SHARD_SAMPLES);
        if (status == ENTRAIN_DATA) assert_non_null(strstr(err.text, name));
        if (status == ENTRAIN_OK) loader_release(l, b);
        bad += status == ENTRAIN_DATA;
        loader_close(l);
        shard_close(set);
    }
    small_shards_remove(&s);
    return bad;
}

static void the_loader_survives(void **state) {
    (void)state;
    (void)alarm(120); /* a loader that hangs */
    for (int jpeg = 0; jpeg <= 1; jpeg++) {
        const int bad = load_each(jpeg == 1);
        assert_in_range(bad, 2 * SHARD_SAMPLES / 3, 2 * SHARD_SAMPLES);
    }
    (void)alarm(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(decoders_survive), cmocka_unit_test(the_loader_survives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
