"""
Damage shards, or make unusual ones, as no packer would; all of it with h5py, from the written description of the format.
  shards.py flip FOLDER SAMPLE              change one bit in the middle of the sample's image; prints the file's name and the sample's id
  shards.py label FOLDER SAMPLE X Y VALUE   set one label, with a right checksum; prints the sample's id
  shards.py smaller FOLDER SAMPLE           cut the sample to half its height, with a right checksum
  shards.py rename FOLDER CLASS NAME        call a class by another name, in every shard
  shards.py outline FOLDER MARGIN           ignore the pixels within MARGIN of another class, as many data sets do
SAMPLE counts within the folder's first shard.
"""

import glob
import io
import os
import sys
import zlib

import h5py
import numpy as np
from PIL import Image

IGNORE = 255


def shards(folder):
    return sorted(glob.glob(os.path.join(folder, "*.h5")))


def sample_range(file, group, sample):
    begin, end = file[group]["offset"][sample:sample + 2]
    return int(begin), int(end)


def encoded(file, group, sample):
    begin, end = sample_range(file, group, sample)
    return file[group]["bytes"][begin:end].tobytes()


def decoded(file, group, sample):
    return np.array(Image.open(io.BytesIO(encoded(file, group, sample))))


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def replace(file, group, sample, data):
    """Put other encoded bytes in a sample's place; its checksum is renewed, the one over all tables dropped."""
    file.attrs.pop("tables_crc32", None)
    count = len(file["height"])
    parts = [data if i == sample else encoded(file, group, i) for i in range(count)]
    del file[group]["bytes"]
    file[group]["bytes"] = np.frombuffer(b"".join(parts), np.uint8)
    file[group]["offset"][...] = np.cumsum([0] + [len(part) for part in parts])
    file["crc32"][sample] = zlib.crc32(encoded(file, "labels", sample), zlib.crc32(encoded(file, "images", sample)))


def name_of(file, sample):
    return file["id"][sample].decode()


def flip(folder, sample):
    path, sample = shards(folder)[0], int(sample)
    with h5py.File(path, "r+") as file:
        begin, end = sample_range(file, "images", sample)
        middle = (begin + end) // 2
        file["images/bytes"][middle] ^= 16
        print(os.path.basename(path), name_of(file, sample))


def label(folder, sample, x, y, value):
    sample = int(sample)
    with h5py.File(shards(folder)[0], "r+") as file:
        labels = decoded(file, "labels", sample)
        labels[int(y), int(x)] = int(value)
        replace(file, "labels", sample, png(labels))
        print(name_of(file, sample))


def smaller(folder, sample):
    sample = int(sample)
    with h5py.File(shards(folder)[0], "r+") as file:
        half = file["height"][sample] // 2
        for group in ("images", "labels"):
            replace(file, group, sample, png(decoded(file, group, sample)[:half]))
        file["height"][sample] = half
        print(name_of(file, sample))


def rename(folder, number, name):
    for path in shards(folder):
        with h5py.File(path, "r+") as file:
            classes = file.attrs["classes"]
            classes[int(number)] = name.encode()
            file.attrs.pop("tables_crc32", None)
            file.attrs.modify("classes", classes)


def outlined(labels, margin):
    edge = np.zeros(labels.shape, bool)
    for dy in range(-margin, margin + 1):
        for dx in range(-margin, margin + 1):
            rows = np.clip(np.arange(labels.shape[0]) + dy, 0, labels.shape[0] - 1)
            columns = np.clip(np.arange(labels.shape[1]) + dx, 0, labels.shape[1] - 1)
            near = labels[rows][:, columns]
            edge |= (near != labels) & (near != IGNORE)
    return np.where(edge, np.uint8(IGNORE), labels)


def outline(folder, margin):
    for path in shards(folder):
        with h5py.File(path, "r+") as file:
            for sample in range(len(file["height"])):
                replace(file, "labels", sample, png(outlined(decoded(file, "labels", sample), int(margin))))


if __name__ == "__main__":
    {"flip": flip, "label": label, "smaller": smaller, "rename": rename, "outline": outline}[sys.argv[1]](*sys.argv[2:])
