"""
Damaged shards and images: whatever is wrong with them, the program ends with exit code 4 and names the file and the sample.
  damage.py shards FOLDER WORK LEAST   each mutation of a shard of the set in FOLDER, read by `entrain verify`
  damage.py classes WORK LEAST         the same of a set for classification, made here
  damage.py images WORK LEAST          damaged images and labels, given to `entrain pack` and stored in shards
  damage.py commands FOLDER WORK       some of both, given to the other commands, on one rank and on two
LEAST: how many must be found, so that the test cannot shrink unseen.
"""

import os
import random
import shutil
import sys

import damage_run
import damaged_images
import damaged_shards

SEED = 20


def shard_names(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".h5"))


def spoilt(folder, mutation, target, which):
    """A copy of a set in which one shard is damaged; its path."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    path = os.path.join(target, shard_names(folder)[which])
    mutation.spoil(path)
    return path


def judge_shard(tally, original, mutation, path):
    """Found and named; or harmless, where an independent reader finds everything as it was written."""
    outcome = damage_run.run(["verify", os.path.dirname(path)])
    texts = [os.path.basename(path)] + ([f"sample {mutation.sample} (id "] if mutation.sample is not None else [])
    wrong = damage_run.faults(outcome, (0, 4) if mutation.lenient else (0,) if mutation.valid else (4,), texts)
    if outcome.code == 0 and not wrong and not mutation.valid and damaged_shards.contents(path) != original:
        wrong = ["went unnoticed"]
    if wrong:
        tally.fail(mutation.name, wrong, outcome)
    elif outcome.code == 0:
        tally.harmless += 1
    else:
        tally.found += 1


def shards(folder, work, least):
    """The set's first and last shard by turns."""
    tally = damage_run.Tally()
    last = len(shard_names(folder)) - 1
    paths = [os.path.join(folder, shard_names(folder)[which]) for which in (0, last)]
    originals = [damaged_shards.contents(path) for path in paths]
    lists = [damaged_shards.mutations(path, SEED, last == 0) for path in paths]

    def one(i, lane):
        which = i % 2
        mutation = lists[which][i]
        path = spoilt(folder, mutation, os.path.join(work, f"lane{lane}"), which * last)
        judge_shard(tally, originals[which], mutation, path)

    damage_run.in_parallel(one, range(len(lists[0])))
    print(f"{tally.found} damaged shards found, {tally.harmless} not damaged in what is read, {len(tally.failed)} failures")
    return not tally.failed and tally.found >= int(least)


def classes(work, least):
    """A small set for classification: three classes of two pictures."""
    draw, tally, root, good = random.Random(SEED), damage_run.Tally(), os.path.join(work, "source"), os.path.join(work, "good")
    for name in ("bird", "cat", "dog"):
        os.makedirs(os.path.join(root, "train", name))
        for i in range(2):
            damaged_images.picture(draw).save(os.path.join(root, "train", name, f"{i}.jpg"))
    outcome = damage_run.run(["pack", "imagefolder", "--root", root, "--split", "train", "--shards", "1", "--out", good])
    if damage_run.faults(outcome, (0,)):
        sys.exit("sound pictures cannot be packed: " + outcome.text)

    def one(mutation, lane):
        judge_shard(tally, None, mutation, spoilt(good, mutation, os.path.join(work, f"lane{lane}"), 0))

    damage_run.in_parallel(one, list(damaged_shards.mutations_of_classes()))
    print(f"{tally.found} damaged shards for classification found, {len(tally.failed)} failures")
    return not tally.failed and tally.found >= int(least)


# ---- images ----


def batches(cases):
    """Twenty at a time, the most that a list of faults names; the last place is for one that is surely wrong."""
    for begin in range(0, len(cases), 19):
        yield cases[begin:begin + 19] + [damaged_images.Case("the text at the end", b"no picture\n")]


def file_name(i):
    return f"{i:02d}.png"


def write_pairs(root, cases):
    """A data set in CamVid's layout whose pictures or labels are the cases, and sound everywhere else."""
    picture, label = sound_pair()
    for folder in ("train", "trainannot"):
        os.makedirs(os.path.join(root, folder))
    for i, case in enumerate(cases):
        for folder, data in (("train", picture if case.label else case.data), ("trainannot", case.data if case.label else label)):
            with open(os.path.join(root, folder, file_name(i)), "wb") as file:
                file.write(data)


