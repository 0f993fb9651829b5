/* What all packers, and verify, do alike: lists of faults, agreement between ranks, progress, signals. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/pack_internal.h"

/* ---- faults ---- */

/* The longest text of one fault that is shown, and what the title and the count of those left out may take. */
enum { LONGEST_FAULT = 2000, TITLE = 512 };

/* Names of files may hold anything. */
static void make_plain(char *text) {
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == '\177') *p = '?';
}

void pack_faults_add(pack_faults *f, const entrain_error *fault) {
    char text[LONGEST_FAULT];
    const bool whole = snprintf(text, sizeof text, "%s", fault->text) < LONGEST_FAULT;
    make_plain(text);
    const bool all_shown = f->shown == f->count++; /* the first that does not fit ends the list */
    if (!all_shown || f->shown == PACK_FAULTS || strlen(f->list.text) + strlen(text) + TITLE > sizeof f->list.text) return;
    (void)error_add(&f->list, ENTRAIN_DATA, "  %s%s", text, whole ? "" : "...");
    f->shown++;
}

entrain_status pack_faults_report(const pack_faults *f, const char *title, entrain_error *err) {
    if (f->count == 0) return ENTRAIN_OK;
    (void)error_set(err, ENTRAIN_DATA, "%.256s: %lld fault%s:", title, (long long)f->count, f->count == 1 ? "" : "s");
    (void)error_add(err, ENTRAIN_DATA, "%s", f->list.text);
    if (f->count > f->shown) (void)error_add(err, ENTRAIN_DATA, "  and %lld more", (long long)(f->count - f->shown));
    return ENTRAIN_DATA;
}

/* ---- agreement ---- */

/* Append a text to all, or as many of its lines as `room` bytes hold. */
static void add_part(entrain_error *all, entrain_status status, const char *text, size_t room, int rank) {
    static const char REST[] = "  (what else rank %d says does not fit here)";
    if (strlen(text) < room) {
        (void)error_add(all, status, "%s", text);
        return;
    }
    size_t end = room > sizeof REST + 16 ? room - sizeof REST - 16 : 0;
    while (end > 0 && text[end] != '\n') end--;
    if (end > 0) (void)error_add(all, status, "%.*s", (int)end, text);
    (void)error_add(all, status, REST, rank);
}

/*
 * Every rank gets the texts of all that failed, each a fair part of what there is room for; a text that several ranks have alike (a missing
 * folder, say) appears once.
 */
static entrain_status gather_texts(comm *c, const int64_t *states, const entrain_error *mine, entrain_error *all) {
    char text[ENTRAIN_ERROR_TEXT], before[ENTRAIN_ERROR_TEXT] = "";
    size_t left = 0;
    for (int r = 0; r < c->size; r++) left += states[r] != ENTRAIN_OK;
    for (int r = 0; r < c->size; r++) {
        if (states[r] == ENTRAIN_OK) continue;
        memcpy(text, mine->text, sizeof text); /* only the root's is sent */
        const entrain_status status = comm_broadcast(c, text, sizeof text, COMM_BYTE, r, NULL);
        if (status != ENTRAIN_OK) return status;
        text[sizeof text - 1] = '\0';
        const size_t share = left > 0 ? left-- : 1;
        const size_t used = all->status == ENTRAIN_OK ? 0 : strlen(all->text) + 1;
        const bool known = all->status != ENTRAIN_OK && (strcmp(text, before) == 0 || strstr(all->text, text) != NULL);
        if (!known && used < sizeof all->text) add_part(all, (entrain_status)states[r], text, (sizeof all->text - used) / share, r);
        memcpy(before, text, sizeof before);
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

void pack_progress_begin(pack_progress *p, const char *verb, int64_t total, int64_t all) {
    *p = (pack_progress){.verb = verb, .total = total, .all = all, .begun = log_seconds(), .shown = log_seconds()};
}

void pack_progress_step(pack_progress *p) {
    const double now = log_seconds();
    p->done++;
    if (now - p->shown < PROGRESS_SECONDS || p->done == p->total) return;
    p->shown = now;
    const double part = (double)p->done / (double)p->total, seconds = now - p->begun;
    const long left = (long)(seconds * (1.0 - part) / part + 0.5);
    log_info("%s: %3.0f %%, %.1f images/s, %ld:%02ld:%02ld left", p->verb, 100.0 * part, part * (double)p->all / seconds, left / 3600,
             left / 60 % 60, left % 60);
}

/* ---- signals ---- */

static volatile sig_atomic_t stop_requested = 0;
static const int STOP_SIGNALS[] = {SIGINT, SIGTERM, SIGUSR1};
enum { STOP_SIGNAL_COUNT = sizeof STOP_SIGNALS / sizeof STOP_SIGNALS[0] };
static struct sigaction former[STOP_SIGNAL_COUNT];
static bool taken = false;

static void request_stop(int number) {
    (void)number;
    stop_requested = 1;
}

void pack_signals_begin(void) {
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    taken = true;
    stop_requested = 0;
    for (int i = 0; i < STOP_SIGNAL_COUNT; i++) (void)sigaction(STOP_SIGNALS[i], &action, &former[i]);
}

bool pack_signals_stop(void) {
    return stop_requested != 0;
}

void pack_signals_end(void) {
    for (int i = 0; i < STOP_SIGNAL_COUNT && taken; i++) (void)sigaction(STOP_SIGNALS[i], &former[i], NULL);
    taken = false;
}
