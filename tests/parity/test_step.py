"""
One step of training against the reference: from the same weights, on the same images, the program's change of every tensor is compared
with that of PyTorch in float64.

From a smooth start (norm biases around +-3 keep the ReLU's inputs away from its kink) each change must be right within 1e-3 of its norm,
plus what rounding the new value to float32 can take away: at most 2^-24 of each value, hence of the tensor's norm. The momentum buffers,
which after one step hold the gradient itself, are compared without that allowance.

From an ordinary start two right float32 programs round a few pre-activations to different sides of the kink, which moves whole gradients by
1e-3 and more. There PyTorch's own float32 distances from float64, over several orders of the same sums, give the limit: twice the largest.
"""
from harness import (HALF_ULP, Report, Workshop, checkpoint_of, configuration, is_norm, is_statistic, losses_of,
                     moved)  # first: ends the test as skipped where PyTorch is absent

import os

import numpy as np
import torch
import torch.nn as nn

from reference import loss_of, make_network, pixels_to_input, read_group, sgd

SMOOTH_LIMIT, STATISTICS_LIMIT, LOSS_LIMIT, ORDINARY_FLOOR = 1e-3, 1e-5, 1e-5, 1e-4
SIZE, IMAGES, BATCH = (65, 81), 5, 3  # the second step wraps around the end of the stored order

EVERYTHING = {"optimizer__weight_decay": 0.01, "optimizer__head_lr_multiplier": 2, "model__aux_weight": 0.4}
RESNET50 = {"model__backbone": "resnet50", "model__output_stride": 8, "train__global_batch": 2}
CLASS_WEIGHTS = {"train__class_weights": [0.5, 2, 1, 3, 0.25, 1.5]}  # repeated for as many classes as there are
# title, settings, number of steps
SMOOTH = [
    ("resnet18 stride 16 en, two steps", {**EVERYTHING}, 2),
    ("resnet50 stride 8 en", {**EVERYTHING, **RESNET50}, 1),
    ("resnet18 stride 16 bn, nesterov, class weights", {**EVERYTHING, **CLASS_WEIGHTS, "norm__type": "bn", "optimizer__nesterov": True}, 2),
    ("resnet18 stride 16 sn", {**EVERYTHING, "norm__type": "sn"}, 1),
    ("resnet18 stride 8 gn, norms decay", {**EVERYTHING, "norm__type": "gn", "model__output_stride": 8, "optimizer__decay_norm": True}, 1),
    ("resnet18 stride 32 ln, fcn head", {**EVERYTHING, "norm__type": "ln", "model__output_stride": 32, "model__head": "fcn"}, 1),
    ("resnet18 stride 16 in", {"norm__type": "in"}, 1),
    ("en of four, relu, one affine, fcn head", {**EVERYTHING, "norm__methods": ["ln", "gn", "bn", "in"], "norm__activation": "relu",
                                                "norm__affine": "single", "model__head": "fcn"}, 1),
    ("en without conv, shift outside", {**EVERYTHING, "norm__conv": False, "norm__shift": "outside"}, 1),
]
ORDINARY = [
    ("resnet18 stride 16 en", {**EVERYTHING}),
    ("resnet50 stride 8 en", {**EVERYTHING, **RESNET50}),
    ("resnet18 stride 16 bn", {**EVERYTHING, "norm__type": "bn"}),
    ("resnet18 stride 16 sn", {**EVERYTHING, "norm__type": "sn"}),
]


class Outcome:
    """A step's loss, the values after it, and the momentum buffers, all by name in float64."""

    def __init__(self, loss, tensors, momentum):
        self.loss = loss
        self.tensors, self.momentum = ({n: np.asarray(v, np.float64) for n, v in t.items()} for t in (tensors, momentum))


def reference_step(config, tensors, momentum, images, labels, dtype, kink=None):
    """From these values (and momentum buffers, None before the first step). kink: a list to which the share of ReLU inputs near 0 is put."""
    network = make_network(config, tensors, dtype).train()
    if kink is not None:
        near = []
        for module in network.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, inputs: near.append((inputs[0].abs() < 1e-3).double().mean().item()))
    loss = loss_of(network, config, pixels_to_input(images, config, dtype), torch.from_numpy(labels))
    loss.backward()
    optimizer, parameters = sgd(network, config), dict(network.named_parameters())
    if momentum is not None:
        for name, parameter in parameters.items():
            optimizer.state[parameter]["momentum_buffer"] = torch.from_numpy(momentum[name]).to(dtype)
    optimizer.step()
    if kink is not None:
        kink.append(float(np.mean(near)))
    buffers = {name: optimizer.state[parameter]["momentum_buffer"].numpy() for name, parameter in parameters.items()}
    return Outcome(loss.item(), {name: value.numpy() for name, value in network.state_dict().items()}, buffers)


