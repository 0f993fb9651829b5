"""
Checks of evaluations, with h5py and the float64 implementation of ../parity/test_fuse.py.
  evaluation.py big FOLDER HEIGHT WIDTH CLASSES   turn a folder of one sample into one of this size, with so many classes
  evaluation.py compare MATRIX CONFIG CHECKPOINT VAL WORK SETTINGS
                       the matrix is what SETTINGS (eval.* as JSON) make of the logits that predict writes for each pass, or window, alone
  evaluation.py submitted FOLDER VAL PREDICTED SUFFIX
                       FOLDER holds one 8-bit label file a sample of VAL, named ID SUFFIX, equal to PREDICTED/ID.png
  evaluation.py pictures FOLDER VAL                the samples' images as files
  evaluation.py dataset FOLDER NAME                call the data set by another name
  evaluation.py cut FOLDER HEIGHT                  leave of the first sample so many rows
  evaluation.py spoil CHECKPOINT                   a weight that is no number
  evaluation.py logits FILE NAMES SINGLE           an HDF5 file of predict has these groups, with `logits` if SINGLE is 1, without if 0
  evaluation.py ids FOLDER                         call the first two samples a/same and b/same
  evaluation.py peak BASE_KIB COMMAND...       run it; the growth of peak memory over BASE_KIB stays within what the command says it needs;
                                               BASE_KIB 0: print the peak only
"""
import io
import json
import os
import re
import resource
import subprocess
import sys

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity"))
from test_fuse import CLOSE, IGNORE, pass_scores, pass_sizes, softmax, windows_of  # noqa: E402

import shards as packed  # noqa: E402

PROGRAM = os.environ["ENTRAIN_PROGRAM"]
SLACK_MIB = 24  # encoded bytes, the decoder's memory, what the allocator keeps


def expect(right, message):
    if not right:
        sys.exit(message)


