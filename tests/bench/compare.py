"""
Compares training steps of entrain with each other and with PyTorch: `entrain bench` and pytorch_step.py run in turn, A B A B ..., and
ratios are taken within a round. Writes a Markdown document with the table of goals, ratios, runs and commands.
  compare.py [--only CASE]... [--python PATH]... [--rounds 3] [--steps 5] [--warmup 2] [--threads N] [--entrain PATH]
             [--set key.path=value]...
             [--prefix 'COMMAND ...'] [--timeout SECONDS] [--state FILE.json] [--out FILE.md]
  compare.py --list
--state keeps the results, so that cases can be run (or run again) one at a time; --only none writes the document from it alone.
Exit code 0: all runs done, or skipped with a reason; 1: a run failed. A goal that is missed is no failure. What could not be measured is
said in the document.
"""
import argparse
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from cases import CASES  # noqa: E402
from report import document  # noqa: E402

PROBE = ("import torch, re; d = re.search(r'(?:MKL-DNN|oneDNN) v([\\d.]+)', torch.__config__.show()); "
         "print(torch.__version__); print(d and d[1])")
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n  compare.py")[0])
    parser.add_argument("--only", action="append", metavar="CASE", help="this case (several times: these); none: no case")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--python", action="append", metavar="PATH", help="interpreter with PyTorch; each one is a column")
    parser.add_argument("--entrain", default="build/entrain", metavar="PATH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--set", action="append", default=[], metavar="key.path=value", help="for all runs of both programs")
    parser.add_argument("--prefix", default="", metavar="COMMAND", help="put before every run, for example 'nice -n -5'")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--state", metavar="FILE.json")
    parser.add_argument("--out", metavar="FILE.md")
    a = parser.parse_args()
    known = [case.name for case in CASES]
    for name in a.only or []:
        if name not in [*known, "none"]:
            parser.error(f"--only {name}: no such case; there are {', '.join(known)}")
    if min(a.rounds, a.steps) < 1 or a.warmup < 0:
        parser.error("--rounds and --steps are at least 1, --warmup at least 0")
    return a


def output_of(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=SOURCE)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, str(error))


def pytorchs(paths):
    """{column: (path, reason why it cannot be used or None)} and a line about each."""
    columns, lines = {}, []
    for path in paths:
        done = output_of(path, "-c", PROBE)
        if done.returncode != 0:
            columns[path] = path, f"no PyTorch: {(done.stdout.strip() or 'no message').splitlines()[-1]}"
            lines.append(f"{path}: {columns[path][1]}")
            continue
        version, onednn = done.stdout.split()[-2:]
        name = f"PyTorch {version}"
        if name in columns:
            name += f" ({path})"
        columns[name] = path, None
        lines.append(f"{name}, oneDNN {onednn}, {path}")
    return columns, lines


