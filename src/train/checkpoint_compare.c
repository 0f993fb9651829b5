/* Does a checkpoint fit a network? Everything that does not is said in one error. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "train/checkpoint_internal.h"

/* Lines of what does not fit; those beyond the error's room are only counted. */
typedef struct complaints {
    entrain_error *err;
    int count, unsaid;
} complaints;

__attribute__((format(printf, 2, 3))) static void complain(complaints *c, const char *format, ...) {
    char line[384];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    c->count++;
    if (strlen(c->err->text) + strlen(line) + 64 < sizeof c->err->text)
        (void)error_add(c->err, ENTRAIN_DATA, "  %s", line);
    else
        c->unsaid++;
}

bool stored_same_shape(const stored_tensor *t, const param *p) {
    bool same = t->rank == p->rank;
    for (int i = 0; i < p->rank && same; i++) same = t->dims[i] == (hsize_t)p->dims[i];
    return same;
}

bool stored_same_methods(const stored_tensor *t, const param *p) {
    return p->methods[0] == '\0' || t->methods == NULL || strcmp(t->methods, p->methods) == 0;
}

static void compare_tensor(const stored_list *list, const param *p, complaints *c) {
    char found[64], expected[64];
    hsize_t dims[PARAM_MAX_DIMS];
    stored_dims(p, dims);
    (void)stored_shape(p->rank, dims, expected);
    const stored_tensor *t = stored_list_find(list, p->name);
    if (t == NULL)
        complain(c, "%s/%s is missing, expected %s", list->folder, p->name, expected);
    else if (!t->numeric)
        complain(c, "%s/%s does not hold numbers, expected float32 %s", list->folder, p->name, expected);
    else if (!stored_same_shape(t, p))
        complain(c, "%s/%s is %s, expected %s", list->folder, p->name, stored_shape(t->rank, t->dims, found), expected);
    else if (list->folder == checkpoint_model && !stored_same_methods(t, p))
        complain(c, "%s/%s has norm methods \"%.40s\", expected \"%s\"", list->folder, p->name, t->methods, p->methods);
}

static void compare_list(const stored_list *list, const params *p, bool learned_only, complaints *c) {
    for (int i = 0; i < p->count; i++)
        if (!learned_only || p->list[i].learned) compare_tensor(list, &p->list[i], c);
    for (int i = 0; i < list->count; i++) {
        const int index = params_find(p, list->tensors[i].name);
        if (index < 0 || (learned_only && !p->list[index].learned))
            complain(c, "%s/%.200s is not part of this network", list->folder, list->tensors[i].name);
    }
}

entrain_status stored_compare(const char *path, const stored_list *model, const stored_list *momentum, const params *p,
                              entrain_error *err) {
    complaints c = {.err = err};
    (void)error_set(err, ENTRAIN_DATA,
                    "%s: the checkpoint does not fit this network (are `model` and `norm` of its own configuration in use?):", path);
    compare_list(model, p, false, &c);
    if (momentum != NULL) compare_list(momentum, p, true, &c);
    if (c.unsaid > 0) (void)error_add(err, ENTRAIN_DATA, "  and %d more", c.unsaid);
    if (c.count > 0) return ENTRAIN_DATA;
    *err = (entrain_error){.status = ENTRAIN_OK};
    return ENTRAIN_OK;
}
