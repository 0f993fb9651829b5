/*
 * The packers' table and what drives them: list the split, deal its shards out to the ranks (pack_shards.c), and give them their final
 * names only when every rank has found every sample good. A fault anywhere leaves the folder as it was; what a stopped or killed run has
 * finished waits for the next start (pack_staging.c).
 */
#include "data/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "data/pack_job.h"
#include "data/shard_internal.h"

static const packer *const packers[] = {&packer_ade20k, &packer_camvid,      &packer_cityscapes,
                                        &packer_folder, &packer_imagefolder, &packer_synthetic};
enum { PACKERS = sizeof packers / sizeof packers[0] };
/* How many shards are made unless asked for: for few samples two, so that two ranks have work; never so many that a system's limit of open
 * files is met. */
enum { SAMPLES_PER_SHARD = 1000, LEAST_SHARDS = 2, USUAL_SHARDS = 256 };

const char *pack_name(int row) {
    return row >= 0 && row < PACKERS ? packers[row]->name : NULL;
}

const char *pack_help(int row) {
    return row >= 0 && row < PACKERS ? packers[row]->help : NULL;
}

static entrain_status find_packer(const char *name, const packer **out, entrain_error *err) {
    char list[256] = "";
    for (int i = 0; i < PACKERS; i++) {
        if (strcmp(name, packers[i]->name) == 0) {
            *out = packers[i];
            return ENTRAIN_OK;
        }
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", packers[i]->name);
    }
    return error_set(err, ENTRAIN_USAGE, "pack: '%s' is no data set known here. Known are: %s.", name, list);
}

static entrain_status choose_shards(pack_job *j, entrain_error *err) {
    const int64_t samples = j->info->samples_total;
    if (samples == 0 && j->listing.faults.count == 0)
        return error_set(err, ENTRAIN_DATA, "pack %s: the split '%s' has no samples.", j->packer->name, j->o->split);
    if (j->o->shards > samples && j->listing.faults.count == 0)
        return error_set(err, ENTRAIN_USAGE, "pack: --shards %d, but the split '%s' has only %lld samples.", j->o->shards, j->o->split,
                         (long long)samples);
    int64_t shards = (samples + SAMPLES_PER_SHARD - 1) / SAMPLES_PER_SHARD;
    if (shards < LEAST_SHARDS) shards = LEAST_SHARDS;
    if (shards > USUAL_SHARDS) shards = USUAL_SHARDS;
    if (j->o->shards > 0) shards = j->o->shards;
    if (shards > samples) shards = samples;
    j->staging.shards = shards > 0 ? (int)shards : 1;
    return ENTRAIN_OK;
}

/* "DIR/" and "DIR" are one source, to the start that goes on with another's work too. */
static void trim_root(pack_job *j) {
    if (j->given.root == NULL) return;
    (void)snprintf(j->root, sizeof j->root, "%s", j->given.root);
    for (size_t length = strlen(j->root); length > 1 && j->root[length - 1] == '/'; length--) j->root[length - 1] = '\0';
    j->given.root = j->root;
}

