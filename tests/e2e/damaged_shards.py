"""
Ways to damage a shard: see damaged_files.py and damaged_hdf5.py for those that any file has; here are those that a shard alone can have, and how to
put a right checksum over wrong contents.
"""

import random
import struct
import zlib

import h5py
import numpy as np

from damaged_files import Map, Mutation, flips, runs, truncations
from damaged_hdf5 import any_attribute, any_dataset, attribute, change, exchange, numbers_of, put, swap

TABLES = ("height", "width", "crc32", "id")
OFFSETS = ("images/offset", "labels/offset")
BYTES = ("images/bytes", "labels/bytes")
ATTRIBUTES = ("format_version", "dataset", "split", "task", "classes", "colors", "export_ids", "ignore", "samples_total", "shard", "shards")
NUMBERS = ("format_version", "ignore", "samples_total", "shard", "shards")


def contents(path):
    """All that the layout says of a shard, in comparable form."""
    with h5py.File(path, "r") as file:
        found = {name: (str(file[name].dtype), file[name][()].tobytes()) for name in (*BYTES, *OFFSETS, *TABLES)}
        found.update({"@" + name: (str(np.asarray(file.attrs[name]).dtype), np.asarray(file.attrs[name]).tobytes()) for name in ATTRIBUTES})
    return found


# ---- right checksums over wrong contents ----


def samples_of(file, group):
    offset, data = file[group]["offset"][()], file[group]["bytes"][()]
    return [data[int(a):int(b)].tobytes() for a, b in zip(offset, offset[1:])]


def fill(path, contents_of):
    """Put other images (False, bytes) or labels (True, bytes) in the place of samples; the checksums are renewed."""
    with h5py.File(path, "r+") as file:
        stored = {group: samples_of(file, group) for group in ("images", "labels")}
        for i, (label, data) in contents_of.items():
            stored["labels" if label else "images"][i] = data
        for group, parts in stored.items():
            put(file, f"{group}/bytes", np.frombuffer(b"".join(parts), np.uint8))
            put(file, f"{group}/offset", np.cumsum([0] + [len(part) for part in parts], dtype=np.uint64))
        sums = [zlib.crc32(label, zlib.crc32(image)) for image, label in zip(stored["images"], stored["labels"])]
        put(file, "crc32", np.array(sums, np.uint32))
        seal(file)


def seal(file):
    """Renew the checksum over attributes and tables, where there is one."""
    if "tables_crc32" not in file.attrs:
        return
    maps = "labels/class" not in file
    names = file.attrs["classes"] if maps else file["classes"][()]
    a, number, text = file.attrs, lambda n: struct.pack("<q", int(n)), lambda t: bytes(t).rstrip(b"\0") + b"\0"
    parts = [*(text(a[name]) for name in ("dataset", "split", "task")), *(number(a[name]) for name in ("samples_total", "shard", "shards"))]
    parts += [number(len(names)), *(text(name) for name in names), *(a[name].tobytes() for name in ("colors", "export_ids") if maps)]
    labels = "labels/offset" if maps else "labels/class"
    parts += [number(len(file["height"])), *(file[name][()].tobytes() for name in ("images/offset", labels, "height", "width", "crc32"))]
    parts += [text(name) for name in file["id"]]
    attribute(file, "tables_crc32", np.int64(zlib.crc32(b"".join(parts))))


# ---- what may be wrong ----


def offsets_of(name):
    end = lambda f: int(f[name][-1])  # noqa: E731
    yield "not from 0", lambda f: change(f, name, 0, 1)
    yield "not ascending", lambda f: exchange(f, name, 1, 2)
    yield "beyond the end", lambda f: change(f, name, 1, end(f) + 1)
    yield "huge", lambda f: change(f, name, 1, 1 << 63)
    yield "the last short", lambda f: change(f, name, -1, end(f) - 1)
    yield "the last long", lambda f: change(f, name, -1, end(f) + 1)
    yield "the last 2^40", lambda f: change(f, name, -1, 1 << 40)
    yield "the last 2^64 - 1", lambda f: change(f, name, -1, (1 << 64) - 1)
    yield "all 0", lambda f: change(f, name, slice(None), 0)
    yield "negative", lambda f: put(f, name, -f[name][()].astype(np.int64))


