"""
From the same weights one, two and four GPUs (as many as there are) do the step that one CPU rank does: see e2e/steps.py for the limits.
Running statistics are sums of other orders, so their limit is wider here than between numbers of ranks.

Then checkpoints: a run begun on either device and resumed on the other does the step that it would have done on its own. bfloat16 rounds each
map that is stored, and a rounding that falls the other way on one device is as good: GPUs agree among each other within the limits, and with the
CPU's float32 in the loss within a hundredth.
usage: devices.py FOLDER GPUS, with shards under FOLDER/train
"""

import json
import os
import shutil
import sys

import steps
from steps import BATCH, LOSS_LIMIT, WORK, Step, Way, compare, finish, loss_error, row, smooth, step, train

steps.STATISTICS_LIMIT = 1e-5
CPU = Way(1, "cpu")
GPUS = [Way(ranks, "cuda") for ranks in (1, 2, 4) if ranks <= int(sys.argv[2])]
FLOAT32 = {"train.tf32": False}


def losses(run):
    with open(os.path.join(run, "metrics.jsonl")) as file:
        return {line["step"]: line["loss"] for line in map(json.loads, file) if line["kind"] == "train"}


def resume(begin, others):
    """Two steps on one device, the third on each."""
    settings = {**FLOAT32, "train.iterations": 2}
    base = train(begin, settings)
    third = {}
    for way in [begin, *others]:
        copy = os.path.join(WORK, "copy")
        shutil.copytree(base, copy)
        third[way] = Step(train(way, {**settings, "train.iterations": 3}, copy))
        shutil.rmtree(copy)
    shutil.rmtree(base)
    compare(f"resumed from {begin.device}", third)


def late_reading():
    """What is read from the device every third step only is the same as what is read at once, to the last digit."""
    runs = [train(GPUS[0], {**FLOAT32, "train.iterations": 6, "train.log_every": every}) for every in (1, 3)]
    often, seldom = map(losses, runs)
    row("steps that are logged", abs(len(seldom) - 2), 0)
    row("loss read late", max(abs(often[number] - loss) for number, loss in seldom.items()), 0)
    for run in runs:
        shutil.rmtree(run)


def bfloat16():
    exact = step(CPU, FLOAT32)
    found = {way: step(way, {"train.precision": "bf16"}) for way in GPUS}
    compare("en, bfloat16, fresh", found)
    row("en, bfloat16, fresh: loss against the CPU's float32", loss_error(found[GPUS[0]], exact), 1e-2)


def main():
    compare("en, fresh", {way: step(way, FLOAT32) for way in [CPU, *GPUS]})
    smooth("en, smooth start", FLOAT32, [CPU, *GPUS])
    smooth("bn, smooth start", {**FLOAT32, "norm.type": "bn", "train.global_batch": BATCH}, [CPU, *GPUS[:2]])
    resume(CPU, GPUS[-1:])
    resume(GPUS[0], [CPU])
    late_reading()
    bfloat16()
    finish()


if __name__ == "__main__":
    main()
