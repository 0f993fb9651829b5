/* What all packers, and verify, do alike: class tables, lists of faults, agreement between ranks, progress. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/pack_internal.h"

void pack_put_classes(shard_info *info, const pack_class *classes, int count, uint8_t void_id) {
    info->classes = count;
    memset(info->export_ids, void_id, sizeof info->export_ids);
    for (int i = 0; i < count; i++) {
        (void)snprintf(info->names[i], sizeof info->names[i], "%s", classes[i].name);
        memcpy(info->colors[i], classes[i].color, sizeof info->colors[i]);
        info->export_ids[i] = classes[i].id;
    }
}

/* ---- faults ---- */

void pack_faults_add(pack_faults *f, const entrain_error *fault) {
    if (f->count++ < PACK_FAULTS) (void)error_add(&f->list, ENTRAIN_DATA, "  %s", fault->text);
}

entrain_status pack_faults_report(const pack_faults *f, const char *title, entrain_error *err) {
    if (f->count == 0) return ENTRAIN_OK;
    (void)error_set(err, ENTRAIN_DATA, "%s: %lld fault%s:", title, (long long)f->count, f->count == 1 ? "" : "s");
    (void)error_add(err, ENTRAIN_DATA, "%s", f->list.text);
    if (f->count > PACK_FAULTS) (void)error_add(err, ENTRAIN_DATA, "  and %lld more", (long long)(f->count - PACK_FAULTS));
    return ENTRAIN_DATA;
}

/* ---- agreement ---- */

/* Every rank gets the texts of all that failed; a text that several ranks have alike (a missing folder, say) appears once. */
static entrain_status gather_texts(comm *c, const int64_t *states, const entrain_error *mine, entrain_error *all) {
    char text[ENTRAIN_ERROR_TEXT];
    for (int r = 0; r < c->size; r++) {
        if (states[r] == ENTRAIN_OK) continue;
        memcpy(text, mine->text, sizeof text); /* only the root's is sent */
        const entrain_status status = comm_broadcast(c, text, sizeof text, COMM_BYTE, r, NULL);
        if (status != ENTRAIN_OK) return status;
        text[sizeof text - 1] = '\0';
        if (all->status == ENTRAIN_OK || strstr(all->text, text) == NULL) (void)error_add(all, (entrain_status)states[r], "%s", text);
    }
    return ENTRAIN_OK;
}

entrain_status pack_agree(comm *c, entrain_status mine, entrain_error *err) {
    if (c->size == 1) return mine;
    int64_t *states = calloc((size_t)c->size, sizeof *states);
    if (states == NULL) { /* alone with it: this ends the job */
        return error_set(err, ENTRAIN_DEVICE, "no memory for the states of %d ranks.", c->size);
    }
    states[c->rank] = (int64_t)mine;
    entrain_status status = comm_allreduce(c, states, (size_t)c->size, COMM_I64, NULL);
    entrain_error all = {.status = ENTRAIN_OK};
    if (mine == ENTRAIN_OK) (void)error_set(err, ENTRAIN_OK, "%s", "");
    if (status == ENTRAIN_OK) status = gather_texts(c, states, err, &all);
    free(states);
    if (status != ENTRAIN_OK) {
        *err = c->error;
        return status;
    }
    if (all.status != ENTRAIN_OK) *err = all;
    return all.status;
}

/* ---- progress ---- */

static const double PROGRESS_SECONDS = 2.0;

void pack_progress_begin(pack_progress *p, const char *verb, int64_t total) {
    *p = (pack_progress){.verb = verb, .total = total, .begun = log_seconds(), .shown = log_seconds()};
}

void pack_progress_step(pack_progress *p) {
    const double now = log_seconds();
    p->done++;
    if (now - p->shown < PROGRESS_SECONDS || p->done == p->total) return;
    p->shown = now;
    const double part = (double)p->done / (double)p->total;
    const long left = (long)((now - p->begun) * (1.0 - part) / part + 0.5);
    log_info("%s: %3.0f %%, %ld:%02ld left", p->verb, 100.0 * part, left / 60, left % 60);
}
