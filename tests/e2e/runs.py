"""
What a run folder says, and whether two runs are the same.
  runs.py same A B           metrics.jsonl has every step once with equal figures, as text; last checkpoints equal bit for bit
  runs.py folder RUN IMAGES  a finished run with evaluations keeps its contract; IMAGES: of the training set
  runs.py finite RUN STEPS   that many training lines, all figures finite; prints the losses
  runs.py lr RUN             the learning rates are those of the configuration's schedule
"""

import glob
import json
import math
import os
import re
import sys

import h5py
import numpy as np

TIMES = ("images_per_second", "step_ms", "data_ms", "comm_ms", "memory_mib")  # differ between equal runs
TRAIN_KEYS = ["kind", "step", "epoch", "loss", "aux_loss", "accuracy", "lr", "grad_norm", *TIMES]
EVAL_KEYS = ["kind", "step", "miou", "macc", "aacc", "iou", "scales", "flip", "images", "mode", "short_sides", "max_side", "crop", "stride"]
FOLDER = ["checkpoints", "config.json", "log.txt", "metrics.jsonl"]
LOG_LINE = re.compile(r"iter \d+/\d+ ep \d+\.\d \| loss \d+\.\d{3} aux \d+\.\d{3} \| acc \d+\.\d% \| lr \d\.\d\de-\d\d \| grad \d+\.\d\d \| "
                      r"\d+ ms \(data \d+, comm \d+\) \| \d+\.\d img/s \| mem \d+\.\d\d GiB \| eta \d+:\d\d:\d\d")


def expect(condition, message):
    if not condition:
        sys.exit(message)


def refuse(constant):
    sys.exit(f"metrics.jsonl holds {constant}, which is not JSON")


def metrics(run, **parsers):
    """The lines of metrics.jsonl; every one must be whole."""
    with open(os.path.join(run, "metrics.jsonl")) as file:
        text = file.read()
    expect(text == "" or text.endswith("\n"), "metrics.jsonl does not end with a whole line")
    return [json.loads(line, parse_constant=refuse, **parsers) for line in text.splitlines()]


def config_of(run):
    with open(os.path.join(run, "config.json")) as file:
        return json.load(file)


def latest(run):
    with open(os.path.join(run, "checkpoints", "latest")) as file:
        return os.path.join(run, "checkpoints", file.read().strip())


def tensors(path):
    """(root attributes, values by path) of a checkpoint."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return dict(file.attrs), found


def steps_of(lines, kind):
    return [int(line["step"]) for line in lines if line["kind"] == kind]


# ---- two runs ----


def same_metrics(a, b):
    lines = [[{k: v for k, v in line.items() if k not in TIMES} for line in metrics(run, parse_float=str, parse_int=str)] for run in (a, b)]
    for run, own in zip((a, b), lines):
        steps = steps_of(own, "train")
        expect(steps == list(range(1, len(steps) + 1)), f"{run}: the training lines have steps {steps}")
    for mine, other in zip(*lines):
        expect(mine == other, f"metrics.jsonl differs:\n  {mine}\n  {other}")
    expect(len(lines[0]) == len(lines[1]), f"metrics.jsonl has {len(lines[0])} and {len(lines[1])} lines")


def same_checkpoint(a, b):
    (mine, values), (other, others) = tensors(a), tensors(b)
    for name in ("step", "seed", "best_miou"):
        expect(mine[name] == other[name], f"{name} of the last checkpoints: {mine[name]} and {other[name]}")
    expect(values.keys() == others.keys(), "the last checkpoints hold other tensors")
    expect(any(name.startswith("optimizer/momentum/") for name in values), "no momentum in the last checkpoint")
    for name, value in values.items():
        expect(value.tobytes() == others[name].tobytes(), f"{name} of the last checkpoints differs: up to {np.abs(value - others[name]).max()}")


def same(a, b):
    same_metrics(a, b)
    expect(os.path.basename(latest(a)) == os.path.basename(latest(b)), f"the last checkpoints are {latest(a)} and {latest(b)}")
    same_checkpoint(latest(a), latest(b))
    best = [os.path.join(run, "checkpoints", "best.h5") for run in (a, b)]
    expect(os.path.exists(best[0]) == os.path.exists(best[1]), "only one of the runs has a best checkpoint")
    if os.path.exists(best[0]):
        same_checkpoint(*best)


# ---- one run ----


def finite(run, steps):
    lines = [line for line in metrics(run) if line["kind"] == "train"]
    expect(len(lines) == int(steps), f"{len(lines)} training lines, expected {steps}")
    aux = config_of(run)["model"]["aux_weight"] > 0
    for line in lines:
        for key, value in line.items():
            if key == "aux_loss" and not aux:
                expect(value is None, f"aux_loss is {value} without an auxiliary head, expected null")
            else:
                expect(key == "kind" or math.isfinite(value), f"step {line['step']}: {key} is {value}")
        expect(line["loss"] > 0 and line["grad_norm"] > 0, f"step {line['step']}: loss {line['loss']}, gradient's norm {line['grad_norm']}")
    print(*(repr(line["loss"]) for line in lines))


def rate(config, done):
    """Learning rate of the update after `done` ones, from the meaning of the configuration's keys."""
    schedule, total = config["schedule"], config["train"]["iterations"]
    shape = {"poly": lambda: (1 - done / total) ** schedule["power"], "constant": lambda: 1.0,
             "cosine": lambda: (1 + math.cos(math.pi * done / total)) / 2,
             "step": lambda: schedule["gamma"] ** sum(done >= at for at in schedule["milestones"])}[schedule["type"]]()
    warm = min(1.0, (done + 1) / schedule["warmup"]) if schedule["warmup"] else 1.0
    return config["optimizer"]["lr"] * shape * warm


