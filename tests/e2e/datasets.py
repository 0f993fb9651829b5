"""
The tables of classes and what is packed with them, against the data sets' own tables and files, by another program.
  datasets.py pages SOURCE HELP                the pages of datasets/ agree with the tables, with the index and with `entrain pack --help`
  datasets.py tables SOURCE DATA               datasets/*/classes.json agree with the CSV files that come with the data
  datasets.py labels NAME SHARDS DATA SPLIT    labels are the source's under the CSV table, pixel by pixel; images are its files, byte by byte
  datasets.py original ROOT TABLE DATA         make a small CamVid as published, with the frames of SegNet's lists
  datasets.py splits SHARDS TABLE DATA SPLIT   ids are those of SegNet's lists, labels are the source's colours under the table
  datasets.py classes SHARDS ROOT NAMES        classification: ids, classes and images are those of the folders; NAMES: classes, comma-separated
  datasets.py same SHARDS SHARDS               two folders hold the same labels and class names
"""

import csv
import glob
import io
import json
import os
import re
import sys

import h5py
import numpy as np
from PIL import Image

IGNORE = 255
STILLS, LABELED = "701_StillsRaw_full", "LabeledApproved_full"


def expect(condition, message):
    if not condition:
        sys.exit(message)


def rows(*path):
    with open(os.path.join(*path), newline="") as file:
        return list(csv.DictReader(file))


def rgb(row):
    return [int(row[c]) for c in "rgb"]


def csv_table(name, data):
    """Classes as (name, colour, own id) in their order, and all ids that are ignored: from the data set's CSV file."""
    if name == "ade20k":
        table = rows(data, name, "classes150.csv")
        return [(r["name"], rgb(r), int(r["index"])) for r in table if int(r["index"]) > 0], [0]
    if name == "cityscapes":
        table = [r for r in rows(data, name, "labels.csv") if int(r["id"]) >= 0]
        classes = sorted((r for r in table if r["trainId"] != "255"), key=lambda r: int(r["trainId"]))
        expect([int(r["trainId"]) for r in classes] == list(range(19)), "labels.csv: trainIds")
        return [(r["name"], rgb(r), int(r["id"])) for r in classes], [int(r["id"]) for r in table if r["trainId"] == "255"]
    table = rows(data, "camvid", "classes.csv")
    return [(r["name"], rgb(r), int(r["index"])) for r in table if r["name"] != "void"], [11]


def json_table(path):
    with open(path) as file:
        return json.load(file)


def pages(source, help_file):
    root = os.path.join(source, "datasets")
    folders = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    with open(help_file) as file:
        options = set(re.findall(r"--[a-z-]+", file.read()))
    with open(os.path.join(root, "README.md")) as file:
        index = re.findall(r"^\| \[(\w+)\]\(\1/README.md\)", file.read(), re.M)
    expect(sorted(index) == folders, f"datasets/README.md lists {index}, there are {folders}")
    for name in folders:
        with open(os.path.join(root, name, "README.md")) as file:
            text = file.read()
        used = {option for line in re.findall(r"entrain pack (?:.*\\\n)*.*", text) for option in re.findall(r"--[a-z-]+", line)}
        expect(used <= options, f"{name}: {used - options} stand on the page, but are no options of pack")
        for link in re.findall(r"\]\(([^):#]+)\)", text):
            expect(os.path.exists(os.path.join(root, name, link)), f"{name}: the page has a link to {link}")
        for block in re.findall(r"```json\n(.*?)```", text, re.S):
            json.loads(block)
        path = os.path.join(root, name, "classes.json")
        if not os.path.exists(path) or name == "ade20k":  # whose page has no table of 150 rows
            continue
        for k, c in enumerate(json_table(path)["classes"]):
            color = lambda values: " ".join(map(str, values))
            if "ids" in c:
                row = f"| {k} | {c['ids'][0]} | {c['name']} | {color(c['color'])} |"
            else:
                names = c["$comment"].split(", ")
                row = f"| {k} | {c['name']} | {', '.join(f'{n} {color(v)}' for n, v in zip(names, c['label_colors'], strict=True))} |"
            expect(row in text, f"{name}: the page lacks the row {row}")


