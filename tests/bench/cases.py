"""
What compare.py measures: every case's runs, and the rows of figures that come out of one round of them, with the goal of each.
A run of PyTorch is made once for every interpreter given, and every row that needs it has a figure for each.
"""
from typing import Callable, NamedTuple, Optional

DEEPLAB = ("configs/deeplab_ade20k.json", 150, ("data.crop=193,193", "train.global_batch=2", "optimizer.lr=0.0001"))
CAMVID = ("configs/camvid_resnet18.json", 11, ("optimizer.lr=0.0001",))  # 8 images of 180x240, as it stands
TYPES = ("bn", "in", "ln", "gn", "sn", "en")
BATCHES = (1, 2, 4, 8)


class Run(NamedTuple):
    label: str
    program: str = "entrain"  # or pytorch
    sets: tuple = ()          # --set of this run, after the case's
    options: tuple = ()       # further arguments
    ranks: int = 1
    threads: Optional[int] = None  # of each rank; None: those of the command line


class Row(NamedTuple):
    text: str
    value: Callable  # from {label: result} of one round to a number
    goal: Optional[float] = None  # at most


class Case(NamedTuple):
    name: str
    title: str
    setting: tuple  # configuration, classes, --set
    runs: tuple
    rows: tuple
    parts: Optional[str] = None  # the run whose parts are listed


def en(label="EN", precision="fp32", kind="en", **more):
    return Run(label, sets=(f"norm.type={kind}", f"train.precision={precision}"), **more)


def torch(label, *options):
    return Run(label, "pytorch", options=options)


def step(result):
    return result["step_ms"]["median"]


def steps(a, b):
    return lambda results: step(results[a]) / step(results[b])


def peaks(a, b):
    return lambda results: results[a]["peak_mib"] / results[b]["peak_mib"]


def peaks_less_start(a, b):
    """b without what PyTorch takes before it has a network."""
    return lambda results: results[a]["peak_mib"] / (results[b]["peak_mib"] - results[b]["start_mib"])


def over_convolutions(label, key="library_convolutions_ms"):
    """key: the library's own convolutions, or (bare_convolutions_ms) the kernels that the network uses."""
    return lambda results: step(results[label]) / results[label][key]


def largest_deviation(results):
    """t = a + b n by least squares; the largest deviation of a step's time, relative to the line."""
    n, t = BATCHES, [step(results[batch_label(n)]) for n in BATCHES]
    mean_n, mean_t = sum(n) / len(n), sum(t) / len(t)
    b = sum((x - mean_n) * (y - mean_t) for x, y in zip(n, t)) / sum((x - mean_n) ** 2 for x in n)
    line = [mean_t + b * (x - mean_n) for x in n]
    return max(abs(y - z) / abs(z) for y, z in zip(t, line))


def batch_label(n):
    return f"EN, {n} image" + ("s" if n > 1 else "")


def per_image(n):
    return lambda results: step(results[batch_label(n)]) / n / step(results[batch_label(1)])


def against_torch(name, title, other, goal_step, goal_peak, *options):
    """EN in entrain against a step of PyTorch, as it comes and in the layout and with the memory settings that make it fastest."""
    tuned = f"{other}, tuned"
    return Case(name, title, DEEPLAB, (en(), torch(other, *options), torch(tuned, *options, "--no-channels-last", "--keep-memory")), (
        Row(f"step, EN / {other}", steps("EN", other), goal_step),
        Row(f"step, EN / {tuned}", steps("EN", tuned), goal_step),
        Row(f"peak memory, EN / {other}", peaks("EN", other), goal_peak),
        Row(f"peak memory, EN / what {other} adds to PyTorch itself", peaks_less_start("EN", other), goal_peak)))


def of_all_types(precision):
    return Case(f"types-{precision}", f"Every normaliser, {precision}", DEEPLAB, tuple(en(kind, precision, kind) for kind in TYPES),
                tuple(Row(f"step, {kind} / bn", steps(kind, "bn")) for kind in TYPES[1:]))