/* What can be found out without looking into files. */
static entrain_status prepare(pack_job *j, entrain_error *err) {
    const pack_options *o = j->o;
    j->info = calloc(1, sizeof *j->info);
    j->table = calloc(1, sizeof *j->table);
    if (j->info == NULL || j->table == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
    entrain_status status = pack_options_check(o, err);
    if (status == ENTRAIN_OK) status = find_packer(o->dataset, &j->packer, err);
    if (status == ENTRAIN_OK) status = pack_options_fit(o, j->packer, err);
    if (status != ENTRAIN_OK) return status;
    trim_root(j);
    status = j->packer->list(o, &j->listing, j->table, j->info, err);
    if (status != ENTRAIN_OK) return status;
    (void)snprintf(j->info->dataset, sizeof j->info->dataset, "%s", j->packer->name);
    (void)snprintf(j->info->split, sizeof j->info->split, "%s", o->split);
    if (j->packer->drawing == NULL) j->info->samples_total = j->listing.count;
    j->staging.folder = o->out;
    j->staging.split = o->split;
    return choose_shards(j, err);
}

/* Reading all samples, which finds the other faults, may take hours: these are known now. */
static void tell_listing_faults(const pack_job *j) {
    const pack_faults *f = &j->listing.faults;
    if (f->count == 0) return;
    log_info("%lld fault%s already, so that nothing will be written; all files are read to find what else is wrong. The first:\n%.*s",
             (long long)f->count, f->count == 1 ? "" : "s", (int)strcspn(f->list.text, "\n"), f->list.text);
}

/* All ranks know what is to be done, and that it is the same. Collective. */
static entrain_status begin(pack_job *j, entrain_error *err) {
    entrain_status status = pack_agree(j->c, prepare(j, err), err); /* no rank makes the folder before all have looked */
    if (status == ENTRAIN_OK)
        status = pack_fingerprint(j->c, j->o, j->staging.shards, j->info, &j->listing, j->table, &j->staging.fingerprint, err);
    if (status != ENTRAIN_OK) return status;
    tell_listing_faults(j);
    pack_signals_begin(); /* before, nothing is lost when the process ends */
    status = pack_staging_begin(&j->staging, j->c, err);
    j->begun = status == ENTRAIN_OK;
    return status;
}

static entrain_status run(pack_job *j, entrain_error *err) {
    entrain_status status = begin(j, err);
    if (status != ENTRAIN_OK || j->staging.finished) return status;
    status = pack_agree(j->c, pack_shards(j, err), err);
    if (status != ENTRAIN_OK) return status;
    j->begun = false; /* from here on the next start goes on, whatever happens */
    return pack_staging_publish(&j->staging, j->c, err);
}

/* Sum up over the ranks and say what was done. Collective. */
static entrain_status report(const pack_job *j, double since, entrain_error *err) {
    int64_t sums[2] = {j->bytes, j->packed};
    if (comm_allreduce(j->c, sums, 2, COMM_I64, NULL) != ENTRAIN_OK) {
        *err = j->c->error;
        return j->c->error.status;
    }
    const double seconds = log_seconds() - since;
    char size[64];
    (void)snprintf(size, sizeof size, ", %.1f MiB", (double)sums[0] / 1048576.0);
    if (j->staging.resumed)
        log_info("  of the %lld samples, %lld were packed now%s", (long long)j->info->samples_total, (long long)sums[1], size);
    log_info("packed %s %s: %lld samples in %d shards%s, %.1f s -> %s", j->packer->name, j->o->split, (long long)j->info->samples_total,
             j->staging.shards, j->staging.resumed ? "" : size, seconds, j->o->out);
    return ENTRAIN_OK;
}

/* Whether a finished shard waits for the next start. */
static bool anything_waits(const pack_job *j) {
    bool waits = false;
    for (int shard = 0; shard < j->staging.shards && !waits; shard++) waits = pack_staging_has(&j->staging, shard);
    return waits;
}

/*
 * Faults of the source: nothing half-done stays. Whatever else ends a run, a full disk, say, may be over when it is started again: what is
 * finished waits. Collective: rank 0 clears up when no rank writes any more.
 */
static void tidy(pack_job *j, bool new_folder, entrain_error *err) {
    int64_t faulty = j->faulty, waits = 0;
    if (comm_allreduce(j->c, &faulty, 1, COMM_I64, NULL) != ENTRAIN_OK) faulty = 0; /* not known: better too much than too little */
    const bool kept = faulty == 0 && (err->status == ENTRAIN_STOPPED || anything_waits(j));
    if (j->begun && j->staging.mine && !kept) pack_staging_remove(&j->staging);
    if (j->staging.mine && (new_folder || (j->begun && j->staging.resumed))) (void)rmdir(j->o->out); /* where it is empty */
    waits = j->begun && j->staging.mine && kept;
    if (comm_allreduce(j->c, &waits, 1, COMM_I64, NULL) == ENTRAIN_OK && waits > 0 && err->status != ENTRAIN_STOPPED)
        (void)error_add(err, err->status, "Shards that are finished wait in %s: run the same command again to go on.", j->o->out);
    /* that was a barrier, too: whoever ends the job now ends no rank that is still tidying up */
}

static void free_job(pack_job *j) {
    pack_listing_free(&j->listing);
    free(j->table);
    free(j->info);
    free(j);
}

entrain_status pack_run(const pack_options *o, comm *c, entrain_error *err) {
    const double since = log_seconds();
    entrain_error unwanted = {.status = ENTRAIN_OK};
    if (err == NULL) err = &unwanted;
    pack_job *j = calloc(1, sizeof *j);
    if (j == NULL) return error_set(err, ENTRAIN_DEVICE, "pack: no memory.");
    j->staging.lock = -1;
    j->given = *o;
    j->o = &j->given;
    j->c = c;
    const bool new_folder = o->out != NULL && access(o->out, F_OK) != 0;
    entrain_status status = run(j, err);
    if (status == ENTRAIN_OK) status = report(j, since, err);
    if (status != ENTRAIN_OK) tidy(j, new_folder, err);
    pack_staging_end(&j->staging);
    pack_signals_end();
    free_job(j);
    return status;
}
