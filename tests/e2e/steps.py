"""
Single steps of the same network from the same weights, done in several ways (numbers of ranks, devices), and how far they agree.

From the same weights the loss agrees within 1e-5 relative and the running statistics within 1e-6 of max(1, |x|). How far tensors move is
compared from a smooth start (norm biases around +-3 keep ReLU inputs away from their kink, where two right float32 programs part): each
change, and each gradient (the momentum after one step), within 1e-3 of its norm. A new value is stored as float32, which may take up to
2^-24 of the tensor's norm from its change; the learning rate is so large that this is at most 2e-4 of any change, and it is allowed on both
sides.
"""

import collections
import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np

PROGRAM = os.environ["ENTRAIN_PROGRAM"]
LOSS_LIMIT, STATISTICS_LIMIT, CHANGE_LIMIT, HALF_ULP, HIDDEN = 1e-5, 1e-6, 1e-3, 2.0 ** -24, 2e-4
WORK = sys.argv[1]  # a folder with shards under train/
BATCH = 6
CONFIG = {
    "model": {"backbone": "resnet18", "output_stride": 16, "head": "deeplab_v2", "aux_weight": 0.4, "dropout": 0.2},
    "norm": {"type": "en"},
    "data": {"train": os.path.join(WORK, "train"), "crop": [48, 64], "scale": [0.75, 1.25], "flip": True, "photometric": True},
    "train": {"global_batch": BATCH, "iterations": 1, "seed": 5, "log_every": 1, "checkpoint_every": 0},
    "optimizer": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005},
    "schedule": {"type": "constant"},
}
failures, runs = [], 0

# A way to do a step: on so many ranks, on this device.
Way = collections.namedtuple("Way", "ranks device")


def name_of(way):
    return f"{way.ranks} rank{'s' if way.ranks > 1 else ''} on {way.device}"


class Step:
    """The last step of a run: its loss, and the tensors and momenta after it."""

    def __init__(self, run):
        with open(os.path.join(run, "metrics.jsonl")) as file:
            self.loss = json.loads(file.read().splitlines()[-1])["loss"]
        with open(os.path.join(run, "checkpoints", "latest")) as file:
            path = os.path.join(run, "checkpoints", file.read().strip())
        with h5py.File(path, "r") as file:
            self.tensors, self.momentum = ({n: v[()] for n, v in file[group].items()} for group in ("model", "optimizer/momentum"))

    def statistics(self):
        return {name: value for name, value in self.tensors.items() if is_statistic(name)}


def is_statistic(name):
    return name.endswith((".running_mean", ".running_var"))


def train(way, settings, run=None):
    """Train in this way; with a run folder, go on in it. Returns the folder."""
    global runs
    runs += 1
    out = run or os.path.join(WORK, f"run-{runs}")
    config = os.path.join(WORK, "config.json")
    with open(config, "w") as file:
        json.dump(CONFIG, file)
    command = [PROGRAM, config, "--out", out, "--device", way.device, *(["--resume"] if run else [])]
    for path, value in settings.items():
        command += ["--set", f"{path}={json.dumps(value)}"]
    if way.ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(way.ranks), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=600,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode} from: {' '.join(command)}\n{done.stdout}")
    if not re.search(rf"^  ranks +{way.ranks} \([a-z]+\).*; {way.device},", done.stdout, re.MULTILINE):
        sys.exit(f"the program does not say that it runs on {name_of(way)}:\n{done.stdout}")
    return out


def step(way, settings):
    run = train(way, settings)
    found = Step(run)
    shutil.rmtree(run)
    return found


# ---- comparing ----


def row(what, error, limit, name="", must_fail=False):
    right = (error > limit) if must_fail else (error <= limit)
    print(f"  {what:56} {error:9.2e}  {'above' if must_fail else 'limit'} {limit:.1e}  {name}{'' if right else '  FAILED'}", flush=True)
    if not right:
        failures.append(f"{what}: {error:.2e} {name}")


def worst(errors):
    name = max(errors, key=lambda n: errors[n] if np.isfinite(errors[n]) else np.inf)
    return errors[name], name


def loss_error(mine, reference):
    return abs(mine.loss / reference.loss - 1)


def statistics_error(mine, reference):
    return worst({n: float((np.abs(mine.tensors[n].astype(float) - v) / np.maximum(1, np.abs(v))).max()) for n, v in reference.statistics().items()})


