/* What bench.c measured, as a table for people and as JSON for programs. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/bench.h"

static void line(const char *name, double ms, double floor, double step) {
    if (floor > 0.0)
        log_info("  %-30s %9.1f %7.1f %% %9.1f %8.2f", name, ms, 100.0 * ms / step, floor, ms / floor);
    else
        log_info("  %-30s %9.1f %7.1f %% %9s %8s", name, ms, 100.0 * ms / step, "-", "-");
}

void bench_print(const trainer *t, const bench_figures *f) {
    log_info(" ");
    log_info("a step takes %.1f ms (median of %d; %.1f to %.1f): %.2f images a second", f->median, f->steps, f->shortest, f->longest,
             1e3 * t->c->train.global_batch / f->median);
    log_info("  %-30s %9s %9s %9s %8s", "of rank 0, mean of a step", "ms", "share", "floor ms", "ratio");
    for (int k = 0; k < OP_KINDS; k++)
        if (f->operation[k] > 0.0) line(op_kind_name((op_kind)k), f->operation[k], f->floor[k], f->mean);
    if (t->job->c->size > 1) line("communication, waited for", f->communication, 0.0, f->mean);
    if (t->train != NULL) line("data, waited for", f->data, 0.0, f->mean);
    line("other", f->other, 0.0, f->mean);
    line("all", f->mean, f->convolutions, f->mean);
    log_info("Floors: of convolutions, and of all, their kernels alone, %.1f ms at %.0f GFLOP/s (%.1f ms if all were the library's "
             "convolutions); of sweeps over maps, their bytes at the %.1f GB/s of a large copy. Maps that stay in a cache can be faster.",
             f->convolutions, f->operations / (f->convolutions / 1e3), f->library, f->copy_rate);
    log_info("memory: %.0f MiB planned, %.0f MiB at the highest, of which %.0f MiB were the program before it had a network", f->planned,
             f->peak, f->before);
}

static bool add(cJSON *object, const char *name, double value) {
    return cJSON_AddNumberToObject(object, name, value) != NULL;
}

static bool add_part(cJSON *parts, const char *name, double ms, double floor) {
    cJSON *part = cJSON_CreateObject();
    if (part == NULL || !cJSON_AddItemToArray(parts, part)) {
        cJSON_Delete(part);
        return false;
    }
    return cJSON_AddStringToObject(part, "name", name) != NULL && add(part, "ms", ms) &&
           (floor > 0.0 ? add(part, "floor_ms", floor) : cJSON_AddNullToObject(part, "floor_ms") != NULL);
}

static bool add_parts(cJSON *root, const bench_figures *f) {
    cJSON *parts = cJSON_AddArrayToObject(root, "parts");
    bool done = parts != NULL;
    for (int k = 0; k < OP_KINDS && done; k++) done = add_part(parts, op_kind_name((op_kind)k), f->operation[k], f->floor[k]);
    return done && add_part(parts, "communication", f->communication, 0.0) && add_part(parts, "data", f->data, 0.0) &&
           add_part(parts, "other", f->other, 0.0);
}

static char *to_json(const trainer *t, const bench_figures *f) {
    cJSON *root = cJSON_CreateObject(), *step = cJSON_AddObjectToObject(root, "step_ms");
    const config *c = t->c;
    const bool done = step != NULL && add(step, "min", f->shortest) && add(step, "median", f->median) && add(step, "max", f->longest) &&
                      cJSON_AddStringToObject(root, "program", "entrain") != NULL &&
                      cJSON_AddStringToObject(root, "version", entrain_version()) != NULL &&
                      cJSON_AddStringToObject(root, "norm", config_name("norm.type", (int)c->norm.type)) != NULL &&
                      cJSON_AddStringToObject(root, "precision", t->type == BF16 ? "bf16" : "fp32") != NULL &&
                      add(root, "ranks", t->job->c->size) && add(root, "threads", t->job->be->threads) &&
                      add(root, "images", c->train.global_batch) && add(root, "steps", f->steps) &&
                      add(root, "bare_convolutions_ms", f->convolutions) && add(root, "library_convolutions_ms", f->library) &&
                      add(root, "gflop", f->operations) && add(root, "copy_gb_per_second", f->copy_rate) && add_parts(root, f) &&
                      add(root, "before_mib", f->before) && add(root, "plan_mib", f->planned) && add(root, "peak_mib", f->peak);
    char *text = done ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    return text;
}

entrain_status bench_write_json(const trainer *t, const bench_figures *f, const char *path, entrain_error *err) {
    char *text = to_json(t, f);
    if (text == NULL) return error_set(err, ENTRAIN_DEVICE, "--json %s: out of memory", path);
    FILE *file = fopen(path, "w");
    const bool written = file != NULL && fprintf(file, "%s\n", text) > 0;
    const bool closed = file != NULL && fclose(file) == 0;
    free(text);
    if (written && closed) return ENTRAIN_OK;
    if (file != NULL) (void)remove(path);
    return error_set(err, ENTRAIN_DEVICE, "--json %s: cannot be written. Is there space, and may you write there?", path);
}
