"""
Evaluation against an independent implementation in float64 numpy: fixed logits of windows and labels, made here from a seed, go through the
program's own fusing (fuse_matrix.c) and through the few lines below, which know nothing of bands, rows of windows or memory. The confusion
matrices must be equal, and mIoU, accuracies and IoUs agree within 1e-9. Where two classes are so close that float32 may choose the other
one, the pixel is ignored; there must be next to none of these.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (on Debian: apt install python3-h5py python3-numpy)")
    sys.exit(77)

SOURCE = os.environ.get("ENTRAIN_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PROGRAM = os.environ.get("ENTRAIN_PROGRAM") or os.path.join(SOURCE, "build", "entrain")
FUSE = os.path.join(os.path.dirname(PROGRAM), "tests", "fuse_matrix")
IGNORE, CLOSE = 255, 1e-5

# name, classes, classes that never occur, image sizes, output sizes (None: the image's), output stride, eval settings
CASES = [
    ("whole", 5, [], [(37, 53), (64, 48)], None, 8, {}),
    ("whole-flip", 5, [2], [(37, 53), (41, 1), (1, 29)], None, 8, {"flip": True}),
    ("scales", 19, [3, 18], [(45, 70), (31, 33)], None, 16, {"scales": [0.5, 0.75, 1, 1.25, 1.75], "flip": True}),
    ("sides", 11, [0], [(50, 80), (80, 50), (33, 33)], None, 8, {"short_sides": [30, 40, 50, 60]}),
    ("sides-capped", 11, [], [(20, 90), (90, 20), (31, 17)], None, 8, {"short_sides": [25, 40], "max_side": 77, "flip": True}),
    ("slide", 4, [], [(100, 150), (97, 131)], None, 8, {"mode": "slide", "crop": [48, 64]}),
    ("slide-odd", 7, [6], [(101, 77), (64, 45)], None, 8, {"mode": "slide", "crop": [33, 45], "stride": [7, 13]}),
    ("slide-all", 6, [], [(90, 120), (200, 40)], None, 16,
     {"mode": "slide", "crop": [41, 59], "stride": [29, 37], "scales": [0.75, 1, 1.5], "flip": True}),
    ("slide-gapless", 3, [], [(96, 96)], None, 32, {"mode": "slide", "crop": [32, 32], "stride": [32, 32]}),
    ("slide-small", 3, [], [(20, 100), (100, 20), (9, 9)], None, 8, {"mode": "slide", "crop": [48, 48], "stride": [31, 17]}),
    ("slide-sides", 150, list(range(40, 150)), [(60, 90), (130, 40)], None, 8,
     {"mode": "slide", "crop": [50, 50], "short_sides": [40, 70], "max_side": 120, "flip": True}),
    ("thin", 3, [], [(1, 300), (300, 1), (1, 1)], None, 8, {"mode": "slide", "crop": [16, 24], "stride": [5, 11], "flip": True}),
    ("tall", 9, [], [(400, 23)], None, 8, {"mode": "slide", "crop": [64, 64], "stride": [21, 64], "scales": [0.6, 1.4]}),
    ("source-size", 8, [], [(40, 60), (33, 70)], [(81, 119), (66, 140)], 8, {"flip": True, "scales": [0.5, 1]}),
    ("source-slide", 8, [], [(40, 60)], [(97, 143)], 8, {"mode": "slide", "crop": [24, 32]}),
]


# ---- the other implementation ----

def round_half_up(x):
    return max(1, math.floor(x + 0.5))


def pass_sizes(h, w, settings):
    """The resized image of each pass: (height, width, mirrored)."""
    if settings.get("short_sides"):
        sizes = []
        for side in settings["short_sides"]:
            factor_over, factor_under = side, min(h, w)
            cap = settings.get("max_side", 0)
            if cap and side * max(h, w) > cap * min(h, w):
                factor_over, factor_under = cap, max(h, w)
            sizes.append(tuple(max(1, (2 * factor_over * n + factor_under) // (2 * factor_under)) for n in (h, w)))
    else:
        sizes = [(round_half_up(scale * h), round_half_up(scale * w)) for scale in settings.get("scales", [1])]
    return [(*size, flip) for size in sizes for flip in ([False, True] if settings.get("flip") else [False])]


def starts(side, window, stride):
    if side <= window:
        return [0]
    return sorted({min(at, side - window) for at in range(0, side - window + stride, stride)})


def matrix_of_resize(n, m):
    """(n, m): bilinear, half-pixel centres."""
    at = np.maximum((np.arange(n) + 0.5) * m / n - 0.5, 0)
    low = np.minimum(at.astype(int), m - 1)
    high = np.minimum(low + 1, m - 1)
    result = np.zeros((n, m))
    np.add.at(result, (np.arange(n), low), 1 - (at - low))
    np.add.at(result, (np.arange(n), high), at - low)
    return result


def resize(x, h, w):
    x = np.einsum("ij,jkc->ikc", matrix_of_resize(h, x.shape[0]), x)
    return np.einsum("ij,kjc->kic", matrix_of_resize(w, x.shape[1]), x)


def softmax(x):
    e = np.exp(x - x.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


def windows_of(h, w, settings):
    if settings.get("mode") != "slide":
        return [(0, 0)], h, w
    crop = settings["crop"]
    stride = settings.get("stride") or [-(-2 * n // 3) for n in crop]
    wh, ww = min(crop[0], h), min(crop[1], w)
    return [(y, x) for y in starts(h, wh, stride[0]) for x in starts(w, ww, stride[1])], wh, ww


def pass_scores(h, w, flip, logits, settings, out_h, out_w):
    places, wh, ww = windows_of(h, w, settings)
    if settings.get("mode") != "slide":
        scores = resize(logits[places[0]], out_h, out_w)
    else:
        total, count = 0, np.zeros((h, w, 1))
        total = np.zeros((h, w, logits[places[0]].shape[2]))
        for y, x in places:
            total[y:y + wh, x:x + ww] += resize(logits[y, x], wh, ww)
            count[y:y + wh, x:x + ww] += 1
        assert count.min() >= 1
        scores = resize(total / count, out_h, out_w)
    return scores[:, ::-1] if flip else scores


def figures(matrix):
    both, truth, predicted = np.diag(matrix).astype(float), matrix.sum(axis=1), matrix.sum(axis=0)
    union = truth + predicted - both
    iou = [b / u if u > 0 else None for b, u in zip(both, union)]
    accuracy = [b / t if t > 0 else None for b, t in zip(both, truth)]
    mean = lambda values: float(np.mean([v for v in values if v is not None]))
    return {"iou": iou, "acc": accuracy, "miou": mean(iou), "macc": mean(accuracy), "aacc": both.sum() / matrix.sum()}


# ---- cases ----

def make_logits(rng, h, w, classes, absent):
    """Smooth and noisy at once, float32 as the network's; classes that must not be predicted are low."""
    x = rng.normal(0, 3, (h, w, classes)) + 4 * resize(rng.normal(0, 1, (3, 3, classes)), h, w)
    x[:, :, absent] -= 60
    return x.astype(np.float32)


