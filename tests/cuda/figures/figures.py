#!/usr/bin/env python3
"""Writes ../FIGURES.md, or with --check says whether it still tells the truth. See the document's head for what it is."""

import argparse
import concurrent.futures
import os
import re
import sys
import textwrap

import compiled
import counted
from operations import MINIMA, MOST, reason

DOCUMENT = os.path.join(compiled.SOURCE, "tests/cuda/FIGURES.md")
COMMAND = """cmake -S . -B build-race -DENTRAIN_CUDA=SIMULATE -DENTRAIN_CUDA_RACE=ON
cmake --build build-race -j2 --target figures_traffic
tests/cuda/figures/figures.py --build build-race"""
BANDWIDTHS = {"A100": 1555e9, "H100": 3350e9}
ELEMENT = {"float32": 4, "bfloat16": 2}
ENGINE_MAPS = ("x", "dy", "y", "residual", "dx", "dresidual")
TOLERANCE = 0.02  # how much more than the document says is still the same; compilers differ in what they load again
SKIPPED = 77


def is_engine(operation):
    return ", ReLU" in operation.name


def gigabytes(gpu):
    return f"{BANDWIDTHS[gpu] / 1e9:.0f}"


def table(head, rows):
    """head: column titles; those that begin with > are numbers."""
    lines = ["| " + " | ".join(h.lstrip(">") for h in head) + " |", "|" + "|".join("--:" if h[0] == ">" else "---" for h in head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def code(name):
    return "`" + name.replace("__nv_bfloat16", "bf16") + "`"


def per_element(value, operation):
    return f"{value / operation.elements:.3f}"


# ---- tables ----


def launch_questions(operations, kernels):
    return [
        (gpu, kernels[gpu][launch.kernel].registers, kernels[gpu][launch.kernel].shared, launch.shared, launch.threads())
        for operation in operations
        for launch in operation.launches
        for gpu in compiled.GPUS
    ]


def kernel_rows(operations, kernels, answers):
    rows, seen, answers = [], set(), iter(answers)
    for operation in operations:
        for launch in operation.launches:
            both = [kernels[gpu][launch.kernel] for gpu in compiled.GPUS]
            occupied = [next(answers) for _ in compiled.GPUS]
            cells = [code(launch.kernel), f"{launch.blocks()} x {launch.threads()}", " / ".join(str(kernel.registers) for kernel in both)]
            cells += [f"{both[0].shared} + {launch.shared}", " / ".join(f"{100 * share:.0f} %" for share, _, _ in occupied)]
            cells += [per_element(launch.bytes(way), operation) for way in counted.WAYS]
            if tuple(cells) not in seen:
                rows.append([operation.name, operation.type] + cells)
            seen.add(tuple(cells))
    return rows


KERNEL_HEAD = ["operation", "type", "kernel", ">blocks x threads", ">registers", ">shared bytes", ">occupancy"]
KERNEL_HEAD += [">asked", ">blocks", ">distinct"]


def operation_rows(operations):
    rows = []
    for operation in operations:
        minimum = MINIMA[operation.name]
        least = minimum.each(ELEMENT[operation.type])
        each = {way: operation.bytes(way) / operation.elements for way in counted.WAYS}
        rows.append(
            [operation.name, operation.type, operation.shape, minimum.words, f"{least:.3f}"]
            + [f"{each[way]:.3f}" for way in counted.WAYS]
            + [f"{each[way] / least:.3f}" for way in ("blocks", "distinct")]
        )
    return rows


OPERATION_HEAD = ["operation", "type", "shape", "the least", ">bytes", ">asked", ">blocks", ">distinct"]
OPERATION_HEAD += [">blocks / least", ">distinct / least"]


def time_rows(operations):
    rows = []
    for operation in operations:
        minimum = MINIMA[operation.name]
        shape, count = minimum.real
        each = [minimum.each(ELEMENT[operation.type])] + [operation.bytes(way) / operation.elements for way in ("distinct", "blocks")]
        times = [" / ".join(f"{bytes_each * count / rate * 1e6:.0f}" for bytes_each in each) for rate in BANDWIDTHS.values()]
        rows.append([operation.name, operation.type, shape] + times)
    return rows


TIME_HEAD = ["operation", "type", "shape"] + [">" + gpu for gpu in BANDWIDTHS]


def engine_rows(operations):
    rows = []
    for operation in filter(is_engine, operations):
        whole = operation.elements * ELEMENT[operation.type]
        row, maps = [operation.name, operation.type], 0
        for area in ENGINE_MAPS:
            both = [operation.map_bytes(area, way) for way in ("asked", "blocks", "distinct")]
            maps += sum(both[1])
            row.append("" if not sum(both[0]) else " / ".join(f"{sum(b) / whole:.3f}" for b in both))
        rows.append(row + [per_element(operation.bytes("blocks") - maps, operation)])
    return rows


ENGINE_HEAD = ["operation", "type"] + [">" + name for name in ENGINE_MAPS] + [">bytes besides maps"]


def appendix_rows(kernels):
    rows = []
    for name in sorted(set(kernels["sm_80"]) | set(kernels["sm_90"]), key=lambda n: (kernels["sm_80"][n].file, n)):
        both = [kernels[gpu][name] for gpu in compiled.GPUS]
        rows.append(
            [both[0].file, code(name), " / ".join(str(k.registers) for k in both), " / ".join(str(k.shared) for k in both)]
            + [" / ".join(str(k.stack) for k in both), " / ".join(str(k.spilled) for k in both)]
        )
    return rows


APPENDIX_HEAD = ["file", "kernel", ">registers", ">static shared bytes", ">stack bytes", ">bytes spilled"]


# ---- the document ----


def reasons_text(operations):
    lines, seen = [], set()
    for operation in operations:
        least = MINIMA[operation.name].each(ELEMENT[operation.type])
        if operation.bytes("blocks") / operation.elements <= MOST * least:
            continue
        text = reason(operation.name)
        if text is None:
            raise SystemExit(f"operations.py does not say why {operation.name} ({operation.type}) moves more than {MOST} times its least")
        if text not in seen:
            lines.append(textwrap.fill(f"- **{operation.name.split(',')[0]}.** {text}", 140, subsequent_indent="  "))
        seen.add(text)
    return "\n".join(lines) + "\n"


def occupancy_text(operations, kernels, answers):
    lines, seen, answers = [], set(), iter(answers)
    for operation in operations:
        for launch in operation.launches:
            for gpu in compiled.GPUS:
                share, blocks, limit = next(answers)
                if share >= 0.25 or (launch.kernel, gpu) in seen:
                    continue
                seen.add((launch.kernel, gpu))
                registers = kernels[gpu][launch.kernel].registers
                lines.append(
                    f"- {code(launch.kernel)} on {gpu}: {100 * share:.0f} %, {blocks} blocks of {launch.threads()} threads a "
                    f"multiprocessor, limited by {limit} ({registers} registers a thread)."
                )
    return "\n".join(lines or ["None."]) + "\n"


def document(operations, kernels, answers, version):
    counts = sum(len(kernels[gpu]) for gpu in compiled.GPUS[:1])
    return f"""# Figures on paper

What each kernel of the CUDA backend takes of a GPU, and what it moves. Written by a script, not by hand:
```
{COMMAND}
```
**Not run on a GPU.** Registers and shared memory are what the compiler says (nvcc {version}), occupancy is what NVIDIA's calculator
(`cuda_occupancy.h`) makes of them, and bytes are counted while the kernels are executed in simulation (`CUSIM_TRAFFIC`, see
[README.md](README.md)). Times are bounds by bandwidth, not measurements. The test `cuda.figures` compares this page with the sources.

## How bytes are counted
Bytes of the device's memory, read and written together, for one element of the operation's larger map (a label pixel for the loss, a
parameter for SGD); shared memory and kernels' parameters are not among them. Three counts, of which the truth lies between the last two:

- **asked**: what threads load and store, each for itself. Threads that read the same number each count: this is what the first caches see
  at most.
- **blocks**: bytes that a block touches, each once, summed over blocks. The memory's part if a block's rereads come from its
  multiprocessor's cache, and nothing that another block read is still in the L2 cache.
- **distinct**: bytes that a launch touches, each once. The memory's part if every reread comes from a cache.

The least an operation can move is its maps read and written once by each pass that needs them. What belongs to channels (coefficients,
moments, partial sums) is not in it: a block of the engine moves 28 bytes of it a channel forward and 48 backward, whatever its number of
rows. The small maps that are counted here give a block 40 or 72 rows; on 16x97x97x512 it has 288 (144 in bfloat16), where these bytes are
less than 1 % of the maps' in float32 and about 3 % in bfloat16.
The simulator's compiler is g++: where nvcc keeps in a register what g++ loads again, or the other way round, `asked` differs from a GPU's.

## The engine
How often each map is read or written by all kernels of the layer together: asked / blocks / distinct, in whole maps. In training forward
reads X twice and writes Y once, backward reads g (dy) and X twice and writes dX once. The first pass over X also looks at one row more a
thread, from the cache: its own first row, and the image's first.

{table(ENGINE_HEAD, engine_rows(operations))}
## Operations
Bytes for one element, over all kernels of the operation.

{table(OPERATION_HEAD, operation_rows(operations))}
### More than {MOST} times the least
{reasons_text(operations)}
## Expected times
Microseconds for a size that the operation has in training, at the memory's full bandwidth: A100 (40 GB) {gigabytes("A100")} GB/s, H100
(SXM) {gigabytes("H100")} GB/s. Least / distinct / blocks: the least from above, and the two counts of memory's part, as they were for an
element of the small shape. No kernel reaches all of the bandwidth, a launch takes a few microseconds whatever it moves, and maps that fit
into the L2 cache (40 and 50 MB) can be faster; arithmetic is not in it.

{table(TIME_HEAD, time_rows(operations))}
## Kernels
Launches of the operations above, at the same shapes: registers of a thread and occupancy for sm_80 / sm_90; shared memory a block, static
+ dynamic; bytes for one element of the operation's map. A launch that is as in a row above it has no row of its own. Where occupancy is
25 %, a multiprocessor still holds 16 warps; kernels of one or a few blocks do not depend on it.

{table(KERNEL_HEAD, kernel_rows(operations, kernels, answers))}
### Occupancy under 25 %
{occupancy_text(operations, kernels, answers)}
## Every kernel that is compiled
{counts} kernels, sm_80 / sm_90.

{table(APPENDIX_HEAD, appendix_rows(kernels))}"""


# ---- checking ----


def read_tables(text):
    """{titles of a table: its rows, lists of cells}"""
    tables, head = {}, None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else None
        if cells is None:
            head = None
        elif head is None:
            head = tuple(cells)
            tables.setdefault(head, [])
        elif not line.startswith("|--"):
            tables[head].append(cells)
    return tables


def numbers(cell):
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", cell)]


def compare_counts(title, head, keys, old_rows, new_rows, faults, notes):
    """keys: how many first cells name a row; the columns after them that are counts must not have grown."""
    old = {}
    for row in old_rows:
        old.setdefault(tuple(row[:keys]), row)
    for row in new_rows:
        key = tuple(str(cell) for cell in row[:keys])
        if key not in old:
            faults.append(f"{title}: not in the document: {', '.join(key)}")
            continue
        for column, before, now in zip(head[keys:], old[key][keys:], row[keys:]):
            before, now = numbers(before), numbers(str(now))
            if len(before) != len(now):
                faults.append(f"{title}: {', '.join(key)}: {column} differs in form")
            elif any(n > b * (1 + TOLERANCE) + 0.002 for b, n in zip(before, now)):
                faults.append(f"{title}: {', '.join(key)}: {column.lstrip('>')} was {before}, is {now}")
            elif any(n < b * (1 - TOLERANCE) - 0.002 for b, n in zip(before, now)):
                notes.append(f"{title}: {', '.join(key)}: {column.lstrip('>')} was {before}, is now less: {now}")
    gone = set(old) - {tuple(str(cell) for cell in row[:keys]) for row in new_rows}
    faults.extend(f"{title}: in the document alone: {', '.join(key)}" for key in sorted(gone))


def check(operations, kernels, version):
    with open(DOCUMENT) as f:
        text = f.read()
    tables = read_tables(text)

    def find(head):
        return tables.get(tuple(h.lstrip(">") for h in head), [])

    faults, notes = [], []
    compare_counts("the engine", ENGINE_HEAD, 2, find(ENGINE_HEAD), engine_rows(operations), faults, notes)
    compare_counts("operations", OPERATION_HEAD, 4, find(OPERATION_HEAD), operation_rows(operations), faults, notes)
    documented = re.search(r"nvcc (\d+\.\d+\.\d+)", text).group(1)
    old, new = ({row[1]: row for row in rows} for rows in (find(APPENDIX_HEAD), appendix_rows(kernels)))
    faults.extend(f"kernel {name} is not in the document" for name in sorted(set(new) - set(old)))
    faults.extend(f"kernel {name} is in the document alone" for name in sorted(set(old) - set(new)))
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            (faults if documented == version else notes).append(f"kernel {name}: document {old[name][2:]}, compiler {new[name][2:]}")
    compiled_names = {re.split("<", name.strip("`"))[0] for name in new}
    faults.extend(f"{name} of the sources is never compiled" for name in sorted(compiled.declared() - compiled_names))
    launched = {launch.kernel.split("<")[0] for operation in operations for launch in operation.launches}
    faults.extend(f"no operation of traffic.c launches {name}" for name in sorted(compiled.declared() - launched))
    for note in notes:
        print("note:", note)
    for fault in faults:
        print("FAULT:", fault)
    print(f"{len(new)} kernels, {len(operations)} operations, {len(faults)} faults; document: nvcc {documented}, here: nvcc {version}")
    if faults:
        print("If the sources are right, write tests/cuda/FIGURES.md again:\n" + COMMAND)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="folder of a build with -DENTRAIN_CUDA=SIMULATE -DENTRAIN_CUDA_RACE=ON")
    parser.add_argument("--check", action="store_true", help="compare the document with the sources; status 1 where they differ")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    arguments = parser.parse_args()
    nvcc = compiled.find_nvcc()
    if nvcc is None:
        print("SKIP: no nvcc, which says how many registers kernels take")
        return SKIPPED
    version = compiled.nvcc_version(nvcc)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        counting = beside.submit(counted.count, arguments.build)
        kernels = compiled.compile_all(nvcc, 1 if arguments.jobs < 3 else arguments.jobs - 1)
        operations = counting.result()
    if arguments.check:
        return check(operations, kernels, version)
    answers = compiled.occupancies(nvcc, launch_questions(operations, kernels))
    with open(DOCUMENT, "w") as f:
        f.write(document(operations, kernels, answers, version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