def smooth_start(tensors, generator):
    """
    Norm biases of +-3 that all methods of a channel share. Norms whose outputs are added up in residual blocks share their signs within a
    stage: opposite ones would bring the sums back to 0.
    """
    out, stages = moved(tensors, generator, 0.25), {}
    for name, value in out.items():
        if not (is_norm(name, tensors) and name.endswith(".bias")):
            continue
        signs = generator.choice([-3.0, 3.0], value.shape[-1])
        parts = name.split(".")
        last = "bn3" if name.replace(parts[-2], "bn3") in tensors else "bn2"
        if parts[1].startswith("layer") and parts[-2] in (last, "1"):  # "1": downsample.1
            signs = stages.setdefault(parts[1], signs)
        value += signs.astype(np.float32)
    return out


def relative(difference, reference):
    size, norm = np.linalg.norm(difference), np.linalg.norm(reference)
    return 0.0 if size == 0 else size / norm if norm > 0 else np.inf


def changes(outcome, before):
    """Of every learned tensor."""
    return {name: value - before[name] for name, value in outcome.tensors.items() if not is_statistic(name)}


def worst(errors):
    name = max(errors, key=lambda n: errors[n] if np.isfinite(errors[n]) else np.inf)
    return errors[name], name


def show_worst(errors, limits, reference, count=8):
    """After a failure: the tensors that are furthest beyond their limits, and how many are."""
    beyond = sorted((n for n in errors if not errors[n] <= limits[n]), key=lambda n: -errors[n] / max(limits[n], 1e-300))
    for name in beyond[:count]:
        print(f"      {name:52} error {errors[name]:.2e}  limit {limits[name]:.2e}  norm {np.linalg.norm(reference[name]):.2e}")
    print(f"      {len(beyond)} of {len(errors)} tensors beyond their limits")


def choose_lr(config, tensors, images, labels):
    """So that half of the tensors change by more than a twentieth of their norm: then storing float32 hides nothing."""
    gradient = reference_step(config, tensors, None, images, labels, torch.float32).momentum
    shares = [np.linalg.norm(tensors[n]) / np.linalg.norm(g) for n, g in gradient.items() if np.linalg.norm(g) > 0]
    return float(f"{0.05 * np.median(shares):.2g}")


def compare_common(table, title, outcome, reference):
    """Loss and running statistics, which have the same limits from every start."""
    error = abs(outcome.loss / reference.loss - 1)
    table.row(f"{title}: loss", error, LOSS_LIMIT, right=error < LOSS_LIMIT)
    errors = {n: relative(outcome.tensors[n] - reference.tensors[n], reference.tensors[n]) for n in reference.tensors if is_statistic(n)}
    if errors:
        error, name = worst(errors)
        table.row("    running statistics", error, STATISTICS_LIMIT, name, right=error < STATISTICS_LIMIT, why=f"{title}, {name}")


def compare(table, title, what, mine, reference, limits, note=""):
    errors = {name: relative(mine[name] - value, value) for name, value in reference.items()}
    shares = {name: error / limits[name] if limits[name] > 0 else (np.inf if error > 0 else 0.0) for name, error in errors.items()}
    share, name = worst(shares)
    right = share <= 1
    table.row(f"    {what}", errors[name], limits[name], name, note, right=right, why=f"{title}, {name}")
    if not right:
        show_worst(errors, limits, reference)


def data_of(shop, step, batch, data):
    folder, images, labels, classes = data
    order = [(step * batch + i) % len(images) for i in range(batch)]
    return images[order], labels[order]


def prepare(shop, settings, data):
    config = configuration(data__train=data[0], **{"train__global_batch": BATCH, **settings})
    weights = config["train"]["class_weights"]
    if weights is not None:
        config["train"]["class_weights"] = [weights[i % len(weights)] for i in range(data[3])]
    return config, shop.fresh(config)


