"""
What the parity tests share: the dependencies' check, the built program, shards and configurations for it, and the tables of figures.
Import this before torch: without PyTorch or h5py it ends the test as skipped (exit code 77).
  ENTRAIN_PROGRAM   path of the program (default: build/entrain below the project)
  PARITY_KEEP=1     keep the temporary folder and say where it is
  PARITY_ONLY       run only the cases whose title has this in it
"""
import atexit
import copy
import glob
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # small pieces of work on a machine that others may use: waiting threads must not spin
try:
    import h5py
    import numpy as np
    import torch
    from PIL import Image
except ImportError as missing:
    print(f"skipped: {missing} (on Debian: apt install python3-torch python3-h5py python3-pil)")
    sys.exit(77)

from reference import read_group  # after the check, for it needs them too

torch.set_num_threads(2)
SOURCE = os.environ.get("ENTRAIN_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PROGRAM = os.environ.get("ENTRAIN_PROGRAM") or os.path.join(SOURCE, "build", "entrain")
HALF_ULP = 2.0 ** -24  # rounding to float32 moves a value by at most this part of it

BASE = {
    "task": "segmentation",
    "model": {"backbone": "resnet18", "output_stride": 16, "head": "deeplab_v2", "aux_weight": 0, "dropout": 0, "init": None},
    "norm": {"type": "en", "methods": ["bn", "in", "ln"]},
    "data": {"train": None, "val": None, "crop": None, "scale": [1, 1], "flip": False, "photometric": False,
             "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "train": {"global_batch": 2, "iterations": 1, "seed": 1, "precision": "fp32", "shuffle": False, "log_every": 1,
              "checkpoint_every": 1, "keep": 0, "eval_every": 0, "class_weights": None},
    "optimizer": {"type": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": False, "weight_decay": 0, "decay_norm": False,
                  "head_lr_multiplier": 1, "clip_norm": 0},
    "schedule": {"type": "constant", "warmup": 0},
    "eval": {"scales": [1], "flip": False, "mode": "whole"},
}


def configuration(**settings):
    """BASE with changes: configuration(norm__type="bn", train__iterations=3)."""
    config = copy.deepcopy(BASE)
    for path, value in settings.items():
        section, key = path.split("__")
        config[section][key] = value
    return config


class Workshop:
    """A temporary folder and the program run in it."""

    def __init__(self, name):
        if not os.access(PROGRAM, os.X_OK):
            sys.exit(f"no program at {PROGRAM}: build it or set ENTRAIN_PROGRAM")
        self.folder, self.runs = tempfile.mkdtemp(prefix=f"entrain-{name}-"), 0
        if os.environ.get("PARITY_KEEP") == "1":
            print(f"working in {self.folder}, kept")
        else:
            atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, *arguments):
        """Run it; anything but exit code 0 ends the test with its output."""
        command = [PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"exit code {done.returncode} from: {' '.join(command)}\n{done.stdout}")
        return done.stdout

    def shards(self, name, count, height, width, seed):
        """
        Pack `count` synthetic samples, then cut (or tile) every one to height x width and mark a corner as ignored. Returns the folder, the
        images (N,H,W,3) uint8, the labels (N,H,W) int64 and the number of classes.
        """
        folder = self.path(name)
        self.program("pack", "synthetic", "--split", "train", "--out", folder, "--images", count, "--seed", seed, "--shards", 1)
        shard, = glob.glob(os.path.join(folder, "*.h5"))
        with h5py.File(shard, "r+") as file:
            file.attrs.pop("tables_crc32", None)
            images, labels = ([fit(image, height, width) for image in decode_all(file[group])] for group in ("images", "labels"))
            for label in labels:
                label[: height // 5, : width // 3] = 255
            pngs = [encode_all(file[group], arrays) for group, arrays in (("images", images), ("labels", labels))]
            file["height"][...], file["width"][...] = height, width
            file["crc32"][...] = [zlib.crc32(label, zlib.crc32(image)) for image, label in zip(*pngs)]
            classes = len(file.attrs["classes"])
        return folder, np.stack(images), np.stack(labels).astype(np.int64), classes

    def train(self, config):
        """Train as configured; returns the run's folder."""
        self.runs += 1
        run, path = self.path(f"run-{self.runs}"), self.path(f"config-{self.runs}.json")
        with open(path, "w") as file:
            json.dump(config, file, indent=1)
        self.program(path, "--device", "cpu", "--out", run)
        return run

    def predict(self, config, checkpoint, images):
        """images: {name: uint8 (H,W,3)}; returns {name: (logits, logits_full)}."""
        self.runs += 1
        out, path = self.path(f"predict-{self.runs}"), self.path(f"config-{self.runs}.json")
        os.makedirs(out)
        with open(path, "w") as file:
            json.dump(config, file, indent=1)
        files = []
        for name, image in images.items():
            files.append(os.path.join(out, f"{name}.png"))
            Image.fromarray(image).save(files[-1])
        logits = os.path.join(out, "logits.h5")
        self.program("predict", path, "--checkpoint", checkpoint, "--device", "cpu", "--out", os.path.join(out, "pictures"), "--logits",
                     logits, *files)
        with h5py.File(logits, "r") as file:
            return {name: (file[name]["logits"][()], file[name]["logits_full"][()]) for name in images}

    def write_model(self, name, tensors):
        """A weights file for model.init, as another program might make it: /model and nothing else."""
        path = self.path(name)
        with h5py.File(path, "w") as file:
            for tensor, value in tensors.items():
                file[f"model/{tensor}"] = np.asarray(value, np.float32)
        return path

    def fresh(self, config):
        """The tensors as the program initialises them: those after a step of no length, the running statistics put back."""
        config = copy.deepcopy(config)
        config["train"]["iterations"] = 1
        config["optimizer"]["lr"] = 0
        tensors = read_group(checkpoint_of(self.train(config), 1), "model")
        for name, value in tensors.items():
            if is_statistic(name):
                value[...] = name.endswith("running_var")
        return tensors


def checkpoint_of(run, step):
    return os.path.join(run, "checkpoints", f"step-{step:08d}.h5")


def losses_of(run):
    with open(os.path.join(run, "metrics.jsonl")) as file:
        return [line["loss"] for line in map(json.loads, file) if line["kind"] == "train"]


def decode_all(group):
    data, offset = group["bytes"][()].tobytes(), group["offset"][()]
    return [np.array(Image.open(io.BytesIO(data[a:b]))) for a, b in zip(offset[:-1], offset[1:])]


def encode_all(group, arrays):
    """Replace the encoded files of a shard's group by these pictures as PNG; returns their bytes."""
    files = []
    for array in arrays:
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        files.append(buffer.getvalue())
    del group["bytes"]
    group["bytes"] = np.frombuffer(b"".join(files), np.uint8)
    group["offset"][...] = np.cumsum([0] + [len(file) for file in files])
    return files


def fit(image, height, width):
    return np.ascontiguousarray(image[np.arange(height) % image.shape[0]][:, np.arange(width) % image.shape[1]])


def moved(tensors, generator, bias_spread):
    """
    A start away from the special values of initialisation: norm weights 0.5..1.5, norm biases of the given spread, control vectors of sn
    and output layers of en's ratios random. Everything else as it is.
    """
    out = {}
    for name, value in tensors.items():
        leaf, value = name.rsplit(".", 1)[1], value.copy()
        if is_norm(name, tensors) and leaf in ("weight", "mean_weight", "var_weight"):
            value[...] = generator.uniform(0.5, 1.5, value.shape)
        elif is_norm(name, tensors) and leaf == "bias":
            value[...] = generator.normal(0, bias_spread, value.shape)
        elif ".ratio.fc2." in name:
            value[...] = generator.normal(0, 0.5 / value.shape[-1] ** (0.5 if leaf == "weight" else 0), value.shape)
        elif ".ratio.fc1.bias" in name:
            value[...] = generator.normal(0, 0.5, value.shape)
        out[name] = value.astype(np.float32)
    return out


def is_statistic(name):
    return name.endswith((".running_mean", ".running_var"))


def is_norm(name, tensors):
    """Whether a tensor is a norm layer's own weight, bias or control vector (not the inside of en's ratios)."""
    layer, leaf = name.rsplit(".", 1)
    if ".ratio." in name or leaf not in ("weight", "bias", "mean_weight", "var_weight"):
        return False
    return layer + ".bias" in tensors and tensors[layer + ".weight"].ndim < 3


def chosen(title):
    return os.environ.get("PARITY_ONLY", "") in title


class Report:
    """Rows of measured figures with a limit each; says at the end how many broke theirs."""

    def __init__(self, *columns):
        self.failures, self.widths = [], [max(len(c), 11) for c in columns]
        self.widths[0] = 50
        self.line(columns)

    def line(self, cells):
        texts = [c if isinstance(c, str) else f"{c:.2e}" for c in cells]
        print("  ".join(t.ljust(w) if i == 0 else t.rjust(w) for i, (t, w) in enumerate(zip(texts, self.widths))), flush=True)

    def row(self, *cells, right, why=""):
        self.line([*cells, "" if right else "FAILED"])
        if not right:
            self.failures.append(f"{cells[0]}: {why}" if why else cells[0])

    def finish(self):
        for failure in self.failures:
            print("FAILED", failure)
        print(f"{len(self.failures)} failures" if self.failures else "all within their limits")
        sys.exit(1 if self.failures else 0)
