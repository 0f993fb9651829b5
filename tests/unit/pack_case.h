/* What the tests of packing share: a temporary folder, one rank, and a small CamVid to pack. */
#ifndef PACK_CASE_H
#define PACK_CASE_H

#include "comm/comm.h"
#include "data/image.h"
#include "data/pack.h"
#include "shard_case.h"

enum { HEIGHT = 12, WIDTH = 18 }; /* of its images */

extern entrain_error err;
extern comm *self; /* one rank */
extern char folder[CASE_FOLDER];

/* For cmocka: of a group, and of each test. */
int pack_start(void **state);
int pack_stop(void **state);
int pack_set_up(void **state);
int pack_tear_down(void **state);

/* A path in the test's folder; the last four stay valid. */
const char *in_folder(const char *name);
/* Files there that are not hidden; -1: no such folder. */
int files_in(const char *where);
void assert_same_file(const char *one, const char *other);
/* Both folders hold files of the same names and contents. */
void assert_same_folder(const char *one, const char *other);
/* err's text has all of these; NULL ends the list. */
void assert_told(const char *const texts[]);

/* Pixels that depend on first; labels of one channel, 0..11. */
void put_image(const char *path, int height, int width, int channels, int first);
/* CamVid in SegNet's arrangement with this many samples of split train, in the folder source. */
void make_camvid(int samples);
/* Pack that into out. */
entrain_status pack_camvid(int shards);
entrain_status pack(const char *dataset, const char *root, const char *split, const char *out, int shards);

#endif
