/* The program: picks the command by its name. A first argument that is no command is taken as the configuration of `entrain train`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

typedef struct command {
    const char *name;
    int (*run)(int argc, const char **argv);
    const char *help;
} command;

static const command COMMANDS[] = {
    {"train", cmd_train, "train a network (the word may be left out)"},
    {"check", cmd_check, "validate a configuration and its shards; print layers, memory plan, images per rank"},
    {"pack", cmd_pack, "make shards from a data set"},
    {"verify", cmd_verify, "read and check every sample of a folder of shards"},
    {"unpack", cmd_unpack, "write the samples of a folder of shards as image files"},
    {"eval", cmd_eval, "evaluate a checkpoint on the validation set"},
    {"predict", cmd_predict, "segment images with a checkpoint"},
    {"bench", cmd_bench, "measure what a training step is spent on"},
    {"config", cmd_config, "the configuration's keys, as a table or as a JSON schema"},
    {"info", cmd_info, "versions, devices, what this build can do"},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *to) {
    (void)fprintf(to, "entrain %s: data-parallel training of networks with Exemplar Normalization\n\n", entrain_version());
    (void)fprintf(to, "  entrain CONFIG.json [--set key.path=value]... [--out DIR] [--resume]      train on this machine\n");
    (void)fprintf(to, "  mpirun -np 8 entrain CONFIG.json                                          train on 8 ranks\n\n");
    (void)fprintf(to, "commands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++) (void)fprintf(to, "  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    (void)fprintf(to, "\n`entrain COMMAND --help` tells more; `entrain --version` prints the version.\n"
                      "exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 device or memory, 6 communication, 7 non-finite loss,\n"
                      "            75 stopped on request after writing a checkpoint (run again with --resume); pack: run the same again\n");
}

/*
 * Threads that wait for each other spin for milliseconds unless libgomp is told otherwise, and where another process wants their cores that
 * made a step take eight times as long instead of twice; alone on the machine, short spinning costs nothing. libgomp reads its environment
 * before main, hence the second start. Whoever has set either variable is left alone, and so is a program that cannot be started again.
 */
static void spin_shortly(char **argv) {
    if (getenv("OMP_WAIT_POLICY") != NULL || getenv("GOMP_SPINCOUNT") != NULL) return;
    if (setenv("GOMP_SPINCOUNT", "2000", 1) == 0) (void)execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
    spin_shortly(argv);
    const char **words = (const char **)(void *)argv;
    if (argc < 2) {
        print_help(stderr);
        return ENTRAIN_USAGE;
    }
    if (strcmp(words[1], "-h") == 0 || strcmp(words[1], "--help") == 0 || strcmp(words[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(words[1], "--version") == 0) {
        (void)printf("entrain %s\n", entrain_version());
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(words[1], COMMANDS[i].name) == 0) return COMMANDS[i].run(argc - 2, words + 2);
    if (words[1][0] != '-' && strpbrk(words[1], "./") == NULL && access(words[1], F_OK) != 0) {
        (void)fprintf(stderr, "entrain: '%s' is neither a command nor a configuration file; `entrain --help` lists the commands\n",
                      words[1]);
        return ENTRAIN_USAGE;
    }
    return cmd_train(argc - 1, words + 1);
}
