#include "train/dataset.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* {"dataset": "camvid", "classes": [{"name": "sky", "color": [r, g, b], "export_id": 0}, ...], "export_ignore": 11} */
char *dataset_to_json(const shard_info *info) {
    cJSON *root = cJSON_CreateObject();
    bool ok = cJSON_AddStringToObject(root, "dataset", info->dataset) != NULL;
    cJSON *classes = cJSON_AddArrayToObject(root, "classes");
    for (int i = 0; ok && i < info->classes; i++) {
        cJSON *row = cJSON_CreateObject();
        const int color[3] = {info->colors[i][0], info->colors[i][1], info->colors[i][2]};
        cJSON *rgb = cJSON_CreateIntArray(color, 3);
        ok = cJSON_AddStringToObject(row, "name", info->names[i]) != NULL && cJSON_AddItemToObject(row, "color", rgb) &&
             cJSON_AddNumberToObject(row, "export_id", info->export_ids[i]) != NULL;
        ok = cJSON_AddItemToArray(classes, row) && ok;
    }
    ok = cJSON_AddNumberToObject(root, "export_ignore", info->export_ids[SHARD_IGNORE]) != NULL && ok;
    char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

static bool byte_of(const cJSON *number, uint8_t *out) {
    if (!cJSON_IsNumber(number) || number->valuedouble < 0 || number->valuedouble > 255) return false;
    *out = (uint8_t)number->valuedouble;
    return true;
}

static bool read_class(const cJSON *row, shard_info *out, int i) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(row, "name");
    const cJSON *color = cJSON_GetObjectItemCaseSensitive(row, "color");
    if (!cJSON_IsString(name) || cJSON_GetArraySize(color) != 3) return false;
    (void)snprintf(out->names[i], sizeof out->names[i], "%s", name->valuestring);
    for (int k = 0; k < 3; k++)
        if (!byte_of(cJSON_GetArrayItem(color, k), &out->colors[i][k])) return false;
    return byte_of(cJSON_GetObjectItemCaseSensitive(row, "export_id"), &out->export_ids[i]);
}

static bool read_all(const cJSON *root, shard_info *out) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "dataset");
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(root, "classes");
    const int count = cJSON_GetArraySize(classes);
    if (!cJSON_IsString(name) || count < 1 || count > SHARD_MAX_CLASSES) return false;
    (void)snprintf(out->dataset, sizeof out->dataset, "%s", name->valuestring);
    out->classes = count;
    for (int i = 0; i < count; i++)
        if (!read_class(cJSON_GetArrayItem(classes, i), out, i)) return false;
    return byte_of(cJSON_GetObjectItemCaseSensitive(root, "export_ignore"), &out->export_ids[SHARD_IGNORE]);
}

entrain_status dataset_from_json(const char *json, const char *source, shard_info *out, entrain_error *err) {
    memset(out, 0, sizeof *out);
    cJSON *root = cJSON_Parse(json);
    const bool ok = read_all(root, out);
    cJSON_Delete(root);
    return ok ? ENTRAIN_OK : error_set(err, ENTRAIN_DATA, "%s: its attribute `dataset` does not describe a data set's classes", source);
}