TWO = "DeepLab v2, ResNet-50 at stride 8, 2 images of 193x193, 150 classes"
CASES = (
    Case("convolutions", f"EN step over its bare convolutions: {TWO}", DEEPLAB, (en(),),
         (Row("EN step / oneDNN's bare convolutions", over_convolutions("EN"), 1.12),
          Row("EN step / the kernels it uses itself", over_convolutions("EN", "bare_convolutions_ms"))), "EN"),
    Case("camvid", "EN step over its bare convolutions: DeepLab v2, ResNet-18 at stride 16, 8 images of 180x240, 11 classes", CAMVID,
         (en(),), (Row("EN step / oneDNN's bare convolutions", over_convolutions("EN"), 1.2),
                   Row("EN step / the kernels it uses itself", over_convolutions("EN", "bare_convolutions_ms"))), "EN"),
    Case("en-bn", "EN and BN, same program", DEEPLAB, (en(), en("BN", kind="bn")), (
        Row("step, EN / BN", steps("EN", "BN"), 1.03), Row("peak memory, EN / BN", peaks("EN", "BN")))),
    against_torch("pytorch-bn", "EN in entrain, BN in PyTorch", "PyTorch BN", 0.75, 0.5, "--norm", "bn"),
    against_torch("pytorch-en", "EN in entrain, EN in PyTorch as one writes it", "PyTorch EN", 0.45, 0.25, "--norm", "en-plain"),
    Case("pytorch-others", "EN in entrain, other forms in PyTorch", DEEPLAB, (
        en(), torch("PyTorch EN, fused by hand", "--norm", "en-fused"), torch("PyTorch EN, fused, autograd", "--norm", "en-fused-ops"),
        torch("PyTorch GN", "--norm", "gn"), torch("PyTorch BN, compiled", "--norm", "bn", "--compile")), (
        Row("step, EN / PyTorch EN, fused by hand", steps("EN", "PyTorch EN, fused by hand")),
        Row("step, EN / PyTorch EN, fused, autograd", steps("EN", "PyTorch EN, fused, autograd")),
        Row("step, EN / PyTorch GN", steps("EN", "PyTorch GN")),
        Row("step, EN / PyTorch BN, compiled", steps("EN", "PyTorch BN, compiled")))),
    Case("bf16", "bf16 and fp32", DEEPLAB, (en("EN bf16", "bf16"), en("EN fp32")), (
        Row("EN step, bf16 / fp32", steps("EN bf16", "EN fp32"), 0.62), Row("peak memory, bf16 / fp32", peaks("EN bf16", "EN fp32")))),
    Case("pytorch-bf16", "bf16 in entrain and in PyTorch", DEEPLAB, (en("EN bf16", "bf16"), torch(
        "PyTorch BN bf16", "--norm", "bn", "--precision", "bf16"), torch(
        "PyTorch BN bf16, tuned", "--norm", "bn", "--precision", "bf16", "--keep-memory")), (
        Row("step, EN bf16 / PyTorch BN bf16", steps("EN bf16", "PyTorch BN bf16")),
        Row("step, EN bf16 / PyTorch BN bf16, tuned", steps("EN bf16", "PyTorch BN bf16, tuned")),
        Row("peak memory, EN bf16 / PyTorch BN bf16", peaks("EN bf16", "PyTorch BN bf16")))),
    Case("ranks", "Two ranks of one thread, one rank of two threads, same global batch", DEEPLAB,
         (en("2 ranks", ranks=2, threads=1), en("1 rank", threads=2)),
         (Row("EN step, 2 ranks / 1 rank", steps("2 ranks", "1 rank"), 1.1),)),
    Case("batch", "Images in a step", DEEPLAB, tuple(
        Run(batch_label(n), sets=("norm.type=en", f"train.global_batch={n}")) for n in BATCHES), (
        Row("largest deviation from a straight line, relative", largest_deviation, 0.05),
        *(Row(f"time of an image, {n} images / 1 image", per_image(n)) for n in BATCHES[1:]))),
    of_all_types("fp32"),
    of_all_types("bf16"),
)
