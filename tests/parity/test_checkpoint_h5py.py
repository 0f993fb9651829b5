"""The checkpoint format as another program reads it: with h5py, from the written description alone.

Trains two steps on a small synthetic set through the program (ENTRAIN_PROGRAM), then checks names, shapes, types and attributes of the
checkpoint, recomputes its checksum, and makes sure that the program refuses a file whose checksum is wrong and takes one with /model alone.
With an argument, checks that file only.
"""

import json
import os
import subprocess
import sys
import tempfile
import zlib

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (install python3-h5py)")
    sys.exit(77)

failures = []


def check(condition, message):
    if not condition:
        failures.append(message)
        print("FAILED:", message)


def text_of(attribute):
    return attribute.decode() if isinstance(attribute, bytes) else str(attribute)


def checksum(file):
    """CRC-32 in the order that the format's description gives."""
    a = file.attrs
    data = np.array([a["format_version"], a["step"]], "<i8").tobytes() + np.array(a["seed"], "<u8").tobytes()
    data += np.array(a["best_miou"], "<f8").tobytes()
    for name in ("entrain_version", "config", "dataset"):
        data += text_of(a.get(name, "")).encode() + b"\0"
    crc = zlib.crc32(data)
    for folder in ("/model", "/optimizer/momentum"):
        if folder not in file:
            continue
        for name in sorted(file[folder], key=str.encode):
            tensor = file[folder][name]
            head = f"{folder}/{name}".encode() + b"\0" + text_of(tensor.attrs.get("methods", "")).encode() + b"\0"
            head += np.array([tensor.ndim, *tensor.shape], "<u8").tobytes()
            crc = zlib.crc32(np.ascontiguousarray(tensor[()], "<f4").tobytes(), zlib.crc32(head, crc))
    return crc


def check_layer(model, layer, methods):
    """A norm layer's tensors: weight (K,C) with en's ratio tensors beside it."""
    k = len(methods)
    channels = model[layer + ".weight"].shape[-1]
    check(model[layer + ".weight"].shape == (k, channels), f"{layer}.weight has shape {model[layer + '.weight'].shape}, expected ({k},{channels})")
    check(model[layer + ".bias"].shape == (k, channels), f"{layer}.bias has shape {model[layer + '.bias'].shape}")
    check(text_of(model[layer + ".weight"].attrs.get("methods", "")) == ",".join(methods), f"{layer}.weight lacks methods {methods}")
    shapes = {"ratio.conv.weight": (channels,), "ratio.fc1.bias": (None,), "ratio.fc2.bias": (k,), "running_mean": (channels,), "running_var": (channels,)}
    for name, shape in shapes.items():
        tensor = model.get(f"{layer}.{name}")
        check(tensor is not None, f"{layer}.{name} is missing")
        if tensor is not None and None not in shape:
            check(tensor.shape == shape, f"{layer}.{name} has shape {tensor.shape}, expected {shape}")
    fc1, fc2 = model[layer + ".ratio.fc1.weight"].shape, model[layer + ".ratio.fc2.weight"].shape
    check(fc1[1] == k * k and fc1[0] % k == 0 and fc2 == (k, fc1[0]), f"{layer}: ratio.fc1.weight {fc1} and ratio.fc2.weight {fc2} do not fit K = {k}")


def check_file(path, step=None):
    with h5py.File(path, "r") as file:
        a = file.attrs
        for name in ("format_version", "step", "seed", "best_miou", "config", "entrain_version", "checksum"):
            check(name in a, f"root attribute {name} is missing")
        check(int(a["format_version"]) == 1, f"format_version is {a['format_version']}")
        if step is not None:
            check(int(a["step"]) == step, f"step is {a['step']}, expected {step}")
        config = json.loads(text_of(a["config"]))
        check(int(a["seed"]) == config["train"]["seed"], f"seed {a['seed']} is not the configuration's {config['train']['seed']}")
        model = file["/model"]
        check(all(model[name].dtype == np.dtype("<f4") for name in model), "a tensor is not float32")
        check(all(np.isfinite(model[name][()]).all() for name in model), "a tensor holds values that are not finite")
        check(all("." in name and name.split(".")[0] in ("backbone", "head", "aux") for name in model), "a tensor lies outside backbone., head. and aux.")
        check(model["backbone.conv1.weight"].shape == (64, 3, 7, 7), f"backbone.conv1.weight has shape {model['backbone.conv1.weight'].shape}")
        check(model["backbone.layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1), "backbone.layer2.0.downsample.0.weight has another shape")
        if config["norm"]["type"] == "en":
            for layer in ("backbone.bn1", "backbone.layer1.0.bn1", "backbone.layer2.0.downsample.1"):
                check_layer(model, layer, config["norm"]["methods"])
        momentum = file["/optimizer/momentum"]
        learned = {name for name in model if ".running_" not in name}
        check(set(momentum) == learned, f"momentum and learned tensors differ: {sorted(set(momentum) ^ learned)[:5]}")
        check(all(momentum[name].shape == model[name].shape for name in learned & set(momentum)), "a momentum has another shape than its tensor")
        check(any(np.any(momentum[name][()]) for name in momentum), "all momenta are zero")
        check(checksum(file) == int(a["checksum"]), f"checksum {int(a['checksum']):08x}, recomputed {checksum(file):08x}")
        return len(model), len(momentum)


def run(*arguments, expected=0):
    done = subprocess.run([os.environ["ENTRAIN_PROGRAM"], *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == expected, f"entrain {' '.join(map(str, arguments))}: exit code {done.returncode}, expected {expected}\n{done.stdout[-3000:]}")
    return done.stdout


def main():
    if len(sys.argv) > 1:
        print("%d tensors, %d momenta" % check_file(sys.argv[1]))
        return
    if not os.path.exists(os.environ.get("ENTRAIN_PROGRAM", "")):
        print("skipped: ENTRAIN_PROGRAM names no program")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        shards, result, config = (os.path.join(folder, name) for name in ("shards", "run", "config.json"))
        run("pack", "synthetic", "--split", "train", "--out", shards, "--images", 8)
        with open(config, "w") as f:
            json.dump({"task": "segmentation", "model": {"backbone": "resnet18", "output_stride": 16, "head": "fcn"},
                       "norm": {"type": "en", "methods": ["bn", "in", "ln"]},
                       "data": {"train": shards, "crop": [64, 64]},
                       "train": {"global_batch": 2, "iterations": 2, "seed": 11}}, f)
        run(config, "--out", result)
        if failures:
            return
        path = os.path.join(result, "checkpoints", "step-00000002.h5")
        with open(os.path.join(result, "checkpoints", "latest")) as f:
            check(f.read().strip() == "step-00000002.h5", "`latest` does not name the last step")
        print("%d tensors, %d momenta" % check_file(path, step=2))

        # weights alone, stored by h5py, are taken as initial weights
        alone = os.path.join(folder, "weights.h5")
        with h5py.File(path, "r") as source, h5py.File(alone, "w") as target:
            for name in source["/model"]:
                target[f"/model/{name}"] = source["/model"][name][()].astype("f8")
        run(config, "--set", f"model.init={alone}", "--set", "train.iterations=1", "--out", os.path.join(folder, "second"))

        # a changed value is noticed on resuming
        with h5py.File(path, "r+") as file:
            file["/optimizer/momentum/backbone.conv1.weight"][0, 0, 0, 0] += 1
        told = run(config, "--set", "train.iterations=3", "--out", result, "--resume", expected=4)
        check("checksum" in told and "step-00000002.h5" in told, f"the message names neither checksum nor file:\n{told[-1000:]}")


main()
sys.exit(1 if failures else 0)
