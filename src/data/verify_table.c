/* The table that verify prints. */
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "data/shard_internal.h"
#include "data/verify.h"

/* The smallest and largest height and width in the set. */
static void size_range(const shard_set *s, int low[2], int high[2]) {
    shard_size(s, 0, &low[0], &low[1]);
    high[0] = low[0];
    high[1] = low[1];
    for (int64_t i = 1; i < shard_count(s); i++) {
        int size[2];
        shard_size(s, i, &size[0], &size[1]);
        for (int k = 0; k < 2; k++) {
            if (size[k] < low[k]) low[k] = size[k];
            if (size[k] > high[k]) high[k] = size[k];
        }
    }
}

static void print_sizes(const shard_set *s) {
    int low[2], high[2];
    size_range(s, low, high);
    if (low[0] == high[0] && low[1] == high[1])
        log_info("  every image %d x %d (height x width)", low[0], low[1]);
    else
        log_info("  heights %d to %d, widths %d to %d", low[0], high[0], low[1], high[1]);
}

/* Over all pixels, in units 0..1, as configurations of other programs have them. */
static void print_channels(const verify_counts *n) {
    double mean[3], deviation[3];
    for (int c = 0; c < 3; c++) {
        const double count = (double)n->image_pixels, m = (double)n->sum[c] / count;
        const double variance = (double)n->squares[c] / count - m * m;
        mean[c] = m / 255.0;
        deviation[c] = sqrt(variance > 0.0 ? variance : 0.0) / 255.0;
    }
    log_info("  mean %.6f %.6f %.6f, std %.6f %.6f %.6f (red, green, blue of all pixels, 0 to 1)", mean[0], mean[1], mean[2], deviation[0],
             deviation[1], deviation[2]);
}

static void print_row(const verify_counts *n, int label, const char *name, int64_t all) {
    log_info("  %5d  %-24s %8.3f %% %9lld", label, name, 100.0 * (double)n->pixels[label] / (double)all, (long long)n->samples[label]);
}

static void print_labels(const shard_info *info, const verify_counts *n) {
    int64_t all = 0;
    for (int label = 0; label < VERIFY_LABELS; label++) all += n->pixels[label];
    log_info("  %5s  %-24s %10s %9s", "label", "class", "pixels", "images");
    for (int label = 0; label < info->classes; label++) print_row(n, label, info->names[label], all);
    print_row(n, SHARD_IGNORE, "(ignored)", all);
}

static void print_classes(const shard_info *info, const verify_counts *n) {
    log_info("  %5s  %-24s %9s", "label", "class", "images");
    for (int c = 0; c < info->classes; c++) log_info("  %5d  %-24s %9lld", c, info->names[c], (long long)n->samples_of_class[c]);
}

void verify_print(const shard_set *s, const char *folder, const verify_counts *n) {
    const shard_info *info = shard_get_info(s);
    log_info("%s: %s %s (%s), all good", folder, info->dataset, info->split, info->task);
    log_info("  %lld samples in %d shards, %.1f MiB", (long long)shard_count(s), shard_file_count(s), (double)n->bytes / 1048576.0);
    print_sizes(s);
    print_channels(n);
    if (shard_is_classification(info))
        print_classes(info, n);
    else
        print_labels(info, n);
}
