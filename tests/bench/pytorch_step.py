"""
Times whole training steps of a configuration's network in PyTorch on the CPU: forward pass, loss of main and auxiliary head, backward pass,
SGD, on random images and labels of size data.crop. One process is one measurement; the result is a JSON object.
  pytorch_step.py CONFIG.json [--set key.path=value]... [--classes N] [--batch N] [--norm KIND] [--precision fp32|bf16] [--threads N]
                  [--no-channels-last] [--compile] [--keep-memory] [--steps N] [--warmup N] [--json FILE]
  pytorch_step.py --check      the fused forms of EN against the plain one
KIND: bn (nn.BatchNorm2d), gn (nn.GroupNorm), en-plain (as a paper's reader writes it), en-fused (engine's form, backward in two passes),
en-fused-ops (engine's form, backward by autograd). What cannot be measured here is said in one line, with exit code 77.
"""
import argparse
import ctypes
import inspect
import json
import os
import re
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "..", "..")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "parity")]
KINDS = ("bn", "gn", "en-plain", "en-fused", "en-fused-ops")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n  pytorch_step.py")[0])
    parser.add_argument("config", nargs="?", metavar="CONFIG.json")
    parser.add_argument("--set", action="append", default=[], metavar="key.path=value")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--batch", type=int, help="images; train.global_batch of the configuration if not given")
    parser.add_argument("--norm", choices=KINDS, default="bn")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--keep-memory", action="store_true", help="freed memory is kept for reuse, not handed back to the system")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="write the result here instead of standard output")
    parser.add_argument("--check", action="store_true")
    a = parser.parse_args()
    if (a.config is None) != a.check:
        parser.error("needs either CONFIG.json or --check")
    return a


def skip(reason):
    print(f"not measured: {reason}", file=sys.stderr)
    sys.exit(77)


def first_line(error):
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:300]}"


def read_config(path, settings):
    """The configuration with the schema's default values and --set applied, as the program reads it."""
    with open(os.path.join(SOURCE, "configs", "entrain.schema.json")) as file:
        sections = json.load(file)["properties"]
    with open(path) as file:
        given = json.load(file)
    config = {name: {key: row["default"] for key, row in section["properties"].items() if "default" in row}
              for name, section in sections.items() if section.get("type") == "object"}
    for name in config:
        config[name].update(given.get(name, {}))
    for setting in settings:
        path, _, text = setting.partition("=")
        name, _, key = path.partition(".")
        if key not in config.get(name, {}):
            sys.exit(f"--set {setting}: no such key")
        config[name][key] = value_of(text, "array" in sections[name]["properties"][key]["type"])
    return config


def value_of(text, is_list):
    """JSON, where words need no quotes and lists no brackets."""
    if is_list and not text.startswith("[") and text != "null":
        return [value_of(item, False) for item in text.split(",")]
    try:
        return json.loads(text)
    except ValueError:
        return text


def status_mib(field):
    """A field of this process's /proc status: VmRSS, the memory now, or VmHWM, the most it ever was."""
    with open("/proc/self/status") as file:
        return round(int(re.search(rf"{field}:\s+(\d+) kB", file.read())[1]) / 1024, 1)


def build(a, config):
    """The network, its optimizer, and the function that runs one step and returns the loss."""
    import torch
    import torch.nn as nn
    from fused_en import FusedOps, FusedTwoPass
    from norms import DEFAULTS, Exemplar, largest_divisor
    from reference import Network, loss_of, sgd

    def make_norm(channels, spec):
        if a.norm == "bn":
            return nn.BatchNorm2d(channels)
        if a.norm == "gn":
            return nn.GroupNorm(largest_divisor(channels, spec["groups"]), channels)
        return {"en-plain": Exemplar, "en-fused": FusedTwoPass, "en-fused-ops": FusedOps}[a.norm](channels, {**DEFAULTS, **spec})

    torch.manual_seed(1)
    layout = torch.channels_last if a.channels_last else torch.contiguous_format
    network = Network(config, a.classes, make_norm).to(memory_format=layout)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True  # as in torchvision
    optimizer = sgd(network, config, **({"fused": True} if "fused" in inspect.signature(torch.optim.SGD).parameters else {}))
    height, width = config["data"]["crop"]
    x = torch.randn(config["train"]["global_batch"], 3, height, width).contiguous(memory_format=layout)
    labels = torch.randint(a.classes, (len(x), height, width))

    model = torch.compile(network) if a.compile else network  # the loss stays outside: compiled with it, the step takes longer

    def forward(images):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "bf16"):
            logits = model(images)
        return [None if t is None else t.float() for t in logits]  # the loss in float32

    def loss(images, labels):
        return loss_of(forward, config, images, labels)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = loss(x, labels)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def keep_memory():
    """Tell glibc's malloc to take large blocks from the heap too, and never to shrink the heap: no page faults after the first step."""
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    libc = ctypes.CDLL(None)
    if not (libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2 ** 31 - 1)):
        skip("this C library's malloc takes no options")


def measure(a, step):
    times = []
    for index in range(a.warmup + a.steps):
        begin = time.perf_counter()
        value = step()
        times.append(1e3 * (time.perf_counter() - begin))
        print(f"step {index + 1}  {times[-1]:9.1f} ms  loss {value:.4f}", file=sys.stderr)
    timed = sorted(times[a.warmup:])
    middle = len(timed) // 2
    median = timed[middle] if len(timed) % 2 else (timed[middle - 1] + timed[middle]) / 2
    return {"min": round(timed[0], 2), "median": round(median, 2), "max": round(timed[-1], 2)}


def main():
    a = arguments()
    os.environ["OMP_NUM_THREADS"] = str(a.threads)
    try:
        import torch
    except ImportError as missing:
        skip(f"{missing} ({sys.executable})")
    if a.check:
        from fused_en import check
        sys.exit(0 if check() else 1)
    torch.set_num_threads(a.threads)
    if a.keep_memory:
        keep_memory()
    if a.compile and not hasattr(torch, "compile"):
        skip(f"PyTorch {torch.__version__} has no torch.compile")
    config = read_config(a.config, a.set)
    config["train"]["global_batch"] = a.batch or config["train"]["global_batch"]
    if config["data"]["crop"] is None:
        sys.exit("data.crop is null; give it with --set data.crop=HEIGHT,WIDTH")
    import reference  # noqa: F401  its imports belong to the start
    start = status_mib("VmRSS")
    try:
        times = measure(a, build(a, config))
    except Exception as error:  # which errors torch.compile and reduced precision end in depends on the version
        if a.compile:
            skip(f"torch.compile failed in PyTorch {torch.__version__}: {first_line(error)}")
        if a.precision == "bf16" and isinstance(error, RuntimeError):
            skip(f"PyTorch {torch.__version__} cannot train {a.norm} in bf16: {first_line(error)}")
        raise
    built = torch.__config__.show()
    onednn = re.search(r"(?:MKL-DNN|oneDNN) v([\d.]+)", built)
    vectors = re.search(r"CPU capability usage: (\S+)", built)
    result = {"program": "pytorch", "version": torch.__version__, "onednn": onednn and onednn[1], "capability": vectors and vectors[1],
              "norm": a.norm, "precision": a.precision, "compiled": a.compile, "channels_last": a.channels_last,
              "memory_kept": a.keep_memory, "threads": a.threads, "images": config["train"]["global_batch"], "step_ms": times,
              "peak_mib": status_mib("VmHWM"), "start_mib": start}
    text = json.dumps(result)
    if a.json:
        with open(a.json, "w") as file:
            file.write(text + "\n")
    else:
        print(text)


main()