def ids():
    as_texts = lambda f, text: put(f, "id", np.array([text] + list(f["id"][1:]), "S128"))  # noqa: E731
    yield "not ended", lambda f: as_texts(f, b"x" * 128)
    yield "too long", lambda f: put(f, "id", np.full(len(f["id"]), b"y" * 300))
    yield "with a line's end", lambda f: as_texts(f, b"a\nentrain: all good")
    yield "with colours for a terminal", lambda f: as_texts(f, b"\x1b[31mred\x07")
    yield "empty", lambda f: as_texts(f, b"")
    yield "leading out of its folder", lambda f: as_texts(f, b"../../etc/passwd")
    yield "an absolute path", lambda f: as_texts(f, b"/etc/passwd")
    yield "with bytes behind its end", lambda f: as_texts(f, b"a\0\xff\xff")
    yield "numbers", lambda f: put(f, "id", np.arange(len(f["id"])))


def sizes_of(name):
    for value in (0, -1, 1, 32769, (1 << 31) - 1, -(1 << 31)):
        yield f"the first {value}", lambda f, value=value: change(f, name, 0, value)


def values_of_attributes():
    for name in NUMBERS:
        for value in (-1, 5, 1 << 40, -(1 << 63)):
            yield f"{name} {value}", lambda f, name=name, value=value: attribute(f, name, np.int64(value))
        yield f"{name} 2^64 - 1", lambda f, name=name: attribute(f, name, np.uint64((1 << 64) - 1))
        yield f"{name} infinite", lambda f, name=name: attribute(f, name, np.inf)
        yield f"{name} half more", lambda f, name=name: attribute(f, name, float(f.attrs[name]) + 0.5)
        yield f"{name} as text", lambda f, name=name: attribute(f, name, np.bytes_(b"1"))
    for name in ("dataset", "split", "task"):
        yield f"{name} a number", lambda f, name=name: attribute(f, name, 7)
        yield f"{name} with control characters", lambda f, name=name: attribute(f, name, np.bytes_(b"a\n\x1b[2Jb"))
        yield f"{name} another", lambda f, name=name: attribute(f, name, np.bytes_(b"another"))
        yield f"{name} empty", lambda f, name=name: attribute(f, name, np.bytes_(b""))
    for count in (0, 1, 7, 9, 256, 1000):
        yield f"{count} classes", lambda f, count=count: attribute(f, "classes", np.full(count, b"x", "S64"))
    yield "classes with control characters", lambda f: attribute(f, "classes", np.full(8, b"\x1b[2J\n", "S64"))
    yield "classes of 300 characters", lambda f: attribute(f, "classes", np.full(8, b"z" * 300))
    yield "classes of variable length", lambda f: attribute(f, "classes", ["one"] * 8, dtype=h5py.string_dtype())
    yield "a class with another name", lambda f: attribute(f, "classes", np.append(f.attrs["classes"][:-1], b"other"))
    yield "colors turned round", lambda f: attribute(f, "colors", f.attrs["colors"].T)
    yield "a colour changed", lambda f: attribute(f, "colors", f.attrs["colors"] ^ np.uint8(1))
    yield "colors as floats", lambda f: attribute(f, "colors", f.attrs["colors"].astype(float))
    yield "export_ids as text", lambda f: attribute(f, "export_ids", np.full(256, b"1"))
    yield "export_ids one short", lambda f: attribute(f, "export_ids", f.attrs["export_ids"][:-1])
    yield "export_ids beyond a byte", lambda f: attribute(f, "export_ids", f.attrs["export_ids"].astype(np.int32) + 300)
    yield "export_ids turned round", lambda f: attribute(f, "export_ids", f.attrs["export_ids"][::-1])


def claim(file, group, bytes_claimed, sample):
    """A sample of as many bytes as claimed, none of them stored."""
    data, offset = file[group]["bytes"], file[group]["offset"][()]
    grown = bytes_claimed - int(offset[sample + 1] - offset[sample])
    data.resize((len(data) + grown,))
    offset[sample + 1:] += np.uint64(grown)
    put(file, f"{group}/offset", offset)


def flip_in(file, group, sample):
    begin, end = (int(x) for x in file[group]["offset"][sample:sample + 2])
    middle = (begin + end) // 2
    file[group]["bytes"][middle] ^= 4


def of_samples():
    """(what, change, sample): each concerns the pixels or the checksum of one sample."""
    for group in ("images", "labels"):
        for sample in range(3):
            yield f"{group}: a byte of sample {sample}", lambda f, g=group, i=sample: flip_in(f, g, i), sample
    for sample in range(3):
        yield f"checksum of sample {sample}", lambda f, i=sample: change(f, "crc32", i, int(f["crc32"][i]) ^ 1), sample
        yield f"height of sample {sample}", lambda f, i=sample: change(f, "height", i, f["height"][i] + 1), sample
        yield f"width of sample {sample}", lambda f, i=sample: change(f, "width", i, f["width"][i] - 1), sample
    yield "images/offset: a border moved", lambda f: change(f, "images/offset", 1, f["images/offset"][1] + 1), 0
    yield "labels/offset: a border moved", lambda f: change(f, "labels/offset", 2, f["labels/offset"][2] - 1), 1
    for group in ("images", "labels"):
        for claimed in (1 << 28, 1 << 31, 1 << 33, 1 << 42):
            yield f"{group}: sample 1 claims {claimed} bytes", lambda f, g=group, n=claimed: claim(f, g, n, 1), None