def big(folder, height, width, classes):
    height, width, classes = int(height), int(width), int(classes)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([(y // 3) % 256, (x // 5) % 256, (x + y) // 40 % 256], axis=2).astype(np.uint8)
    labels = ((y // 97 + x // 131) % classes).astype(np.uint8)
    labels[: height // 50] = IGNORE
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=90)
    path, = packed.shards(folder)
    with h5py.File(path, "r+") as file:
        for name, value in (("classes", np.array([b"class %d" % k for k in range(classes)], "S64")),
                            ("colors", np.arange(3 * classes, dtype=np.uint8).reshape(-1, 3)),
                            ("export_ids", np.arange(256, dtype=np.uint8))):
            del file.attrs[name]
            file.attrs[name] = value
        packed.replace(file, "images", 0, encoded.getvalue())
        packed.replace(file, "labels", 0, packed.png(labels))
        file["height"][...], file["width"][...] = height, width


def cut(folder, height):
    with h5py.File(packed.shards(folder)[0], "r+") as file:
        for group in ("images", "labels"):
            packed.replace(file, group, 0, packed.png(packed.decoded(file, group, 0)[:int(height)]))
        file["height"][0] = int(height)


def samples(folder):
    for path in packed.shards(folder):
        with h5py.File(path, "r") as file:
            for i in range(len(file["height"])):
                yield packed.name_of(file, i), packed.decoded(file, "images", i), packed.decoded(file, "labels", i)


# ---- from single passes to the whole ----

def raw_logits(config, checkpoint, work, pictures, *options):
    """What predict says of each picture alone, unmirrored and at one size: logits at the network's resolution, (h,w,classes)."""
    os.makedirs(work, exist_ok=True)
    files = []
    for name, picture in pictures.items():
        files.append(os.path.join(work, name + ".png"))
        Image.fromarray(np.ascontiguousarray(picture)).save(files[-1])
    out = os.path.join(work, "logits.h5")
    subprocess.run([PROGRAM, "predict", config, "--checkpoint", checkpoint, "--out", os.path.join(work, "out"), "--logits", out, "--mode",
                    "whole", *options, *files], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(out, "r") as file:
        return {name: file[name]["logits"][()].transpose(1, 2, 0).astype(np.float64) for name in pictures}


def logits_of_windows(config, checkpoint, work, name, image, flip, settings):
    """Of a pass at the image's own size: each window as a picture of its own."""
    seen = image[:, ::-1] if flip else image
    places, h, w = windows_of(*image.shape[:2], settings)
    parts = {f"{name}.{y}.{x}".replace(".", "_"): seen[y:y + h, x:x + w] for y, x in places}
    logits = raw_logits(config, checkpoint, work, parts)
    return dict(zip(places, logits.values()))


def scores_of(config, checkpoint, work, name, image, settings):
    h, w = image.shape[:2]
    passes, total = pass_sizes(h, w, settings), 0
    for i, (ph, pw, flip) in enumerate(passes):
        if settings.get("mode") == "slide":
            logits = logits_of_windows(config, checkpoint, work, name, image, flip, settings)
        else:
            scale = settings.get("scales", [1])[i // (2 if settings.get("flip") else 1)]
            seen = image[:, ::-1] if flip else image  # mirrored before it is resized, which comes to the same
            logits = {(0, 0): raw_logits(config, checkpoint, work, {name: seen}, "--scales", str(scale))[name]}
        one = pass_scores(ph, pw, flip, logits, settings, h, w)
        total = total + softmax(one) / len(passes) if len(passes) > 1 else one
    return total


def compare(matrix, config, checkpoint, val, work, settings):
    settings = json.loads(settings)
    with h5py.File(matrix, "r") as file:
        theirs = file["confusion"][()]
    mine, close = np.zeros_like(theirs), 0
    for name, image, labels in samples(val):
        scores = scores_of(config, checkpoint, work, name, image, settings)
        best = np.sort(scores, axis=2)
        valid = labels != IGNORE
        close += int(((best[:, :, -1] - best[:, :, -2] < CLOSE) & valid).sum())
        np.add.at(mine, (labels[valid], scores.argmax(axis=2)[valid]), 1)
    differ = int(np.abs(mine - theirs).sum()) // 2
    print(f"{differ} pixels of {mine.sum()} differ; {close} were too close to tell")
    expect(theirs.sum() == mine.sum() and differ <= close and close <= mine.sum() / 500, "the matrix is not that of the logits")
    expect((mine.sum(axis=0) > 0).sum() > 1, "only one class is predicted: that compares nothing")


# ---- submissions ----

def submitted(folder, val, predicted, suffix):
    names = set()
    for name, image, _ in samples(val):
        names.add(name + suffix + ".png")
        with Image.open(os.path.join(folder, name + suffix + ".png")) as file:
            expect(file.mode == "L" and file.size == (image.shape[1], image.shape[0]), f"{name}: {file.mode} {file.size}")
            labels = np.array(file)
        expect(np.array_equal(labels, np.array(Image.open(os.path.join(predicted, name + ".png")))), f"{name}: other labels")
    expect(set(os.listdir(folder)) == names, f"files: {sorted(os.listdir(folder))}")


def pictures(folder, val):
    os.makedirs(folder)
    for name, image, _ in samples(val):
        Image.fromarray(image).save(os.path.join(folder, name + ".png"))


def dataset(folder, name):
    for path in packed.shards(folder):
        with h5py.File(path, "r+") as file:
            file.attrs.pop("tables_crc32", None)
            del file.attrs["dataset"]
            file.attrs["dataset"] = np.bytes_(name)


# ---- spoilt files ----

def spoil(checkpoint):
    with h5py.File(checkpoint, "r+") as file:
        del file.attrs["checksum"]
        weight = file["model"][[name for name in file["model"] if name.startswith("head.") and name.endswith("weight")][0]]
        values = weight[()]
        values.flat[0] = np.nan
        weight[...] = values


def ids(folder):
    path = packed.shards(folder)[0]
    with h5py.File(path, "r+") as file:
        file.attrs.pop("tables_crc32", None)
        file["id"][:2] = [b"a/same", b"b/same"]


def logits(path, names, single):
    with h5py.File(path, "r") as file:
        expect(sorted(file) == sorted(names.split(",")), f"groups: {sorted(file)}")
        for name in file:
            expect(("logits" in file[name]) == (single == "1") and "logits_full" in file[name], f"{name}: {sorted(file[name])}")


# ---- memory ----

def peak(base, *command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    expect(done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}")
    if base == "0":
        print(used)
        return
    line = re.search(r"memory for images of these sizes.*", done.stdout)
    expect(line is not None, done.stdout)
    said = sum(float(number) for number in re.findall(r"([0-9.]+) MiB", line.group(0)))
    grown = (used - int(base)) / 1024
    print(f"grown by {grown:.0f} MiB of {said:.0f} said, {SLACK_MIB} allowed besides")
    expect(grown <= said + SLACK_MIB, f"memory grew by {grown:.0f} MiB, but: {line.group(0)}")


if __name__ == "__main__":
    {"big": big, "compare": compare, "submitted": submitted, "pictures": pictures, "dataset": dataset, "cut": cut, "spoil": spoil, "ids": ids,
     "logits": logits, "peak": peak}[sys.argv[1]](*sys.argv[2:])
