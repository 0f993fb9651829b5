"""
Ways to damage a file byte by byte: cut off, bits flipped, stretches overwritten. Each is a Mutation; all of them are drawn from a seed, so that
a failure can be repeated by its name.
"""

import os

import h5py
import numpy as np

SUPERBLOCK = 48


class Mutation:
    """spoil(path) damages the file there. sample: the one it concerns, if just one. lenient: it may hit what nobody reads. valid: no damage."""

    def __init__(self, name, spoil, sample=None, lenient=False, valid=False):
        self.name, self.spoil, self.sample, self.lenient, self.valid = name, spoil, sample, lenient, valid


class Map:
    """Where in the file which sample's bytes lie, and which parts nobody reads."""

    def __init__(self, path):
        self.samples, self.unused = [], []
        with h5py.File(path, "r") as file:
            for group in ("images", "labels"):
                data, offset = file[group]["bytes"], file[group]["offset"][()]
                chunk = data.chunks[0]
                assert data.id.get_num_chunks() == 1
                start = data.id.get_chunk_info(0).byte_offset
                self.samples += [(start + int(a), start + int(b), i) for i, (a, b) in enumerate(zip(offset, offset[1:]))]
                self.unused.append((start + len(data), start + chunk))
        self.size = os.path.getsize(path)
        inside = np.ones(self.size, bool)
        for begin, end in self.unused:
            inside[begin:end] = False
        self.used = np.flatnonzero(inside)
        for begin, end, _ in self.samples:
            inside[begin:end] = False
        self.structure = np.flatnonzero(inside)

    def sample_at(self, at):
        return next((i for begin, end, i in self.samples if begin <= at < end), None)


def overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def peek(path, at, count):
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(count)


def truncations(layout, draw):
    lengths = [0, 1, 4, 7, 8, 9, 12, 20, SUPERBLOCK - 1, SUPERBLOCK, SUPERBLOCK + 1, 96, 512, 1024, 2048, 4096, layout.size // 2, layout.size - 1]
    lengths += [draw.randrange(layout.size) for _ in range(8)] + [layout.size - draw.randrange(2, 4096) for _ in range(4)]
    for length in lengths:
        yield Mutation(f"cut to {length} bytes", lambda path, length=length: os.truncate(path, length))


def flips(layout, draw, count):
    for i in range(count):
        at, bit = int(draw.choice(layout.structure if i % 3 < 2 else layout.used)), draw.randrange(8)

        def spoil(path, at=at, bit=bit):
            overwrite(path, at, bytes([peek(path, at, 1)[0] ^ 1 << bit]))
        sample = layout.sample_at(at)
        yield Mutation(f"bit {bit} of byte {at} flipped", spoil, sample, lenient=sample is None)


def runs(layout, draw, count):
    for i in range(count):
        at, length = int(draw.choice(layout.structure if i % 2 else layout.used)), draw.choice((2, 4, 8, 16, 64, 512, 4096))
        kind = draw.choice(("zeros", "ones", "noise", "a copy of other bytes", "the end cut out"))
        data = {"zeros": bytes(length), "ones": b"\xff" * length, "noise": draw.randbytes(length)}.get(kind)
        other = int(draw.choice(layout.structure))

        def spoil(path, at=at, length=length, data=data, kind=kind, other=other):
            size = os.path.getsize(path)
            if kind == "the end cut out":  # everything behind moves forward; the file keeps its length
                data = peek(path, at + length, size)[:size - at] + bytes(min(length, size - at))
            data = peek(path, other, length) if data is None else data
            overwrite(path, at, data[:size - at])
        yield Mutation(f"{length} bytes at {at}: {kind}" + (f" ({other})" if kind.startswith("a copy") else ""), spoil, lenient=True)
