/* entrain [train] CONFIG.json */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const char USAGE[] =
    "usage: entrain [train] CONFIG.json [--set key.path=value]... [--out DIR] [--resume] [--device auto|cpu|cuda]\n"
    "  --set     change one key of the configuration, for example --set norm.type=gn; `entrain config` lists the keys\n"
    "  --out     run folder (default runs/NAME, from CONFIG's name); a folder that holds a run is not overwritten\n"
    "  --resume  go on from the run folder's newest checkpoint, or start where there is none\n"
    "Start with `mpirun -np N` for N ranks. USR1, TERM or INT stop the run after the current step with a checkpoint (exit code 75);\n"
    "under mpirun send USR1 to mpirun: after TERM or INT it kills the ranks within a second.\n";

static void on_signal(int number) {
    (void)number;
    entrain_request_stop();
}

static void catch_signals(void) {
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) (void)sigaction(signals[i], &action, NULL);
}

static entrain_status run(entrain_job *job, entrain_config *config, void *context, entrain_error *err) {
    catch_signals();
    return entrain_train(job, config, context, err);
}

/* runs/NAME from a path like configs/NAME.json; the caller frees it. */
static char *default_folder(const char *config) {
    const char *slash = strrchr(config, '/');
    const char *name = slash == NULL ? config : slash + 1;
    const char *dot = strrchr(name, '.');
    const int length = dot == NULL || dot == name ? (int)strlen(name) : (int)(dot - name);
    char *folder = NULL;
    return asprintf(&folder, "runs/%.*s", length, name) < 0 ? NULL : folder;
}

int cmd_train(int argc, const char **argv) {
    const char *out = NULL, *device = "auto";
    bool resume = false;
    const cli_option options[] = {{"--out", &out, NULL}, {"--device", &device, NULL}, {"--resume", NULL, &resume}};
    cli_arguments a;
    int code = 0;
    if (!cli_parse(argc, argv, options, 3, USAGE, &a, &code)) return code;
    if (a.count != 1)
        return cli_mistake(USAGE, a.count == 0 ? "no configuration file given" : "%s: one configuration file at a time",
                           a.count == 0 ? "" : a.positional[1]);
    char *folder = out == NULL ? default_folder(a.positional[0]) : NULL;
    entrain_train_options o = {out == NULL ? folder : out, resume};
    code = cli_run(device, a.positional[0], &a, run, &o);
    free(folder);
    return code;
}