def compare(title, steps):
    """Loss and running statistics of each way against the first one's."""
    (_, first), *others = steps.items()
    for way, mine in others:
        row(f"{title}, {name_of(way)}: loss", loss_error(mine, first), LOSS_LIMIT)
        row(f"{title}, {name_of(way)}: running statistics", *reorder(statistics_error(mine, first), STATISTICS_LIMIT))


def reorder(found, limit):
    return found[0], limit, found[1]


def share(difference, reference):
    """The norm of a difference as part of the reference's."""
    size, norm = np.linalg.norm(difference.astype(float)), np.linalg.norm(reference.astype(float))
    return 0.0 if size == 0 else size / norm if norm > 0 else np.inf


def compare_changes(title, steps, before):
    (_, one), *others = steps.items()
    change = {name: value.astype(float) - before[name] for name, value in one.tensors.items() if not is_statistic(name)}
    hidden = {name: 2 * HALF_ULP * np.linalg.norm(one.tensors[name]) / np.linalg.norm(d) if d.any() else 0.0 for name, d in change.items()}
    still = [name for name, d in change.items() if not d.any()]
    row(f"{title}: tensors that do not move", len(still), 0, *still[:1])
    for way, mine in others:
        errors = {name: share(mine.tensors[name].astype(float) - before[name] - d, d) for name, d in change.items()}
        beyond = {name: error - hidden[name] for name, error in errors.items()}
        row(f"{title}, {name_of(way)}: change", *reorder(worst(beyond), CHANGE_LIMIT))
        errors = {name: share(mine.momentum[name] - value, value) for name, value in one.momentum.items()}
        row(f"{title}, {name_of(way)}: gradient", *reorder(worst(errors), CHANGE_LIMIT))
    print(f"  (float32 storage takes at most {max(hidden.values()):.1e} of a change)")


# ---- starts ----


def is_norm(name, tensors):
    layer, leaf = name.rsplit(".", 1)
    return ".ratio." not in name and leaf in ("weight", "bias") and layer + ".bias" in tensors and tensors[layer + ".weight"].ndim < 3


def smooth_start(tensors):
    """
    Norm weights 0.5..1.5 and biases of +-3, output layers of the ratios away from 0. Norms whose outputs are added up in residual blocks
    share their signs within a stage: opposite ones would bring the sums back to the kink.
    """
    generator, out, stages = np.random.default_rng(11), {}, {}
    for name, value in sorted(tensors.items()):
        parts = name.split(".")
        value = value.copy()
        if is_norm(name, tensors) and parts[-1] == "weight":
            value[...] = generator.uniform(0.5, 1.5, value.shape)
        elif is_norm(name, tensors):
            signs = generator.choice([-3.0, 3.0], value.shape[-1])
            if parts[1].startswith("layer") and parts[-2] in ("bn2", "1"):  # "1": downsample.1
                signs = stages.setdefault(parts[1], signs)
            value[...] = generator.normal(0, 0.25, value.shape) + signs
        elif ".ratio.fc2." in name:
            value[...] = generator.normal(0, 0.5 / value.shape[-1] ** (0.5 if parts[-1] == "weight" else 0), value.shape)
        elif name.endswith(".ratio.fc1.bias"):
            value[...] = generator.normal(0, 0.5, value.shape)
        elif is_statistic(name):
            value[...] = parts[-1] == "running_var"
        out[name] = value.astype(np.float32)
    return out


def smooth(title, settings, ways):
    """A step from a smooth start in each way. Returns the settings, the first way's step and the weights before it."""
    before = smooth_start(step(ways[0], {**settings, "optimizer.lr": 0}).tensors)
    path = os.path.join(WORK, "start.h5")
    with h5py.File(path, "w") as file:
        for name, value in before.items():
            file[f"model/{name}"] = value
    settings = {**settings, "model.init": path}
    gradient = step(ways[0], {**settings, "optimizer.lr": 0}).momentum
    shares = {name: np.linalg.norm(before[name]) / np.linalg.norm(g) for name, g in gradient.items() if g.any()}
    settings["optimizer.lr"] = float(f"{2 * HALF_ULP * max(shares.values()) / HIDDEN:.2g}")
    print(f"  (lr {settings['optimizer.lr']:g})")
    steps = {way: step(way, settings) for way in ways}
    compare(title, steps)
    compare_changes(title, steps, before)
    return settings, steps[ways[0]], before


def finish():
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)