def tables(source, data):
    for name in "ade20k", "cityscapes", "camvid":
        table = json_table(os.path.join(source, "datasets", name, "classes.json"))
        classes, ignored = csv_table(name, data)
        found = [(c["name"], c["color"], c["ids"][0]) for c in table["classes"]]
        for mine, theirs in zip(found, classes):
            expect(mine == theirs, f"{name}: {mine}, the CSV file has {theirs}")
        expect(len(found) == len(classes), f"{name}: {len(found)} classes, the CSV file has {len(classes)}")
        expect(all(len(c["ids"]) == 1 for c in table["classes"]), f"{name}: a class has several ids")
        expect(sorted(table["ignore_ids"]) == sorted(ignored), f"{name}: ignored are {table['ignore_ids']}, expected {ignored}")
        expect(table["void_id"] in ignored, f"{name}: void_id")
        print(f"   {name}: {len(found)} classes as in its CSV file")


# ---- shards ----

def samples(folder):
    """(id, image bytes, label map or class, (height, width), the shard's attributes and class names) of every sample in order."""
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        with h5py.File(path, "r") as file:
            image, count, attributes = file["images"], len(file["id"]), dict(file.attrs)
            attributes["classes"] = texts(file["classes"][()] if "classes" in file else attributes["classes"])
            for i in range(count):
                begin, end = image["offset"][i:i + 2]
                if "class" in file["labels"]:
                    label = int(file["labels"]["class"][i])
                else:
                    first, last = file["labels"]["offset"][i:i + 2]
                    label = np.array(Image.open(io.BytesIO(file["labels"]["bytes"][first:last].tobytes())))
                yield file["id"][i].decode(), image["bytes"][begin:end].tobytes(), label, (file["height"][i], file["width"][i]), attributes


def texts(values):
    return [v.decode() if isinstance(v, bytes) else v for v in values]


def files_of(name, data, split, ident):
    root = os.path.join(data, name)
    if name == "ade20k":
        folder = {"train": "training", "val": "validation"}[split]
        return os.path.join(root, "images", folder, ident + ".jpg"), os.path.join(root, "annotations", folder, ident + ".png")
    city = ident.split("_")[0]
    return (os.path.join(root, "leftImg8bit", split, city, ident + "_leftImg8bit.png"),
            os.path.join(root, "gtFine", split, city, ident + "_gtFine_labelIds.png"))


def labels(name, folder, data, split):
    classes, ignored = csv_table(name, data)
    to = np.full(256, 254, np.uint8)  # what no table has
    to[ignored] = IGNORE
    for k, (_, _, own) in enumerate(classes):
        to[own] = k
    expected = sorted(os.path.basename(p) for p in glob.glob(files_of(name, data, split, "*")[0]) or
                      glob.glob(os.path.join(data, name, "leftImg8bit", split, "*", "*.png")))
    seen = []
    for ident, image, label, size, attributes in samples(folder):
        image_file, label_file = files_of(name, data, split, ident)
        seen.append(os.path.basename(image_file))
        source = np.array(Image.open(label_file))
        expect(label.shape == source.shape == size, f"{ident}: sizes {label.shape}, {source.shape}, {size}")
        expect((label == to[source]).all(), f"{ident}: the stored label is not the source's")
        with open(image_file, "rb") as file:
            expect(image == file.read(), f"{ident}: the stored image is not the source's file")
        if name == "cityscapes" and split == "train":
            train_ids = np.array(Image.open(label_file.replace("labelIds", "labelTrainIds")))
            expect((label == train_ids).all(), f"{ident}: the stored label is not the labelTrainIds file")
        expect(attributes["classes"] == [c[0] for c in classes], "class names")
        expect(attributes["colors"].tolist() == [c[1] for c in classes], "colours")
        expect(attributes["export_ids"][:len(classes)].tolist() == [c[2] for c in classes], "export_ids")
        expect(attributes["export_ids"][IGNORE] in ignored, "the exported void")
    expect(seen == expected and len(seen) > 0, f"samples {seen}, expected {expected}")
    print(f"   {name} {split}: {len(seen)} samples are the source's")


