"""
Whole networks against the reference: trained a few steps by the program from a start where every norm parameter is at work, saved, and read
by float64 PyTorch. The logits of images whose size fits no stride must agree within 1e-4 of their largest (and of their RMS) value.
"""
from harness import Report, Workshop, checkpoint_of, chosen, configuration, moved  # first: ends the test as skipped where PyTorch is absent

import numpy as np
import torch

from reference import make_network, pixels_to_input, read_config, read_group, upsample

LIMIT = 1e-4
TRAIN_SIZE, TRAIN_IMAGES, BATCH = (65, 81), 4, 2
SIZES = ((97, 65), (65, 81), (33, 50))  # of the images predicted

CASES = [
    ("resnet18 stride 16 en", {}, 3),
    ("resnet50 stride 8 en", {"model__backbone": "resnet50", "model__output_stride": 8}, 2),
    ("resnet18 stride 16 bn", {"norm__type": "bn"}, 2),
    ("resnet18 stride 8 gn", {"norm__type": "gn", "model__output_stride": 8}, 2),
    ("resnet18 stride 32 sn", {"norm__type": "sn", "model__output_stride": 32}, 2),
    ("resnet18 stride 16 ln", {"norm__type": "ln"}, 2),
    ("resnet18 stride 16 in", {"norm__type": "in"}, 2),
    ("resnet34 stride 32 bn, fcn head", {"model__backbone": "resnet34", "model__output_stride": 32, "model__head": "fcn",
                                         "model__dropout": 0.1, "norm__type": "bn"}, 1),
    ("resnet101 stride 16 gn", {"model__backbone": "resnet101", "norm__type": "gn"}, 1),
    ("en without conv", {"norm__conv": False}, 2),
    ("en with relu", {"norm__activation": "relu"}, 2),
    ("en, one affine, shift outside", {"norm__affine": "single", "norm__shift": "outside"}, 2),
    ("en, shift outside", {"norm__shift": "outside"}, 2),
    ("en, pi 7, reduction 5", {"norm__pi": 7, "norm__reduction": 5}, 2),
    ("en of ln,gn,bn,in in 6 groups, fcn head", {"norm__methods": ["ln", "gn", "bn", "in"], "norm__groups": 6, "model__head": "fcn",
                                                 "model__dropout": 0.1}, 2),
    ("en of in,ln, aux head", {"norm__methods": ["in", "ln"], "model__aux_weight": 0.4}, 2),
    ("sn of gn,bn, aux head", {"norm__type": "sn", "norm__methods": ["gn", "bn"], "model__aux_weight": 0.4}, 2),
]


def errors(ours, reference):
    difference = ours.astype(np.float64) - reference
    return np.abs(difference).max() / np.abs(reference).max(), np.sqrt((difference ** 2).mean() / (reference ** 2).mean())


def run(shop, table, title, settings, steps, data):
    folder, pictures = data
    config = configuration(data__train=folder, train__global_batch=BATCH, train__iterations=steps, optimizer__lr=1e-3, **settings)
    start = moved(shop.fresh(config), np.random.default_rng(7), 0.3)
    config["model"]["init"] = shop.write_model("start.h5", start)
    checkpoint = checkpoint_of(shop.train(config), steps)
    network = make_network(read_config(checkpoint), read_group(checkpoint, "model"), torch.float64).eval()
    ours = shop.predict(config, checkpoint, pictures)
    worst, where, least_ratio, most_ratio = 0.0, "", 1.0, 0.0
    for name, picture in pictures.items():
        with torch.no_grad():
            logits = network(pixels_to_input(picture[None], config, torch.float64))[0]
            pair = logits, upsample(logits, picture.shape[:2])
        for kind, mine, reference in zip(("logits", "logits_full"), ours[name], pair):
            reference = reference[0].numpy()
            if mine.shape != reference.shape:
                table.row(title, right=False, why=f"{kind} of {name}: {mine.shape}, not {reference.shape}")
                return
            for measure, error in zip(("largest", "RMS"), errors(mine, reference)):
                if not error <= worst:  # a NaN is the worst there is
                    worst, where = error, f"{measure} of {kind}, {name}"
        ratios = [m.last_ratios for m in network.modules() if getattr(m, "last_ratios", None) is not None]
        least_ratio = min([least_ratio] + [r.min().item() for r in ratios])
        most_ratio = max([most_ratio] + [r.max().item() for r in ratios])
    spread = f"{least_ratio:.2f}..{most_ratio:.2f}" if most_ratio else ""
    table.row(title, worst, LIMIT, where, spread, right=worst < LIMIT, why=f"{where}: {worst:.2e}")


if __name__ == "__main__":
    shop = Workshop("network")
    folder, _, _, _ = shop.shards("train", TRAIN_IMAGES, *TRAIN_SIZE, seed=3)
    pictures = {}
    for height, width in SIZES:
        pictures[f"{height}x{width}"] = shop.shards(f"p{height}x{width}", 1, height, width, seed=4)[1][0]
    table = Report("network", "worst error", "limit", "where".rjust(28), "ratios", "")
    for title, settings, steps in CASES:
        if chosen(title):
            run(shop, table, title, settings, steps, (folder, pictures))
    table.finish()
