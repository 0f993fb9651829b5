/* The list of a split's samples: built, sorted, checked for repeated ids. */
#include "data/pack_listing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/shard_internal.h"

/* The three texts lie in one block, which `image` is the start of: a listing may have millions. */
static bool fill(pack_item *item, const char *image, const char *label, const char *id) {
    const size_t sizes[3] = {strlen(image) + 1, label != NULL ? strlen(label) + 1 : 0, strlen(id) + 1};
    item->image = malloc(sizes[0] + sizes[1] + sizes[2]);
    if (item->image == NULL) return false;
    item->label = label != NULL ? item->image + sizes[0] : NULL;
    item->id = item->image + sizes[0] + sizes[1];
    memcpy(item->image, image, sizes[0]);
    if (label != NULL) memcpy(item->label, label, sizes[1]);
    memcpy(item->id, id, sizes[2]);
    return true;
}

entrain_status pack_listing_add(pack_listing *l, const char *image, const char *label, const char *id, int32_t class_index,
                                entrain_error *err) {
    char stored[SHARD_ID] = "";
    if (strlen(id) >= SHARD_ID) {
        pack_listing_fault(l, "%s: its id, '%s', is longer than the %d bytes an id may have.", image, id, SHARD_ID - 1);
        return ENTRAIN_OK;
    }
    (void)snprintf(stored, sizeof stored, "%s", id);
    const char *wrong = shard_wrong_id(stored); /* reading asks the same */
    if (wrong != NULL) {
        pack_listing_fault(l, "%s: its id, '%s', %s.", image, id, wrong);
        return ENTRAIN_OK;
    }
    if (l->count == l->capacity) {
        const int64_t capacity = l->capacity > 0 ? 2 * l->capacity : 256;
        pack_item *items = realloc(l->items, (size_t)capacity * sizeof *items);
        if (items == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory for the list of samples.");
        l->items = items;
        l->capacity = capacity;
    }
    if (!fill(&l->items[l->count], image, label, id)) return error_set(err, ENTRAIN_DEVICE, "pack: no memory for the list of samples.");
    l->items[l->count++].class_index = class_index;
    return ENTRAIN_OK;
}

void pack_listing_fault(pack_listing *l, const char *format, ...) {
    entrain_error fault = {.status = ENTRAIN_DATA};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault.text, sizeof fault.text, format, args);
    va_end(args);
    pack_faults_add(&l->faults, &fault);
}

static int by_id(const void *a, const void *b) {
    const pack_item *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order != 0 ? order : strcmp(x->image, y->image);
}

void pack_listing_sort(pack_listing *l) {
    if (l->count == 0) return;
    qsort(l->items, (size_t)l->count, sizeof *l->items, by_id);
    for (int64_t i = 1; i < l->count; i++)
        if (strcmp(l->items[i].id, l->items[i - 1].id) == 0)
            pack_listing_fault(l, "%s: the id '%s' is repeated: %s has it, too.", l->items[i].image, l->items[i].id, l->items[i - 1].image);
}

void pack_listing_free(pack_listing *l) {
    for (int64_t i = 0; i < l->count; i++) free(l->items[i].image);
    free(l->items);
    memset(l, 0, sizeof *l);
}