def smooth(shop, table, title, settings, steps, data):
    config, tensors = prepare(shop, settings, data)
    before, momentum = smooth_start(tensors, np.random.default_rng(11)), None
    config["optimizer"]["lr"] = choose_lr(config, before, *data_of(shop, 0, config["train"]["global_batch"], data))
    config["train"]["iterations"], config["model"]["init"] = steps, shop.write_model("start.h5", before)
    run = shop.train(config)
    for step in range(steps):
        path, kink = checkpoint_of(run, step + 1), []
        batch = data_of(shop, step, config["train"]["global_batch"], data)
        mine = Outcome(losses_of(run)[step], read_group(path, "model"), read_group(path, "optimizer/momentum"))
        reference = reference_step(config, before, momentum, *batch, torch.float64, kink)
        compare_common(table, title if steps == 1 else f"{title}, {step + 1}", mine, reference)
        change = changes(reference, before)
        floors = {n: HALF_ULP * np.linalg.norm(reference.tensors[n]) / max(np.linalg.norm(d), 1e-300) for n, d in change.items()}
        note = f"lr {config['optimizer']['lr']:g}, of the limits at most {worst(floors)[0]:.1e} is float32's; near the kink {kink[0]:.1e}"
        compare(table, title, "change", changes(mine, before), change, {n: SMOOTH_LIMIT + f for n, f in floors.items()}, note)
        compare(table, title, "momentum", mine.momentum, reference.momentum, dict.fromkeys(reference.momentum, SMOOTH_LIMIT))
        # The next step starts from what the program has stored, so that its error is its own.
        before, momentum = read_group(path, "model"), read_group(path, "optimizer/momentum")


def float32_steps(config, tensors, images, labels):
    """PyTorch's float32, with and without oneDNN, and with the images in two orders, which changes no sum but its rounding."""
    for onednn in (True, False):
        for order in (slice(None), slice(None, None, -1)):
            with torch.backends.mkldnn.flags(enabled=onednn):
                yield reference_step(config, tensors, None, images[order].copy(), labels[order].copy(), torch.float32)


def ordinary(shop, table, title, settings, data):
    config, before = prepare(shop, settings, data)
    batch = data_of(shop, 0, config["train"]["global_batch"], data)
    config["optimizer"]["lr"] = choose_lr(config, before, *batch)
    config["model"]["init"] = shop.write_model("start.h5", before)
    run = shop.train(config)
    path = checkpoint_of(run, 1)
    mine = Outcome(losses_of(run)[0], read_group(path, "model"), read_group(path, "optimizer/momentum"))
    reference = reference_step(config, before, None, *batch, torch.float64)
    compare_common(table, f"{title}, ordinary", mine, reference)
    change, gradient = changes(reference, before), reference.momentum
    of_change, of_gradient = dict.fromkeys(change, 0.0), dict.fromkeys(gradient, 0.0)
    for other in float32_steps(config, before, *batch):
        for name, d in changes(other, before).items():
            of_change[name] = max(of_change[name], relative(d - change[name], change[name]))
            of_gradient[name] = max(of_gradient[name], relative(other.momentum[name] - gradient[name], gradient[name]))
    note = "PyTorch's own worst {:.1e}, {}".format(*worst(of_gradient))
    floors = {n: ORDINARY_FLOOR + HALF_ULP * np.linalg.norm(reference.tensors[n]) / max(np.linalg.norm(d), 1e-300) for n, d in change.items()}
    compare(table, title, "change", changes(mine, before), change, {n: 2 * of_change[n] + floors[n] for n in change}, note)
    compare(table, title, "momentum", mine.momentum, gradient, {n: 2 * of_gradient[n] + ORDINARY_FLOOR for n in gradient})


if __name__ == "__main__":
    shop = Workshop("step")
    data = shop.shards("train", IMAGES, *SIZE, seed=5)
    table = Report("case and what is compared", "error", "limit", "tensor", "")
    only = os.environ.get("PARITY_ONLY", "")  # a part of the titles to run
    for title, settings, steps in SMOOTH:
        if only in title:
            smooth(shop, table, title, settings, steps, data)
    for title, settings in ORDINARY:
        if only in f"{title}, ordinary":
            ordinary(shop, table, title, settings, data)
    table.finish()
