"""
CamVid as entrain leaves it, read by another program.
  camvid.py labels SHARDS ROOT SPLIT          every label equals the source's pixel by pixel, 11 (void) having become 255; images as they were
  camvid.py figures EVAL_JSON RUN             `entrain eval` found what the run's last evaluation found
  camvid.py pictures FOLDER NAME IMAGE LOGITS a prediction's files: label ids, sizes, and that they are the logits' largest
"""

import glob
import io
import json
import os
import sys

import h5py
import numpy as np
from PIL import Image

CLASSES, VOID, IGNORE = 11, 11, 255


def expect(condition, message):
    if not condition:
        sys.exit(message)


def picture(path):
    return np.array(Image.open(path))


def stored(group, i):
    begin, end = group["offset"][i:i + 2]
    return np.array(Image.open(io.BytesIO(group["bytes"][begin:end].tobytes())))


def labels(folder, root, split):
    names = sorted(os.listdir(os.path.join(root, split)))
    seen, pixels = [], np.zeros(256, np.int64)
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        with h5py.File(path, "r") as file:
            expect(len(file.attrs["classes"]) == CLASSES and file.attrs["ignore"] == IGNORE, f"{path}: classes or ignore")
            expect(file.attrs["samples_total"] == len(names), f"{path}: samples_total is {file.attrs['samples_total']}")
            for i, name in enumerate(file["id"][()]):
                name = name.decode()
                seen.append(name)
                source = picture(os.path.join(root, split + "annot", name + ".png"))
                expected = np.where(source == VOID, IGNORE, source)
                found = stored(file["labels"], i)
                expect(found.shape == expected.shape and (found == expected).all(), f"{name}: the stored label is not the source's")
                image = picture(os.path.join(root, split, name + ".png"))
                expect((stored(file["images"], i) == image).all(), f"{name}: the stored image is not the source's")
                expect((file["height"][i], file["width"][i]) == expected.shape, f"{name}: height and width")
                pixels += np.bincount(found.ravel(), minlength=256)
    expect([name + ".png" for name in seen] == names, "the samples are not the source's files in their order")
    expect(set(np.flatnonzero(pixels)) <= {*range(CLASSES), IGNORE} and pixels[IGNORE] > 0, f"labels {np.flatnonzero(pixels)}")
    print(f"   {len(seen)} labels equal the source's; {100 * pixels[IGNORE] / pixels.sum():.1f} % of the pixels are void")


def figures(path, run):
    with open(path) as file:
        mine = json.load(file)
    with open(os.path.join(run, "metrics.jsonl")) as file:
        last = [line for line in map(json.loads, file) if line["kind"] == "eval"][-1]
    for key, value in last.items():
        expect(mine[key] == value, f"{key}: eval says {mine[key]}, the run {value}")
    expect(len(mine["classes"]) == CLASSES and mine["images"] == 4, f"{mine}")


def pictures(folder, name, source, logits):
    image, mask = picture(source), Image.open(os.path.join(folder, name + ".png"))
    expect(mask.mode in ("L", "P"), f"the label picture has mode {mask.mode}")
    ids = np.array(mask)
    expect(ids.shape == image.shape[:2], f"the label picture has {ids.shape} pixels, the image {image.shape[:2]}")
    expect(ids.max() <= VOID, f"the label picture holds {np.unique(ids)}, which are not all ids of CamVid")
    overlay = picture(os.path.join(folder, name + "_overlay.png"))
    expect(overlay.shape == image.shape, f"the overlay has {overlay.shape}, the image {image.shape}")
    expect((overlay != image).any(), "the overlay is the image itself")
    with h5py.File(logits, "r") as file:
        full = file[name]["logits_full"][()]
    expect(full.shape == (CLASSES, *ids.shape), f"logits_full has {full.shape}")
    expect((full.argmax(0) == ids).mean() > 0.999, "the label picture does not hold the largest logits")


if __name__ == "__main__":
    {"labels": labels, "figures": figures, "pictures": pictures}[sys.argv[1]](*sys.argv[2:])