def sound_pair():
    draw = random.Random(SEED)
    return damaged_images.saved(damaged_images.picture(draw), "PNG"), damaged_images.saved(damaged_images.label_map(draw), "PNG")


def judge_images(tally, cases, outcome, names, wrong):
    """Each case is named, or PIL too finds nothing in it."""
    if wrong:
        tally.fail("a batch beginning with " + cases[0].name, wrong, outcome)
        return
    for case, name in zip(cases, names):
        if name in outcome.text:
            tally.found += 1
        elif case.must or not damaged_images.harmless(case):
            tally.fail(case.name, [f"not named ({name})"], outcome)
        else:
            tally.harmless += 1


def packed(tally, work, cases, lane):
    """Given to the packer: all faulty files are named and nothing is written."""
    root, out = os.path.join(work, f"source{lane}"), os.path.join(work, f"packed{lane}")
    shutil.rmtree(root, ignore_errors=True)
    write_pairs(root, cases)
    outcome = damage_run.run(["pack", "camvid", "--root", root, "--split", "train", "--out", out])
    wrong = damage_run.faults(outcome)
    if os.path.exists(out):
        wrong.append("something was written")
        shutil.rmtree(out)
    names = [os.path.join(root, "trainannot" if case.label else "train", file_name(i)) for i, case in enumerate(cases)]
    judge_images(tally, cases, outcome, names, wrong)


