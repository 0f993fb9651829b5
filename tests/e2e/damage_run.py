"""
Running the program on what is damaged, and judging how it ends: with a code, a readable message, soon, in little memory; never with a
crash, a hang or a sanitizer's report.
"""

import concurrent.futures
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

PROGRAM = os.environ["ENTRAIN_PROGRAM"]
SECONDS = float(os.environ.get("DAMAGE_SECONDS", "20"))  # that one run may take; the machine may be busy
MEBIBYTES = 600  # that a process may come to use; a sound one uses less than 300 under AddressSanitizer
REPORTS = ("Sanitizer", "runtime error:", "HDF5-DIAG", "Assertion", "terminate called")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
LONGEST_LINE = 1200
CRASH = 99

# A sanitizer's report must not look like an exit code of the program, and no allocation may come near a gigabyte.
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "UBSAN_OPTIONS": "halt_on_error=1",
    "ASAN_OPTIONS": f"exitcode={CRASH}:max_allocation_size_mb=700:allocator_may_return_null=0:quarantine_size_mb=16",
    "LSAN_OPTIONS": f"suppressions={os.environ['ENTRAIN_SOURCE']}/tests/lsan.supp:print_suppressions=0:exitcode={CRASH}",
}


class Outcome:
    """How one run ended."""

    def __init__(self, command, code, text, seconds, mebibytes):
        self.command, self.code, self.text, self.seconds, self.mebibytes = command, code, text, seconds, mebibytes


def limited(command):
    """A plain build has no limit on allocations of its own; AddressSanitizer maps far more than it uses."""
    if os.environ.get("DAMAGE_SANITIZED") == "1":
        return command
    return ["bash", "-c", 'ulimit -v 3000000; exec "$@"', "limited", *command]


def run(arguments, ranks=1):
    command, environment = limited([PROGRAM, *arguments]), dict(ENVIRONMENT)
    if ranks > 1:  # Open MPI keeps memory of its own
        environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), *command]
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True)
        timer = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "surrogateescape")
    return Outcome(" ".join(arguments), process.returncode, text, time.monotonic() - begun, usage.ru_maxrss // 1024)


def faults(outcome, codes=(4,), texts=()):
    """What is wrong with how a run ended, in words; empty: nothing."""
    found = []
    if outcome.code not in codes:
        found.append(f"ended with {outcome.code}, expected {' or '.join(map(str, codes))}")
    found += [f"says {report}" for report in REPORTS if report in outcome.text]
    if outcome.code != 0:
        found += [f"does not say {text!r}" for text in texts if text not in outcome.text]
    if CONTROL.search(outcome.text):
        found.append("control characters in the message")
    if max(map(len, outcome.text.split("\n"))) > LONGEST_LINE:
        found.append("a line of absurd length")
    if outcome.seconds > SECONDS:
        found.append(f"took {outcome.seconds:.0f} s")
    if outcome.mebibytes > MEBIBYTES:
        found.append(f"used {outcome.mebibytes} MiB")
    return found


class Tally:
    """Counts what was tried; keeps the failures."""

    def __init__(self):
        self.found = self.harmless = 0
        self.failed = []

    def fail(self, name, words, outcome=None):
        self.failed.append(name)
        print(f"FAILED: {name}: {'; '.join(words)}")
        if outcome is not None:
            print(f"    $ entrain {outcome.command}")
            print("".join(f"    | {line[:400]!a}\n" for line in outcome.text.splitlines()[:12]), end="", flush=True)


def in_parallel(work, items):
    """work(item, lane) for each item, two at a time; lane 0 or 1 is the worker's own, for its folder."""
    lanes = [0, 1]

    def one(item):
        lane = lanes.pop()
        try:
            return work(item, lane)
        finally:
            lanes.append(lane)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, items))