# ---- CamVid as published ----

def frames(data, split):
    name = {"train": "train.txt", "val": "val.txt", "test": "test_official_233.txt"}[split]
    with open(os.path.join(data, "camvid", name)) as file:
        return sorted(os.path.basename(line.split()[0])[:-4] for line in file if line.strip())


def color_table(path):
    """Label colours in the table's order with the class that each becomes."""
    table = json_table(path)
    pairs = [(tuple(color), k) for k, c in enumerate(table["classes"]) for color in c["label_colors"]]
    return pairs + [(tuple(color), IGNORE) for color in table["ignore_label_colors"]]


def colored(ident, pairs):
    """A small label map of all colours, beginning elsewhere for every frame."""
    start = sum(map(ord, ident))
    colors = [pairs[(start + i) % len(pairs)] for i in range(len(pairs))]
    return (np.array([c for c, _ in colors], np.uint8).reshape(4, -1, 3), np.array([k for _, k in colors], np.uint8).reshape(4, -1))


def original(root, table, data):
    pairs = color_table(table)
    expect(len(pairs) == len({c for c, _ in pairs}) == 32, f"{len(pairs)} label colours")
    for folder in STILLS, LABELED:
        os.makedirs(os.path.join(root, folder))
    count = 0
    for split in "train", "val", "test":
        for ident in frames(data, split):
            picture, _ = colored(ident, pairs)
            Image.fromarray(picture).save(os.path.join(root, STILLS, ident + ".png"))
            Image.fromarray(picture).save(os.path.join(root, LABELED, ident + "_L.png"))
            count += 1
    expect(count == 701, f"{count} frames in SegNet's lists")


def splits(folder, table, data, split):
    pairs, seen = color_table(table), []
    for ident, _, label, _, attributes in samples(folder):
        seen.append(ident)
        expect((label == colored(ident, pairs)[1]).all(), f"{ident}: the stored label is not the source's")
        expect(attributes["export_ids"][:11].tolist() == list(range(11)) and attributes["export_ids"][IGNORE] == 11, "export_ids")
    expect(seen == frames(data, split), f"{split}: {len(seen)} frames, not those of SegNet's list")
    print(f"   CamVid as published, {split}: {len(seen)} frames, those of SegNet's list")


# ---- classification, and folders of one's own ----

def classes(folder, root, names):
    names, seen = names.split(","), []
    for ident, image, label, _, attributes in samples(folder):
        seen.append(ident)
        expect(texts([attributes["task"]]) == ["classification"], "task")
        expect(attributes["classes"] == names, f"classes {texts(attributes['classes'])}")
        expect(names[label].split(" ")[0] == ident.split("/")[0], f"{ident}: class {label}")
        with open(os.path.join(root, ident + ".jpg"), "rb") as file:
            expect(image == file.read(), f"{ident}: the stored image is not the source's file")
    files = sorted(os.path.relpath(p, root)[:-4] for p in glob.glob(os.path.join(root, "*", "*.jpg")))
    expect(seen == files and len(seen) > 0, f"{len(seen)} samples, {len(files)} files")
    print(f"   {len(seen)} samples of {len(names)} classes")


def same(first, second):
    count = 0
    for a, b in zip(samples(first), samples(second), strict=True):
        expect((a[2] == b[2]).all() and a[2].shape == b[2].shape, f"{a[0]}, {b[0]}: different labels")
        expect(a[4]["classes"] == b[4]["classes"], "class names")
        count += 1
    expect(count > 0, "no samples")


if __name__ == "__main__":
    {"pages": pages, "tables": tables, "labels": labels, "original": original, "splits": splits, "classes": classes, "same": same}[sys.argv[1]](*sys.argv[2:])
