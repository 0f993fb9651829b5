#!/usr/bin/env bash
# Train on several machines named in a host file, by ssh. Start it on any one of them.
# usage: HOSTFILE=hosts CORES=16 [ENTRAIN=build/entrain] launch/multi_node.sh CONFIG.json [options of entrain]
#   HOSTFILE   one machine a line, slots = ranks on it:    node1 slots=2
#   CORES      cores for each rank: a machine's cores divided by its slots
#   INTERFACE  network to use, for example eth0 or 10.1.0.0/16, where machines have several (optional)
# The program, the shards and the run folder must be found under the same paths on all machines.
# Stop it with: kill -USR1 PID (of this script: it becomes mpirun). Go on with: the same command and --resume.
set -euo pipefail
if [ $# -eq 0 ] || [ -z "${HOSTFILE:-}" ] || [ -z "${CORES:-}" ]; then
    sed -n '2,8s/^# //p' "$0" >&2
    exit 2
fi
entrain=$(realpath "${ENTRAIN:-build/entrain}")

# One rank a slot. A line without slots would mean as many as the machine has cores, so it is refused here.
ranks=0
while read -r host slots _; do
    case "$host" in '' | '#'*) continue ;; esac
    case "$slots" in slots=[1-9]*) ranks=$((ranks + ${slots#slots=})) ;;
    *)
        echo "$HOSTFILE: $host has no slots=N" >&2
        exit 2
        ;;
    esac
done <"$HOSTFILE"

options=(--hostfile "$HOSTFILE" -np "$ranks" --map-by "slot:PE=$CORES" --bind-to core)
if [ -n "${INTERFACE:-}" ]; then options+=(--mca btl_tcp_if_include "$INTERFACE" --mca oob_tcp_if_include "$INTERFACE"); fi
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
exec mpirun "${options[@]}" "$entrain" "$@"