def swaps():
    pairs = [("images", "labels"), BYTES, OFFSETS, ("images/bytes", "images/offset"), ("height", "width"), ("height", "crc32"), ("width", "id"),
             ("height", "images/offset"), ("crc32", "labels/offset")]
    for a, b in pairs:
        yield f"{a} and {b} swapped", lambda f, a=a, b=b: swap(f, a, b)
    yield "all groups deleted", lambda f: [put(f, name) for name in ("images", "labels")]
    yield "checksums in another order", lambda f: exchange(f, "crc32", 0, 1)
    yield "ids in another order", lambda f: exchange(f, "id", 0, 1)


def edited(name, edit, sample=None, renew=False):
    def spoil(path):
        file = h5py.File(path, "r+")
        try:
            edit(file)
            if renew:
                seal(file)
        except (TypeError, ValueError, KeyError, OverflowError, struct.error):
            if not renew:  # what cannot be read has no checksum
                raise
        finally:
            file.close()
    return Mutation(name + (", checksum renewed" if renew else ""), spoil, sample, valid=renew and name in VALID)


# With its checksum renewed this is another shard, but a good one where it stands alone.
VALID = ("dataset another", "a class with another name", "a colour changed", "export_ids turned round", "ids in another order")


def of_datasets():
    for name in (*BYTES, *OFFSETS, *TABLES):
        yield from ((f"{name}: {what}", edit) for what, edit in any_dataset(name))
    for name in (*OFFSETS, "height", "width", "crc32"):
        yield from ((f"{name}: {what}", edit) for what, edit in numbers_of(name))


def of_attributes():
    for name in ATTRIBUTES:
        yield from ((f"attribute {name}: {what}", edit) for what, edit in any_attribute(name))


def of_values():
    families = [*((name, offsets_of(name)) for name in OFFSETS), *((name, sizes_of(name)) for name in ("height", "width")), ("id", ids())]
    for name, family in families:
        yield from ((f"{name}: {what}", edit) for what, edit in family)
    yield from values_of_attributes()
    yield from swaps()


def structural(lone):
    """What is wrong in itself must be found by itself: with the checksum renewed as well."""
    for what, edit in [*(() if lone else of_datasets()), *of_attributes(), *of_values()]:
        yield edited(what, edit)
    for what, edit in of_values():
        if lone or what not in VALID:
            yield edited(what, edit, renew=True)
    for what, edit, sample in of_samples():
        yield edited(what, edit, sample, renew=True)


def mutations(path, seed, lone=False):
    """All ways to damage the shard at path. lone: those that a shard without others beside it might get away with."""
    layout, draw = Map(path), random.Random(seed)
    found = [*flips(layout, draw, 150), *structural(lone)]
    return found if lone else [*truncations(layout, draw), *runs(layout, draw, 90), *found]


def of_classes():
    names = lambda f, text: put(f, "classes", np.array([text, *f["classes"][1:]], "S64"))  # noqa: E731
    for value in (-1, 3, 255, (1 << 31) - 1, -(1 << 31)):
        yield f"labels/class: the first {value}", lambda f, value=value: change(f, "labels/class", 0, value)
    yield "a class without name", lambda f: names(f, b"")
    yield "a class with control characters", lambda f: names(f, b"\x1b[31m\n")
    yield "a class whose name is not ended", lambda f: names(f, b"z" * 64)
    yield "too many classes", lambda f: put(f, "classes", np.full(5001, b"x", "S64"))
    yield "no classes", lambda f: put(f, "classes", np.zeros(0, "S64"))
    yield "labels/class and height swapped", lambda f: swap(f, "labels/class", "height")
    yield "segmentation, it says", lambda f: attribute(f, "task", np.bytes_(b"segmentation"))


def mutations_of_classes():
    """What shards for classification have instead of label maps."""
    for name in ("labels/class", "classes"):
        for what, edit in [*any_dataset(name), *(numbers_of(name) if name != "classes" else ())]:
            yield edited(f"{name}: {what}", edit)
    for what, edit in of_classes():
        yield edited(what, edit)
        yield edited(what, edit, renew=True)
