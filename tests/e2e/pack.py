"""
What `entrain pack` and `entrain unpack` leave, read by another program with h5py, PIL and numpy alone.
  pack.py unpacked NAME FOLDER DATA SPLIT   images are the source's files; label maps are the source's, with the void id where it is ignored
  pack.py trainids FOLDER DATA SPLIT        Cityscapes: label maps of --train-ids equal labelIds under labels.csv, and labelTrainIds files
  pack.py payload SHARDS SHARDS             two folders hold the same samples: ids, bytes, sizes, classes (the shards may be cut differently)
  pack.py checksum SHARDS                   the attribute tables_crc32 is what the description of the format says
  pack.py source ROOT                       make photos of many sizes as JPEG and PNG, and label maps: images/ and labels/
  pack.py resized SHARDS ROOT SIDE VALUE CODEC   sizes and pixels are Pillow's: SIDE is max or short; CODEC keep, png or jpeg
"""

import csv
import glob
import io
import os
import sys
import zlib

import h5py
import numpy as np
from PIL import Image

IGNORE = 255


def expect(condition, message):
    if not condition:
        sys.exit(message)


def pixels(path):
    return np.array(Image.open(path))


def data_of(path):
    with open(path, "rb") as file:
        return file.read()


# ---- unpacked files ----

def sources(name, data, split):
    """(id, image file, label file) of every sample."""
    root = os.path.join(data, name)
    if name == "camvid":
        pattern, label = os.path.join(root, split, "*.png"), lambda p, i: os.path.join(root, split + "annot", i + ".png")
    elif name == "ade20k":
        folder = {"train": "training", "val": "validation"}[split]
        pattern = os.path.join(root, "images", folder, "*.jpg")
        label = lambda p, i: os.path.join(root, "annotations", folder, i + ".png")
    else:
        pattern = os.path.join(root, "leftImg8bit", split, "*", "*.png")
        label = lambda p, i: os.path.join(root, "gtFine", split, os.path.basename(os.path.dirname(p)), i + "_gtFine_labelIds.png")
    for path in sorted(glob.glob(pattern)):
        ident = os.path.splitext(os.path.basename(path))[0].replace("_leftImg8bit", "")
        yield ident, path, label(path, ident)


def cityscapes_trainids(data):
    to = np.full(256, IGNORE, np.uint8)
    with open(os.path.join(data, "cityscapes", "labels.csv"), newline="") as file:
        for row in csv.DictReader(file):
            if int(row["id"]) >= 0:
                to[int(row["id"])] = int(row["trainId"])
    return to


def expected_label(name, source, data):
    """What unpacking must give back: ignored ids have become the one void id."""
    if name == "cityscapes":
        return np.where(cityscapes_trainids(data)[source] == IGNORE, 0, source)
    return source  # ADE20K ignores 0 alone, CamVid 11 alone


def unpacked(name, folder, data, split):
    count = 0
    for ident, image, label in sources(name, data, split):
        expect(data_of(image) == data_of(os.path.join(folder, "images", ident + os.path.splitext(image)[1])), f"{ident}: the image's file")
        mine = Image.open(os.path.join(folder, "labels", ident + ".png"))
        expect(mine.mode == "L", f"{ident}: the label map has mode {mine.mode}")
        wanted = expected_label(name, pixels(label), data)
        expect(mine.size == (wanted.shape[1], wanted.shape[0]), f"{ident}: size {mine.size}")
        expect((np.array(mine) == wanted).all(), f"{ident}: the label map is not the source's")
        count += 1
    files = len(glob.glob(os.path.join(folder, "*", "*")))
    expect(count > 0 and files == 2 * count, f"{count} samples, but {files} files")
    print(f"   {count} samples of {name} {split} came back")


def trainids(folder, data, split):
    to, with_file = cityscapes_trainids(data), 0
    for ident, _, label in sources("cityscapes", data, split):
        mine = pixels(os.path.join(folder, "labels", ident + ".png"))
        expect((mine == to[pixels(label)]).all(), f"{ident}: not labelIds under labels.csv")
        theirs = label.replace("labelIds", "labelTrainIds")
        if ident.startswith("aachen") and os.path.exists(theirs):  # the other pair's maps were made smaller apart and differ a little
            expect((mine == pixels(theirs)).all(), f"{ident}: not its labelTrainIds file")
            with_file += 1
    expect(split != "train" or with_file == 4, f"{with_file} labelTrainIds files compared")


# ---- shards ----

