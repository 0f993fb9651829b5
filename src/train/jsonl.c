/* Writing metrics.jsonl, and cutting it back: see jsonl.h. */
#include "train/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "data/image.h"

struct jsonl {
    int fd;
    char path[];
};

entrain_status jsonl_open(const char *path, jsonl **out, entrain_error *err) {
    *out = NULL;
    const size_t length = strlen(path) + 1;
    jsonl *j = malloc(sizeof *j + length);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory.", path);
    memcpy(j->path, path, length);
    j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (j->fd < 0) {
        free(j);
        return error_set(err, ENTRAIN_DATA, "%s: cannot open the file for appending: %s. Check the folder and its permissions.", path,
                         strerror(errno));
    }
    *out = j;
    return ENTRAIN_OK;
}

void jsonl_close(jsonl *j) {
    if (j == NULL) return;
    (void)close(j->fd);
    free(j);
}

/* Print the object, end the line, write it in one go. Takes the object, which may be NULL: out of memory. */
static entrain_status write_line(jsonl *j, cJSON *object, entrain_error *err) {
    char *text = object != NULL ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (text == NULL) return error_set(err, ENTRAIN_DEVICE, "%s: out of memory for a line.", j->path);
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the end mark */
    ssize_t written;
    do written = write(j->fd, text, length + 1);
    while (written < 0 && errno == EINTR);
    const int reason = written < 0 ? errno : ENOSPC; /* a line cut short: the disk is full */
    cJSON_free(text);
    if (written == (ssize_t)(length + 1)) return ENTRAIN_OK;
    return error_set(err, ENTRAIN_DATA, "%s: cannot write a line: %s.", j->path, strerror(reason));
}

static bool add(cJSON *object, const char *key, double value) {
    cJSON *item = isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
    if (item != NULL && cJSON_AddItemToObject(object, key, item)) return true;
    cJSON_Delete(item);
    return false;
}

entrain_status jsonl_write_train(jsonl *j, const jsonl_train *line, entrain_error *err) {
    cJSON *o = cJSON_CreateObject();
    const bool done = o != NULL && cJSON_AddStringToObject(o, "kind", "train") != NULL && add(o, "step", (double)line->step) &&
                      add(o, "epoch", line->epoch) && add(o, "loss", line->loss) && add(o, "aux_loss", line->aux_loss) &&
                      add(o, "accuracy", line->accuracy) && add(o, "lr", line->lr) && add(o, "grad_norm", line->grad_norm) &&
                      add(o, "images_per_second", line->images_per_second) && add(o, "step_ms", line->step_ms) &&
                      add(o, "data_ms", line->data_ms) && add(o, "comm_ms", line->comm_ms) && add(o, "memory_mib", line->memory_mib);
    if (!done) {
        cJSON_Delete(o);
        o = NULL;
    }
    return write_line(j, o, err);
}

entrain_status jsonl_write_eval(jsonl *j, const metrics *m, const metrics_setting *setting, entrain_error *err) {
    return write_line(j, metrics_to_json(m, setting, NULL), err);
}

/* Whether a line (without its end) is a whole object whose step is not above the limit. */
static bool keeps(const char *line, size_t length, int64_t limit) {
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(line, length, &end, false);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(object, "step");
    const bool keep = cJSON_IsNumber(step) && step->valuedouble <= (double)limit && end == line + length;
    cJSON_Delete(object);
    return keep;
}

entrain_status jsonl_truncate_after(const char *path, int64_t step, entrain_error *err) {
    if (access(path, F_OK) != 0 && errno == ENOENT) return ENTRAIN_OK;
    uint8_t *bytes = NULL;
    size_t size = 0, kept = 0;
    entrain_status status = file_read(path, &bytes, &size, err);
    if (status != ENTRAIN_OK) return status;
    for (size_t begin = 0; begin < size;) {
        const uint8_t *end = memchr(bytes + begin, '\n', size - begin);
        if (end == NULL) break; /* a line that was cut off */
        const size_t length = (size_t)(end - (bytes + begin));
        if (keeps((const char *)bytes + begin, length, step)) {
            memmove(bytes + kept, bytes + begin, length + 1);
            kept += length + 1;
        }
        begin += length + 1;
    }
    if (kept < size) status = file_write(path, bytes, kept, err);
    free(bytes);
    return status;
}