def make_image(group, rng, size, out, classes, absent, stride, settings):
    """Write an image's windows and labels; returns its confusion matrix and how many pixels were too close."""
    (h, w), (out_h, out_w) = size, out
    group.attrs["height"], group.attrs["width"] = np.int64(h), np.int64(w)
    passes = pass_sizes(h, w, settings)
    scores = 0
    for i, (ph, pw, flip) in enumerate(passes):
        store = group.create_group(f"pass-{i}")
        store.attrs["height"], store.attrs["width"], store.attrs["flip"] = np.int64(ph), np.int64(pw), np.int64(flip)
        places, wh, ww = windows_of(ph, pw, settings)
        logits = {place: make_logits(rng, -(-wh // stride), -(-ww // stride), classes, absent) for place in places}
        for (y, x), values in logits.items():
            store[f"{y}-{x}"] = values
        wide = {place: values.astype(np.float64) for place, values in logits.items()}
        one = pass_scores(ph, pw, flip, wide, settings, out_h, out_w)
        scores = scores + softmax(one) / len(passes) if len(passes) > 1 else one
    predicted = scores.argmax(axis=2)
    best = np.sort(scores, axis=2)
    close = best[:, :, -1] - best[:, :, -2] < CLOSE
    labels = np.where(rng.random((out_h, out_w)) < 0.6, predicted, rng.integers(0, classes, (out_h, out_w)))
    present = [k for k in range(classes) if k not in absent]
    labels = np.where(np.isin(labels, absent), present[0], labels)
    labels[rng.random((out_h, out_w)) < 0.1] = IGNORE
    labels[close] = IGNORE
    group["labels"] = labels.astype(np.uint8)
    matrix = np.zeros((classes, classes), np.int64)
    valid = labels != IGNORE
    np.add.at(matrix, (labels[valid], predicted[valid]), 1)
    return matrix, int(close.sum())


def close_enough(a, b):
    return (a is None) == (b is None) and (a is None or abs(a - b) <= 1e-9)


def check(name, matrix, absent, folder):
    with h5py.File(os.path.join(folder, name + ".h5"), "r") as file:
        theirs = file["confusion"][()]
        assert file["confusion"].dtype == np.int64 and len(file.attrs["classes"]) == len(matrix)
        stored = float(file.attrs["miou"])
    with open(os.path.join(folder, name + ".json")) as file:
        said = json.load(file)
    wanted = figures(matrix)
    problems = []
    if not np.array_equal(theirs, matrix):
        problems.append(f"{int(np.abs(theirs - matrix).sum()) // 2} pixels differ of {matrix.sum()}")
    for key in ("miou", "macc", "aacc"):
        if not close_enough(said[key], wanted[key]):
            problems.append(f"{key} {said[key]!r}, expected {wanted[key]!r}")
    for key in ("iou", "acc"):
        if not all(close_enough(a, b) for a, b in zip(said[key], wanted[key])):
            problems.append(f"{key} {said[key]}, expected {wanted[key]}")
    if abs(stored - wanted["miou"]) > 1e-9:
        problems.append(f"the file's mIoU is {stored!r}")
    if [k for k, v in enumerate(wanted["iou"]) if v is None] != list(absent):
        problems.append("the case's absent classes are not absent")
    print(f"{name:14s} mIoU {wanted['miou']:.12f} of {sum(v is not None for v in wanted['iou']):3d} classes, {matrix.sum():7d} pixels"
          + ("" if not problems else "   FAILED: " + "; ".join(problems)))
    return not problems


def main():
    if not os.access(FUSE, os.X_OK):
        sys.exit(f"no program at {FUSE}: build it or set ENTRAIN_PROGRAM")
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory(prefix="entrain-fuse-") as folder:
        expected, close, pixels = {}, 0, 0
        with h5py.File(os.path.join(folder, "cases.h5"), "w") as file:
            for name, classes, absent, sizes, outs, stride, settings in CASES:
                group = file.create_group(name)
                group.attrs["config"] = json.dumps({"model": {"output_stride": stride}, "eval": settings})
                group.attrs["classes"] = np.int64(classes)
                total = np.zeros((classes, classes), np.int64)
                for i, size in enumerate(sizes):
                    matrix, few = make_image(group.create_group(f"image-{i}"), rng, size, outs[i] if outs else size, classes, absent,
                                             stride, settings)
                    total += matrix
                    close += few
                    pixels += matrix.sum()
                expected[name] = total
        subprocess.run([FUSE, os.path.join(folder, "cases.h5"), folder], check=True)
        right = [check(name, expected[name], absent, folder) for name, _, absent, *_ in CASES]
        print(f"{close} pixels of {pixels} were too close to tell")
        if close > pixels / 1000:
            sys.exit("too many pixels left out")
        sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
