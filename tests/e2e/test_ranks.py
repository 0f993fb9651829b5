"""
1, 2 and 4 ranks at the same global batch do the same step. A batch of 6 leaves 4 ranks with 1, 2, 1 and 2 images; augmentation and dropout
are on, and bn (inside en too) takes its statistics over all ranks.

From the same weights, as initialised and from a checkpoint 100 steps in, the loss agrees within 1e-5 relative and the running statistics
within 1e-6 of max(1, |x|). How far tensors move is compared from a smooth start (norm biases around +-3 keep ReLU inputs away from their
kink, where two right float32 programs part): each change, and each gradient (the momentum after one step), within 1e-3 of its norm. A new
value is stored as float32, which may take up to 2^-24 of the tensor's norm from its change; the learning rate is so large that this is at
most 2e-4 of any change, and it is allowed on both sides.

bfloat16 has the same limits: an image's maps are the same bits wherever it is computed, and all sums are float32 or wider. Where the processor
lacks the instructions it is skipped.

Sums over ranks are also checked from the other side: with bn over each rank's own images (norm.sync false) the same comparison must fail.
usage: test_ranks.py FOLDER, with shards under FOLDER/train
"""

import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np

PROGRAM, WORK = os.environ["ENTRAIN_PROGRAM"], sys.argv[1]
RANKS, BATCH, STEPS_BEFORE = (1, 2, 4), 6, 100
LOSS_LIMIT, STATISTICS_LIMIT, CHANGE_LIMIT, HALF_ULP, HIDDEN = 1e-5, 1e-6, 1e-3, 2.0 ** -24, 2e-4
CONFIG = {
    "model": {"backbone": "resnet18", "output_stride": 16, "head": "deeplab_v2", "aux_weight": 0.4, "dropout": 0.2},
    "norm": {"type": "en"},
    "data": {"train": os.path.join(WORK, "train"), "crop": [48, 64], "scale": [0.75, 1.25], "flip": True, "photometric": True},
    "train": {"global_batch": BATCH, "iterations": 1, "seed": 5, "log_every": 1, "checkpoint_every": 0},
    "optimizer": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005},
    "schedule": {"type": "constant"},
}
failures, runs = [], 0


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


def train(ranks, settings, run=None):
    """Train on so many ranks; with a run folder, go on in it. Returns the folder."""
    global runs
    runs += 1
    out = run or os.path.join(WORK, f"run-{runs}")
    command = [PROGRAM, os.path.join(WORK, "config.json"), "--out", out, *(["--resume"] if run else [])]
    for path, value in settings.items():
        command += ["--set", f"{path}={json.dumps(value)}"]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=600,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode} from: {' '.join(command)}\n{done.stdout}")
    if not re.search(rf"^  ranks +{ranks} \(", done.stdout, re.MULTILINE):
        sys.exit(f"the program does not say that it runs on {ranks} ranks:\n{done.stdout}")
    return out


def step(ranks, settings):
    run = train(ranks, settings)
    found = Step(run)
    shutil.rmtree(run)
    return found


# ---- comparing ----


def row(what, error, limit, name="", must_fail=False):
    right = (error > limit) if must_fail else (error <= limit)
    print(f"  {what:46} {error:9.2e}  {'above' if must_fail else 'limit'} {limit:.1e}  {name}{'' if right else '  FAILED'}", flush=True)
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
    """Loss and running statistics of each number of ranks against one rank's."""
    for ranks in RANKS[1:]:
        row(f"{title}, {ranks} ranks: loss", loss_error(steps[ranks], steps[1]), LOSS_LIMIT)
        row(f"{title}, {ranks} ranks: running statistics", *reorder(statistics_error(steps[ranks], steps[1]), STATISTICS_LIMIT))


def reorder(found, limit):
    return found[0], limit, found[1]


def share(difference, reference):
    """The norm of a difference as part of the reference's."""
    size, norm = np.linalg.norm(difference.astype(float)), np.linalg.norm(reference.astype(float))
    return 0.0 if size == 0 else size / norm if norm > 0 else np.inf


def compare_changes(title, steps, before):
    one = steps[1]
    change = {name: value.astype(float) - before[name] for name, value in one.tensors.items() if not is_statistic(name)}
    hidden = {name: 2 * HALF_ULP * np.linalg.norm(one.tensors[name]) / np.linalg.norm(d) if d.any() else 0.0 for name, d in change.items()}
    still = [name for name, d in change.items() if not d.any()]
    row(f"{title}: tensors that do not move", len(still), 0, *still[:1])
    for ranks in RANKS[1:]:
        mine = steps[ranks]
        errors = {name: share(mine.tensors[name].astype(float) - before[name] - d, d) for name, d in change.items()}
        beyond = {name: error - hidden[name] for name, error in errors.items()}
        row(f"{title}, {ranks} ranks: change", *reorder(worst(beyond), CHANGE_LIMIT))
        errors = {name: share(mine.momentum[name] - value, value) for name, value in one.momentum.items()}
        row(f"{title}, {ranks} ranks: gradient", *reorder(worst(errors), CHANGE_LIMIT))
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


def smooth(title, settings):
    before = smooth_start(step(1, {**settings, "optimizer.lr": 0}).tensors)
    path = os.path.join(WORK, "start.h5")
    with h5py.File(path, "w") as file:
        for name, value in before.items():
            file[f"model/{name}"] = value
    settings = {**settings, "model.init": path}
    gradient = step(1, {**settings, "optimizer.lr": 0}).momentum
    shares = {name: np.linalg.norm(before[name]) / np.linalg.norm(g) for name, g in gradient.items() if g.any()}
    settings["optimizer.lr"] = float(f"{2 * HALF_ULP * max(shares.values()) / HIDDEN:.2g}")
    print(f"  (lr {settings['optimizer.lr']:g})")
    steps = {ranks: step(ranks, settings) for ranks in RANKS}
    compare(title, steps)
    compare_changes(title, steps, before)
    return settings, steps[1], before


def later(settings):
    """The step after 100 others, resumed from one checkpoint by any number of ranks."""
    base = train(1, {**settings, "train.iterations": STEPS_BEFORE})
    steps = {}
    for ranks in RANKS:
        copy = os.path.join(WORK, "copy")
        shutil.copytree(base, copy)
        steps[ranks] = Step(train(ranks, {**settings, "train.iterations": STEPS_BEFORE + 1}, copy))
        shutil.rmtree(copy)
    shutil.rmtree(base)
    return steps


def main():
    with open(os.path.join(WORK, "config.json"), "w") as file:
        json.dump(CONFIG, file)
    compare("en, fresh", {ranks: step(ranks, {}) for ranks in RANKS})
    compare("en, 100 steps in", later({"data.crop": [32, 48]}))
    smooth("bn, smooth start", {"norm.type": "bn"})
    if "bf16 by the processor" in subprocess.run([PROGRAM, "info"], capture_output=True, text=True).stdout:
        smooth("en, bfloat16, smooth start", {"train.precision": "bf16"})
    else:
        print("bfloat16: skipped, for the processor lacks the instructions")
    settings, one, before = smooth("en, smooth start", {})
    alone = step(2, {**settings, "norm.sync": False})
    errors = {n: share(v - one.tensors[n], one.tensors[n] - before[n]) for n, v in alone.tensors.items() if not is_statistic(n)}
    row("en, each rank alone: change", *reorder(worst(errors), CHANGE_LIMIT), must_fail=True)
    row("en, each rank alone: running statistics", *reorder(statistics_error(alone, one), STATISTICS_LIMIT), must_fail=True)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
