"""What the simulator counted: the file that CUSIM_TRAFFIC names (../sim/traffic.cpp), and the kernels' names in the program."""

import os
import subprocess
import tempfile
from dataclasses import dataclass, field

from compiled import short_name

WAYS = ("asked", "blocks", "distinct")


@dataclass
class Count:
    read: dict = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    written: dict = field(default_factory=lambda: dict.fromkeys(WAYS, 0))

    def both(self, way):
        return self.read[way] + self.written[way]


@dataclass
class Launch:
    kernel: str
    grid: tuple
    block: tuple
    shared: int
    areas: dict = field(default_factory=dict)  # name -> Count

    def threads(self):
        return self.block[0] * self.block[1] * self.block[2]

    def blocks(self):
        return self.grid[0] * self.grid[1] * self.grid[2]

    def bytes(self, way):
        return sum(area.both(way) for area in self.areas.values())


@dataclass
class Operation:
    name: str
    type: str
    shape: str
    elements: int
    launches: list = field(default_factory=list)

    def bytes(self, way):
        return sum(launch.bytes(way) for launch in self.launches)

    def map_bytes(self, area, way):
        """(read, written) of one map in all launches"""
        counts = [launch.areas[area] for launch in self.launches if area in launch.areas]
        return sum(c.read[way] for c in counts), sum(c.written[way] for c in counts)


def symbols(program):
    """{offset: kernel}"""
    text = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout
    out = {}
    for line in text.splitlines():
        address, kind, signature = (line.split(" ", 2) + [""] * 3)[:3]
        if kind in "tTwW" and address:
            out[int(address, 16)] = short_name(signature)
    return out


def parse(path, names):
    operations = []
    for line in open(path):
        kind, *rest = line.rstrip("\n").split("\t")
        if kind == "note":
            operations.append(Operation(rest[0], rest[1], rest[2], int(rest[3])))
        elif not operations:
            continue
        elif kind == "launch":
            code = int(rest[1].rsplit("+0x", 1)[1], 16)
            grid, block = (tuple(int(n) for n in text.split(",")) for text in rest[2:4])
            operations[-1].launches.append(Launch(names[code], grid, block, int(rest[4])))
        else:
            area = operations[-1].launches[-1].areas.setdefault(rest[0], Count())
            for i, way in enumerate(WAYS):
                area.read[way] += int(rest[1 + 2 * i])
                area.written[way] += int(rest[2 + 2 * i])
    return operations


def count(build):
    program = os.path.join(build, "tests/cuda/figures/figures_traffic")
    if not os.path.exists(program):
        raise SystemExit(f"{program}: not there. It is the target figures_traffic of a build with -DENTRAIN_CUDA_RACE=ON")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "traffic")
        environment = dict(os.environ, CUSIM_TRAFFIC=path)
        for name in ("CUSIM_LAZY", "CUSIM_SHUFFLE", "CUSIM_FAIL"):
            environment.pop(name, None)
        subprocess.run([program], env=environment, check=True)
        return parse(path, symbols(program))
