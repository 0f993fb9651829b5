"""
1, 2 and 4 ranks at the same global batch do the same step: see steps.py for the limits. A batch of 6 leaves 4 ranks with 1, 2, 1 and 2
images; augmentation and dropout are on, and bn (inside en too) takes its statistics over all ranks. The weights are those of the
initialisation, a checkpoint 100 steps in, and a smooth start.

bfloat16 has the same limits: an image's maps are the same bits wherever it is computed, and all sums are float32 or wider. Where the processor
lacks the instructions it is skipped.

Sums over ranks are also checked from the other side: with bn over each rank's own images (norm.sync false) the same comparison must fail.
usage: test_ranks.py FOLDER, with shards under FOLDER/train
"""

import os
import shutil
import subprocess

from steps import CHANGE_LIMIT, PROGRAM, STATISTICS_LIMIT, WORK, Step, Way
from steps import compare, finish, is_statistic, reorder, row, share, smooth, statistics_error, step, train, worst

WAYS, STEPS_BEFORE = [Way(ranks, "cpu") for ranks in (1, 2, 4)], 100


def later(settings):
    """The step after 100 others, resumed from one checkpoint by any number of ranks."""
    base = train(WAYS[0], {**settings, "train.iterations": STEPS_BEFORE})
    steps = {}
    for way in WAYS:
        copy = os.path.join(WORK, "copy")
        shutil.copytree(base, copy)
        steps[way] = Step(train(way, {**settings, "train.iterations": STEPS_BEFORE + 1}, copy))
        shutil.rmtree(copy)
    shutil.rmtree(base)
    return steps


def main():
    compare("en, fresh", {way: step(way, {}) for way in WAYS})
    compare("en, 100 steps in", later({"data.crop": [32, 48]}))
    smooth("bn, smooth start", {"norm.type": "bn"}, WAYS)
    if "bf16 by the device" in subprocess.run([PROGRAM, "info", "--device", "cpu"], capture_output=True, text=True).stdout:
        smooth("en, bfloat16, smooth start", {"train.precision": "bf16"}, WAYS)
    else:
        print("bfloat16: skipped, for the processor lacks the instructions")
    settings, one, before = smooth("en, smooth start", {}, WAYS)
    alone = step(Way(2, "cpu"), {**settings, "norm.sync": False})
    errors = {n: share(v - one.tensors[n], one.tensors[n] - before[n]) for n, v in alone.tensors.items() if not is_statistic(n)}
    row("en, each rank alone: change", *reorder(worst(errors), CHANGE_LIMIT), must_fail=True)
    row("en, each rank alone: running statistics", *reorder(statistics_error(alone, one), STATISTICS_LIMIT), must_fail=True)
    finish()


if __name__ == "__main__":
    main()