def machine(a):
    """Lines about processor and program."""
    with open("/proc/cpuinfo") as file:
        text = file.read()

    def field(name):
        found = re.search(rf"^{name}\s*: (.*)$", text, re.M)
        return found[1].strip() if found else "unknown"

    has = [feature for feature in FEATURES if feature in field("flags").split()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    lines = [f"{field('model name')} (family {field('cpu family')}, model {field('model')}; {' '.join(has) or 'no AVX2'}), "
             f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} CPUs allowed, {memory:.0f} GiB, Linux {os.uname().release}"]
    done = output_of(a.entrain, "info")
    told = [" ".join(line.split()) for line in done.stdout.splitlines() if re.match(r"(entrain|onednn|compiler)\s", line, re.I)]
    lines.append(", ".join(told) if done.returncode == 0 else f"no information from {a.entrain}: {done.stdout.strip()[:100]}")
    return lines


def cpu_seconds():
    """CPU time of the whole machine so far, of this program's finished children, and of all CPUs by the clock."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])  # left out: idle, waiting
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy, own.ru_utime + own.ru_stime, time.monotonic() * os.cpu_count()


def command_of(a, case, run, python):
    """Arguments, and the environment's changes."""
    config, classes, sets = case.setting
    settings = [word for setting in (*sets, *run.sets, *a.set) for word in ("--set", setting)]
    threads = run.threads or a.threads
    amount = ["--steps", str(a.steps), "--warmup", str(a.warmup)]
    if run.program == "pytorch":
        return [python, "tests/bench/pytorch_step.py", config, "--classes", str(classes), *run.options, "--threads", str(threads), *amount,
                *settings], {}
    environment = {"OMP_NUM_THREADS": str(threads)}
    launch = []
    if run.ranks > 1:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        launch = ["mpirun", "-np", str(run.ranks), "--bind-to", "core"]
    return [*launch, a.entrain, "bench", config, "--random", str(classes), *run.options, *amount, *settings], environment


def once(a, case, run, python):
    """One run's result, or {"missing": why, "failed": whether that is an error}."""
    command, environment = command_of(a, case, run, python)
    if run.ranks > 1 and shutil.which("mpirun") is None:
        return {"missing": "no mpirun", "failed": False}
    with tempfile.TemporaryDirectory(prefix="entrain-bench-") as folder:
        path, before = os.path.join(folder, "result.json"), cpu_seconds()
        try:
            done = subprocess.run([*shlex.split(a.prefix), *command, "--json", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, cwd=SOURCE, env={**os.environ, **environment}, timeout=a.timeout)
        except OSError as error:
            return {"missing": str(error), "failed": True}
        except subprocess.TimeoutExpired:
            return {"missing": f"not done after {a.timeout:g} s", "failed": True}
        said = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()] or ["no message"]
        if done.returncode == 77:
            lines = [line for line in said if line.startswith("not measured: ")] or said
            return {"missing": lines[0].removeprefix("not measured: "), "failed": False}
        if done.returncode != 0:
            errors = [line.strip() for line in done.stderr.splitlines() if line.strip()] or said
            return {"missing": f"exit code {done.returncode}: {errors[-1 if run.program == 'pytorch' else 0]}", "failed": True}
        try:
            with open(path) as file:
                result = json.load(file)
            result["step_ms"]["median"] + 0
            busy, own, clock = (after - earlier for after, earlier in zip(cpu_seconds(), before))
            return {**result, "others_percent": round(max(0, 100 * (busy - own) / clock), 1)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            return {"missing": f"no usable result: {error}", "failed": True}


def say(label, result):
    text = f"not measured: {result['missing']}" if "missing" in result else f"{result['step_ms']['median']:9.1f} ms, others' CPU time {result['others_percent']:.0f} %"
    print(f"  {label:45} {text}", flush=True)


def measure(a, case, columns):
    """The rounds of a case: {label: (program, result)}, where result is {column: result} for PyTorch."""
    rounds, unusable = [], {}

    def result_of(run, column):
        key = run.label, column
        if key not in unusable:
            python, missing = columns[column] if column else (None, None)
            result = {"missing": missing, "failed": False} if missing else once(a, case, run, python)
            if "missing" not in result:
                return result
            unusable[key] = result  # not tried again in later rounds
        return unusable[key]

    for index in range(a.rounds):
        print(f"{case.name}, round {index + 1}", flush=True)
        rounds.append({})
        for run in case.runs:
            if run.program == "pytorch":
                results = {}
                for column in columns:
                    results[column] = result_of(run, column)
                    say(f"{run.label}, {column}", results[column])
                rounds[-1][run.label] = run.program, results
            else:
                rounds[-1][run.label] = run.program, result_of(run, None)
                say(run.label, rounds[-1][run.label][1])
    return rounds, any(result["failed"] for result in unusable.values())


def commands(a, case, columns):
    lines = []
    for run in case.runs:
        for python in [path for path, _ in columns.values()] if run.program == "pytorch" else [None]:
            command, environment = command_of(a, case, run, python)
            changes = [f"{key}={value}" for key, value in environment.items()]
            lines.append(" ".join([*changes, shlex.join(shlex.split(a.prefix) + command)]))
    return lines


def save(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def main():
    a = arguments()
    if a.list:
        for case in CASES:
            print(f"{case.name:15} {case.title}")
        return 0
    state = {"cases": {}}
    if a.state and os.path.exists(a.state):
        with open(a.state) as file:
            state = json.load(file)
    chosen = [case for case in CASES if a.only is None or case.name in a.only]
    failed, columns, lines, about = False, {}, [], []
    if chosen:
        columns, lines = pytorchs(a.python or ["/usr/bin/python3"])
        about = machine(a)
        print("\n".join(about + lines), flush=True)
    for case in chosen:
        with_torch = any(run.program == "pytorch" for run in case.runs)
        rounds, wrong = measure(a, case, columns)
        failed |= wrong
        state["cases"][case.name] = {"machine": about, "pytorch": lines if with_torch else [], "columns": list(columns) if with_torch else [],
                                     "commands": commands(a, case, columns), "rounds": rounds}
        if a.state:
            save(a.state, json.dumps(state, indent=1) + "\n")
    text = document(state, ["tests/bench/compare.py", *sys.argv[1:]])
    if a.out:
        save(a.out, text)
        print(f"written: {a.out}")
    else:
        print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
