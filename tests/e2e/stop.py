"""
Run a command and send it a signal at a chosen moment; ends with the command's exit code (128 + number where a signal ended it, 99 where the
command ended before the moment came).
  stop.py WHEN SIGNAL WHOM RUN COMMAND...
WHEN: step=N      RUN/metrics.jsonl tells of step N
      writing=N   the checkpoint of step N is being written: its unfinished file has grown
      after=S     S seconds after the start, or later, when the process is there
WHOM: command     the process that was started (under mpirun: mpirun itself)
      rank=N      the Nth of the processes that mpirun started
Prints, as its last line, how many seconds the command still took after the signal.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time

SIGNALS = {"USR1": signal.SIGUSR1, "TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL}


def last_step(run):
    try:
        with open(os.path.join(run, "metrics.jsonl")) as file:
            return max((json.loads(line)["step"] for line in file.read().split("\n")[:-1]), default=0)
    except FileNotFoundError:
        return 0


def writing(run, step):
    try:
        return os.path.getsize(os.path.join(run, "checkpoints", f"step-{step:08d}.h5.tmp")) > 1 << 20
    except FileNotFoundError:
        return False


def moment(text, run):
    """A function that says whether the moment has come."""
    kind, _, value = text.partition("=")
    start, before = time.monotonic(), last_step(run)
    if kind == "step":
        return lambda: last_step(run) >= int(value) and (before < int(value))
    if kind == "after":
        return lambda: time.monotonic() - start >= float(value)
    return lambda: writing(run, int(value))


def children(parent):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                fields = file.read().rpartition(")")
        except OSError:
            continue
        if int(fields[2].split()[1]) == parent and "(entrain" in fields[0]:
            found.append(int(fields[0].split()[0]))
    return sorted(found)


def target(whom, process):
    if whom == "command":
        return process.pid
    ranks = children(process.pid)
    number = int(whom.partition("=")[2])
    return ranks[number] if number < len(ranks) else None


def main():
    when, number, whom, run, *command = sys.argv[1:]
    come = moment(when, run)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    pid = None
    while pid is None:
        if process.poll() is not None:
            print(f"the command ended with {process.returncode} before the moment came")
            sys.exit(99)
        pid = target(whom, process) if come() else None
        time.sleep(0 if pid else 0.002)
    since = time.monotonic()
    os.kill(pid, SIGNALS[number])
    code = process.wait()
    print(f"{time.monotonic() - since:.1f}")
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
