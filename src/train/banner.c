/* The table before step 0: what a user wants to know before waiting for hours. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "train/trainer.h"

static void row(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void row(const char *name, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_info("  %-12s %s", name, text);
}

/* Open MPI binds each rank to one core unless told otherwise: the usual reason why a run crawls. */
static void warn_about_binding(const entrain_job *job) {
    const int fair = job->online_cpus / job->c->local_size;
    if (job->c->rank != 0 || job->cpus >= fair || getenv("OMP_NUM_THREADS") != NULL) return;
    log_warn(
        "each rank may run on %d of this host's %d CPUs, though %d a rank would be free. Open MPI binds a rank to one core by default: "
        "start with `mpirun --bind-to none ...`, or with `mpirun --map-by slot:PE=%d ...` where Open MPI counts %d cores a rank.",
        job->cpus, job->online_cpus, fair, fair, fair);
}

static void print_norm(const norm_spec *s) {
    char methods[64] = "";
    size_t used = 0;
    for (int k = 0; k < s->k; k++)
        used += (size_t)snprintf(methods + used, sizeof methods - used, "%s%s", k > 0 ? "," : "", norm_method_name(s->methods[k]));
    const bool mixed = s->type == NORM_EN || s->type == NORM_SN;
    row("norm", "%s%s%s%s%s", config_name("norm.type", (int)s->type), mixed ? " of " : "", mixed ? methods : "",
        norm_uses_bn(s) ? ", bn over " : "",
        !norm_uses_bn(s) ? ""
        : s->sync        ? "all ranks"
                         : "each rank alone");
}

static void print_data(const trainer *t) {
    if (t->train == NULL) {
        row("data", "random images of %d classes", t->classes);
        row("batch", "%d images of %dx%d in all, %d on rank 0", t->c->train.global_batch, t->height, t->width, (int)(t->end - t->begin));
        return;
    }
    const shard_info *info = shard_get_info(t->train);
    const long long train = (long long)shard_count(t->train);
    row("data", "%s: %lld training images, %lld for validation, %d classes", info->dataset, train,
        t->val == NULL ? 0LL : (long long)shard_count(t->val), info->classes);
    row("batch", "%d images of %dx%d in all, %d on rank 0; an epoch is %.1f iterations", t->c->train.global_batch, t->height, t->width,
        (int)(t->end - t->begin), (double)train / t->c->train.global_batch);
}

/* Millions of learned numbers, without the padding between tensors. */
static double millions(const params *p) {
    size_t count = 0;
    for (int i = 0; i < p->count; i++)
        if (p->list[i].learned) count += p->list[i].count;
    return (double)count / 1e6;
}

void trainer_print_banner(const trainer *t) {
    const config *c = t->c;
    const entrain_job *job = t->job;
    char host[128] = "this host";
    (void)gethostname(host, sizeof host - 1);
    log_info("entrain %s", entrain_version());
    row("ranks", "%d (%s), %d on %s; %s, %d threads a rank; %d of %d CPUs allowed", job->c->size, job->c->ops->name, job->c->local_size,
        host, job->be->ops->name, job->be->threads, job->cpus, job->online_cpus);
    if (job->be->description != NULL) row("device", "%s", job->be->description);
    row("network", "%s, stride %d, %s head%s, %.2f M parameters", config_name("model.backbone", (int)c->model.backbone),
        c->model.output_stride, config_name("model.head", (int)c->model.head), c->model.aux_weight > 0.0 ? " + aux" : "",
        millions(&t->params));
    print_norm(&c->norm);
    row("precision", "%s",
        t->type == BF16                          ? "bfloat16 activations; float32 sums, statistics, loss and weights"
        : job->be->host_memory || !c->train.tf32 ? "float32"
                                                 : "float32, convolutions in TF32");
    print_data(t);
    row("schedule", "%lld iterations, %s, lr %g, warm-up %lld, momentum %g, weight decay %g", (long long)c->train.iterations,
        config_name("schedule.type", (int)c->schedule.type), c->optimizer.lr, (long long)c->schedule.warmup, c->optimizer.momentum,
        c->optimizer.weight_decay);
    const net_memory m = net_get_memory(t->net);
    row("memory", "%.0f MiB a rank planned: activations %.0f, parameters %.0f, other %.0f", trainer_planned_bytes(t) / 1048576.0,
        (double)m.arena / 1048576.0, (double)params_bytes(&t->params) / 1048576.0, (double)m.norm_state / 1048576.0);
    if (t->run[0] != '\0') row("run folder", "%s", t->run);
    warn_about_binding(job);
}