def stored(tally, work, cases, lane, shard):
    """Stored in a shard with right checksums: the decoder meets them."""
    folder = os.path.join(work, f"shards{lane}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    path = os.path.join(folder, os.path.basename(shard))
    shutil.copy(shard, path)
    damaged_shards.fill(path, {i: (case.label, case.data) for i, case in enumerate(cases)})
    outcome = damage_run.run(["verify", folder])
    wrong = damage_run.faults(outcome, texts=[os.path.basename(path)])
    names = [f"sample {i} (id {os.path.splitext(file_name(i))[0]})" for i in range(len(cases))]
    judge_images(tally, cases, outcome, names, wrong)


def images(work, least):
    cases = damaged_images.cases(SEED)
    picture, label = sound_pair()
    write_pairs(os.path.join(work, "sound"), [damaged_images.Case("sound", picture)] * 20)
    outcome = damage_run.run(["pack", "camvid", "--root", os.path.join(work, "sound"), "--split", "train", "--shards", "1", "--out",
                              os.path.join(work, "good")])
    if damage_run.faults(outcome, (0,)):
        sys.exit("sound images cannot be packed: " + outcome.text)
    shard = os.path.join(work, "good", "train-00000-of-00001.h5")
    good = True
    for what, judge in (("packed", packed), ("in shards", lambda *given: stored(*given, shard))):
        tally = damage_run.Tally()
        damage_run.in_parallel(lambda batch, lane: judge(tally, work, batch, lane), list(batches(cases)))
        print(f"{what}: {tally.found} damaged images found, {tally.harmless} that PIL reads too, {len(tally.failed)} failures")
        good = good and not tally.failed and tally.found >= int(least)
    return good


# ---- other commands ----

CONFIG = """{"model": {"backbone": "resnet18", "output_stride": 32, "head": "fcn", "aux_weight": 0}, "norm": {"type": "bn"},
 "data": {"train": "%s", "crop": [48, 64]}, "train": {"global_batch": 6, "iterations": 1}, "schedule": {"type": "constant"}}
"""
RENEWED = ", checksum renewed"
OF_A_SAMPLE = tuple(name + RENEWED for name in ("images: a byte of sample 1", "labels: a byte of sample 2", "checksum of sample 0",
                                                "labels/offset: a border moved"))
OF_A_SHARD = ("cut to 512 bytes", "images/offset: huge", "height: the first -1", "attribute colors: pairs", "id: not ended")


def shard_runs(folder, work, config, checkpoint):
    """(name, arguments, ranks, texts) for damaged shards."""
    last = len(shard_names(folder)) - 1
    mutations = damaged_shards.mutations(os.path.join(folder, shard_names(folder)[last]), SEED)
    chosen = [m for m in mutations if m.name in OF_A_SAMPLE + OF_A_SHARD]
    chosen += [m for m in mutations if not m.lenient and m.sample is None and m not in chosen][::40]
    for i, mutation in enumerate(chosen):
        path = spoilt(folder, mutation, os.path.join(work, f"set{i}"), last)
        shards_here = os.path.dirname(path)
        texts = [os.path.basename(path)] + ([f"sample {mutation.sample} (id "] if mutation.sample is not None else [])
        train = ["train", config, "--set", f"data.train={shards_here}", "--out", os.path.join(work, f"run{i}")]
        evaluate = ["eval", config, "--checkpoint", checkpoint, "--set", f"data.val={shards_here}"]
        if mutation.name in OF_A_SAMPLE + OF_A_SHARD:
            yield from ((f"eval, {n} ranks, {mutation.name}", evaluate, n, texts) for n in (1, 2))
            yield f"verify, 2 ranks, {mutation.name}", ["verify", shards_here], 2, texts
            unpack = ["unpack", shards_here, "--out", os.path.join(work, f"files{i}")]
            yield from ((f"unpack, {n} ranks, {mutation.name}", [*unpack[:-1], f"{unpack[-1]}-{n}"], n, texts) for n in (1, 2))
        if mutation.name in OF_A_SAMPLE[:2] + OF_A_SHARD[:1]:
            yield from ((f"train, {n} ranks, {mutation.name}", [*train[:-1], f"{train[-1]}-{n}"], n, texts) for n in (1, 2))
        if mutation.name not in OF_A_SAMPLE:
            yield f"check, {mutation.name}", ["check", config, "--set", f"data.train={shards_here}"], 1, texts


def picture_runs(work, config, checkpoint):
    """The same for pictures to segment."""
    wanted = ("jpeg of claimed 32768x32768", "png of claimed 32768x32768", "png without an end", "text", "nothing", "GIF", "zeros")
    cases = {case.name: case.data for case in damaged_images.cases(SEED)}
    files = []
    for i, name in enumerate(wanted):
        files.append((name, os.path.join(work, f"picture{i}.jpg")))
        with open(files[-1][1], "wb") as file:
            file.write(cases[name])
    for name, path in [*files, ("a folder", work), ("a pipe", os.path.join(work, "pipe"))]:
        out = os.path.join(work, "predicted", str(len(os.listdir(work))) + os.path.basename(path))
        yield f"predict, {name}", ["predict", config, "--checkpoint", checkpoint, "--out", out, path], 1, [path]


def pack_runs(work):
    """Two ranks pack two shards; a single picture, which one of them meets, is cut off."""
    root, sound = os.path.join(work, "source"), sound_pair()[0]
    write_pairs(root, [damaged_images.Case("sound", sound)] * 3 + [damaged_images.Case("cut", sound[:-20])])
    arguments = ["pack", "camvid", "--root", root, "--split", "train", "--shards", "2", "--out", os.path.join(work, "predicted")]
    yield "pack, 2 ranks, one picture cut off", arguments, 2, [os.path.join(root, "train", file_name(3))]


def commands(folder, work):
    config, run = os.path.join(work, "config.json"), os.path.join(work, "sound")
    os.mkfifo(os.path.join(work, "pipe"))
    with open(config, "w") as file:
        file.write(CONFIG % os.path.abspath(folder))
    outcome = damage_run.run(["train", config, "--out", run])
    if outcome.code != 0:
        sys.exit("the sound set cannot be trained on: " + outcome.text)
    tally = damage_run.Tally()

    def one(job, _):
        name, arguments, ranks, texts = job
        outcome = damage_run.run(arguments, ranks)
        wrong = damage_run.faults(outcome, texts=texts)
        if wrong:
            tally.fail(name, wrong, outcome)
        tally.found += not wrong

    damage_run.in_parallel(one, [*shard_runs(folder, work, config, run), *picture_runs(work, config, run), *pack_runs(work)])
    left = [name for _, _, names in os.walk(os.path.join(work, "predicted")) for name in names]
    if left:
        tally.fail("predict or pack", [f"left {left}"])
    print(f"{tally.found} commands ended as they should, {len(tally.failed)} failures")
    return not tally.failed


if __name__ == "__main__":
    sys.exit(0 if {"shards": shards, "classes": classes, "images": images, "commands": commands}[sys.argv[1]](*sys.argv[2:]) else 1)