def samples(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        with h5py.File(path, "r") as file:
            for i, ident in enumerate(file["id"][()]):
                stored = [ident.decode(), int(file["height"][i]), int(file["width"][i]), int(file["crc32"][i])]
                stored += [int(file[name][i]) for name in ("source_height", "source_width", "labels/class") if name in file]
                for group in ("images", "labels"):
                    if "bytes" in file[group]:
                        begin, end = file[group]["offset"][i:i + 2]
                        stored.append(file[group]["bytes"][begin:end].tobytes())
                yield stored


def payload(one, other):
    a, b = list(samples(one)), list(samples(other))
    expect(len(a) == len(b) > 0, f"{len(a)} and {len(b)} samples")
    for x, y in zip(a, b):
        expect(x == y, f"{x[:4]} and {y[:4]} differ")


def tables_sum(file):
    """A crc32 over: dataset, split, task, each ended by a zero; samples_total, shard, shards and the number of classes as int64; the class
    names, each ended by a zero; colors and export_ids of label maps; the number of samples as int64; the tables in this order; the ids, each
    ended by a zero. All numbers are little-endian."""
    attributes, label_maps = file.attrs, "class" not in file["labels"]
    names = attributes["classes"] if label_maps else file["classes"][()]
    parts = [attributes[name] + b"\0" for name in ("dataset", "split", "task")]
    parts.append(np.array([attributes[name] for name in ("samples_total", "shard", "shards")] + [len(names)], "<i8").tobytes())
    parts += [name + b"\0" for name in names]
    if label_maps:
        parts += [attributes["colors"].tobytes(), attributes["export_ids"].tobytes()]
    parts.append(np.array([len(file["id"])], "<i8").tobytes())
    for name, kind in (("images/offset", "<u8"), ("labels/offset", "<u8"), ("labels/class", "<i4"), ("height", "<i4"), ("width", "<i4"),
                       ("source_height", "<i4"), ("source_width", "<i4"), ("crc32", "<u4")):
        if name in file:
            parts.append(file[name][()].astype(kind).tobytes())
    parts += [ident + b"\0" for ident in file["id"][()]]
    return zlib.crc32(b"".join(parts))


def checksum(folder):
    paths = glob.glob(os.path.join(folder, "*.h5"))
    expect(paths, "no shards")
    for path in paths:
        with h5py.File(path, "r") as file:
            expect(file.attrs["tables_crc32"] == tables_sum(file), f"{path}: tables_crc32")


# ---- resizing ----

SIZES = [(97, 131), (131, 97), (64, 64), (30, 200), (200, 31), (40, 40), (123, 77), (301, 299)]


def photo(rng, height, width):
    """Soft colours, hard edges and noise: each of them shows another mistake."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([128 + 127 * np.sin(x / 9.0 + c) * np.cos(y / (5.0 + c)) for c in range(3)], 2)
    image[height // 3:height // 2, width // 4:width // 2] = [255, 0, 255]
    return np.clip(image + rng.normal(0, 25, image.shape), 0, 255).astype(np.uint8)


def source(root):
    rng = np.random.default_rng(5)
    for folder in ("images", "labels"):
        os.makedirs(os.path.join(root, folder))
    for i, (height, width) in enumerate(SIZES):
        image = Image.fromarray(photo(rng, height, width))
        image.save(os.path.join(root, "images", f"photo{i}" + (".jpg" if i % 2 else ".png")), quality=92)
        label = Image.fromarray(rng.integers(0, 3, (height, width), dtype=np.uint8))
        label.save(os.path.join(root, "labels", f"photo{i}.png"))


def target(size, side, value):
    measure = max(size) if side == "max" else min(size)
    if value >= measure:
        return size
    return tuple(max(1, (2 * n * value + measure) // (2 * measure)) for n in size)


def nearest(label, size):
    """In whole numbers: Pillow adds up fractions, and where a centre lies between two pixels it takes now one, now the other."""
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size[::-1], label.shape))
    return label[rows][:, columns]


def resized(folder, root, side, value, codec):
    largest = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        with h5py.File(path, "r") as file:
            for i, ident in enumerate(file["id"][()]):
                image_file = glob.glob(os.path.join(root, "images", ident.decode() + ".*"))[0]
                image, label = Image.open(image_file), Image.open(os.path.join(root, "labels", ident.decode() + ".png"))
                size = target(image.size, side, int(value))
                changed = size != image.size
                parts = {}
                for group in ("images", "labels"):
                    begin, end = file[group]["offset"][i:i + 2]
                    parts[group] = file[group]["bytes"][begin:end].tobytes()
                mine = Image.open(io.BytesIO(parts["images"]))
                expect(mine.size == size == (file["width"][i], file["height"][i]), f"{ident}: {mine.size}, expected {size}")
                if "source_width" in file:
                    expect((file["source_width"][i], file["source_height"][i]) == image.size, f"{ident}: the source's size")
                wanted_format = {"png": "PNG", "jpeg": "JPEG", "keep": image.format}[codec]
                expect(mine.format == wanted_format, f"{ident}: {mine.format}, expected {wanted_format}")
                stored = np.array(Image.open(io.BytesIO(parts["labels"])))
                expect((stored == nearest(np.array(label), size)).all(), f"{ident}: labels are not those under the pixels' centres")
                if not changed and codec == "keep":
                    expect(parts["images"] == data_of(image_file), f"{ident}: the bytes were not kept")
                wanted = np.array(image.convert("RGB").resize(size, Image.LANCZOS)).astype(int)
                difference = np.abs(np.array(mine).astype(int) - wanted)
                if mine.format == "PNG":  # a JPEG source may be decoded a little differently by another libjpeg
                    largest = max(largest, difference.max())
                    expect(difference.max() <= 1, f"{ident}: differs from Pillow's by {difference.max()}")
                else:
                    expect(difference.mean() < 8, f"{ident}: differs from Pillow's by {difference.mean():.1f} on average")
    print(f"   --{side} {value}, {codec}: largest difference to Pillow's LANCZOS: {largest}")


if __name__ == "__main__":
    {"unpacked": unpacked, "trainids": trainids, "payload": payload, "checksum": checksum, "source": source,
     "resized": resized}[sys.argv[1]](*sys.argv[2:])
