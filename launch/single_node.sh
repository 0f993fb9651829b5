#!/usr/bin/env bash
# Train on this machine: RANKS ranks that share its cores evenly, each bound to cores of its own.
# usage: [RANKS=2] [ENTRAIN=build/entrain] launch/single_node.sh CONFIG.json [options of entrain]
# Stop it with: kill -USR1 PID (of this script: it becomes mpirun). Go on with: the same command and --resume.
set -euo pipefail
ranks=${RANKS:-2}
entrain=${ENTRAIN:-build/entrain}
if [ $# -eq 0 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi

# Cores, not hardware threads: Open MPI binds to cores. nproc counts what this shell may use, but it also heeds OMP_NUM_THREADS.
threads_per_core=$(LC_ALL=C lscpu | awk -F: '/^Thread\(s\) per core/ { print $2 + 0 }')
cores=$(($(env -u OMP_NUM_THREADS nproc) / ${threads_per_core:-1}))
share=$((cores / ranks))

# Root must say that it means it.
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

if [ "$share" -ge 1 ]; then
    exec mpirun -np "$ranks" --map-by "slot:PE=$share" --bind-to core "$entrain" "$@"
fi
echo "launch/single_node.sh: $ranks ranks on $cores cores: they share them" >&2
exec mpirun -np "$ranks" --oversubscribe --bind-to none "$entrain" "$@"
