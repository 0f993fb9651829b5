"""
What `entrain bench --json` wrote holds together: the parts add up to the step, nothing is negative, and the memory that was planned is what the
process came to use.
usage: bench.py FILE NORM PRECISION RANKS
"""
import json
import sys

SLACK_MIB = 64  # what no plan knows of: libraries, generated code, HDF5, MPI


def main(path, norm, precision, ranks):
    with open(path) as file:
        found = json.load(file)
    faults = []
    for key, value in {"program": "entrain", "norm": norm, "precision": precision, "ranks": int(ranks), "images": 4, "steps": 3}.items():
        if found[key] != value:
            faults.append(f"{key} is {found[key]}, expected {value}")
    step, parts = found["step_ms"], {part["name"]: part for part in found["parts"]}
    if not 0 < step["min"] <= step["median"] <= step["max"]:
        faults.append(f"step_ms: {step}")
    total = sum(part["ms"] for part in parts.values())
    if not step["min"] <= total * (1 + 1e-6) or not total <= step["max"] * (1 + 1e-6):  # it is their mean
        faults.append(f"the parts add up to {total} ms, steps took {step}")
    if any(part["ms"] < 0 for part in parts.values()):
        faults.append(f"negative parts: {parts}")
    kernels = [parts[f"convolution {name}"]["floor_ms"] for name in ("forward", "backward, data", "backward, weights")]
    if abs(sum(kernels) - found["bare_convolutions_ms"]) > 1e-6 * sum(kernels) or min(kernels) <= 0:
        faults.append(f"kernels {kernels}, together {found['bare_convolutions_ms']}")
    planned, used = found["plan_mib"], found["peak_mib"] - found["before_mib"]
    if not 0.9 * planned <= used <= planned + SLACK_MIB:
        faults.append(f"planned {planned:.1f} MiB, used {used:.1f} MiB")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