def lr(run):
    config = config_of(run)
    for line in metrics(run):
        expected = rate(config, line["step"] - 1)
        expect(abs(line["lr"] - expected) <= 1e-9 * expected, f"step {line['step']}: lr {line['lr']}, expected {expected}")


def check_lines(run, images):
    config, lines = config_of(run), metrics(run)
    last, every = config["train"]["iterations"], config["train"]["eval_every"]
    expect(steps_of(lines, "train") == list(range(1, last + 1)), f"training lines: {steps_of(lines, 'train')}")
    due = sorted({*range(every, last + 1, every), last})
    expect(steps_of(lines, "eval") == due, f"evaluation lines: {steps_of(lines, 'eval')}, expected {due}")
    for line in lines:
        keys = TRAIN_KEYS if line["kind"] == "train" else EVAL_KEYS
        expect(list(line) == keys, f"a line of kind {line['kind']} has the keys {list(line)}, expected {keys}")
        if line["kind"] == "train":
            epoch = line["step"] * config["train"]["global_batch"] / images
            expect(abs(line["epoch"] - epoch) < 1e-12, f"step {line['step']}: epoch {line['epoch']}, expected {epoch}")
            expect(line["loss"] > line["aux_loss"] * config["model"]["aux_weight"] > 0, f"step {line['step']}: loss and aux_loss do not fit")
            expect(0 <= line["accuracy"] <= 1 and line["step_ms"] > 0 and line["memory_mib"] > 1, f"step {line['step']}: {line}")
    return [line for line in lines if line["kind"] == "eval"]


def check_evaluations(run, lines):
    config = config_of(run)
    for line in lines:
        present = [iou for iou in line["iou"] if iou is not None]
        expect(len(line["iou"]) == 8 and present and all(0 <= iou <= 1 for iou in present), f"iou: {line['iou']}")
        expect(abs(np.mean(present) - line["miou"]) < 1e-12, f"miou {line['miou']} is not the mean of {present}")
        expect(0 < line["aacc"] <= 1 and 0 < line["macc"] <= 1, f"accuracies: {line}")
        expect(line["scales"] == config["eval"]["scales"] and line["flip"] is config["eval"]["flip"] and line["images"] > 0, f"{line}")
    best = max(line["miou"] for line in lines)
    stored = tensors(os.path.join(run, "checkpoints", "best.h5"))[0]
    first = next(line["step"] for line in lines if line["miou"] == best)
    expect(stored["best_miou"] == best and stored["step"] == first, f"best.h5 is of step {stored['step']} with {stored['best_miou']}; "
           f"the best evaluation is {best} at step {first}")


def check_checkpoints(run):
    config = config_of(run)["train"]
    last, every = config["iterations"], config["checkpoint_every"]
    due = sorted({*range(every, last + 1, every), last})[-config["keep"]:]
    expected = sorted(["best.h5", "latest", *(f"step-{step:08d}.h5" for step in due)])
    found = sorted(os.listdir(os.path.join(run, "checkpoints")))
    expect(found == expected, f"checkpoints/ holds {found}, expected {expected}")
    expect(latest(run).endswith(f"step-{last:08d}.h5"), f"`latest` names {latest(run)}")
    for path in glob.glob(os.path.join(run, "checkpoints", "step-*.h5")):
        attributes, values = tensors(path)
        expect(f"step-{attributes['step']:08d}.h5" == os.path.basename(path), f"{path} says that it is of step {attributes['step']}")
        expect(all(np.isfinite(value).all() for value in values.values()), f"{path} holds values that are not finite")


def check_log(run):
    with open(os.path.join(run, "log.txt")) as file:
        lines = file.read().splitlines()
    steps = [line for line in lines if line.startswith("iter ")]
    expect(len(steps) == config_of(run)["train"]["iterations"], f"log.txt has {len(steps)} lines of iterations")
    for line in steps:
        expect(LOG_LINE.fullmatch(line), f"a line of log.txt cannot be read: {line}")
    for text in ("entrain ", "  network", "  norm", "  data", "  memory", "mIoU", "done: "):
        expect(any(line.startswith(text) for line in lines), f"no line of log.txt begins with '{text}'")


def folder(run, images):
    found = sorted(os.listdir(run))
    expect(found == FOLDER, f"the run folder holds {found}, expected {FOLDER}")
    check_evaluations(run, check_lines(run, int(images)))
    check_checkpoints(run)
    check_log(run)
    lr_lines = [line for line in metrics(run) if line["kind"] == "train"]
    expect(all(abs(line["lr"] - rate(config_of(run), line["step"] - 1)) < 1e-12 for line in lr_lines), "a learning rate is wrong")


if __name__ == "__main__":
    {"same": same, "folder": folder, "finite": finite, "lr": lr}[sys.argv[1]](*sys.argv[2:])
