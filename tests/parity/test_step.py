"""
One step of training against the reference: from the same weights, on the same images, the program's change of every tensor is compared
with that of PyTorch in float64.

From a smooth start (norm biases around +-3 keep the ReLU's inputs away from its kink) each change must be right within 1e-3 of its norm,
plus what rounding the new value to float32 can take away: at most 2^-24 of each value, hence of the tensor's norm. The momentum buffers,
which after one step hold the gradient itself, are compared without that allowance.

From an ordinary start two right float32 programs round a few pre-activations to different sides of the kink, and a single one moves whole
gradients by 1e-3 and more, those of the ratios by far more: which tensors are hit is chance, how many and how hard is not. So the errors of
all tensors of a kind are compared, by their median and by the one that 90 % stay below. The limits are twice the largest that PyTorch
itself shows: in float32 with and without oneDNN and from weights moved by their last bit, and in float64 with those ReLU inputs flipped
that float32 cannot tell from 0.
"""
from harness import (HALF_ULP, Report, Workshop, checkpoint_of, chosen, configuration, is_norm, is_statistic, losses_of,
                     moved)  # first: ends the test as skipped where PyTorch is absent

import numpy as np
import torch
import torch.nn as nn

from reference import loss_of, make_network, pixels_to_input, read_group, sgd

SMOOTH_LIMIT, STATISTICS_LIMIT, LOSS_LIMIT, ORDINARY_FLOOR = 1e-3, 1e-5, 1e-5, 1e-5
SIZES = {"resnet18": (65, 81), "resnet50": (49, 57)}
IMAGES, BATCH = 5, 3  # the second step wraps around the end of the stored order

EVERYTHING = {"optimizer__weight_decay": 5e-4, "optimizer__head_lr_multiplier": 2, "model__aux_weight": 0.4}
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


class Gradient:
    """
    A network with these values after the backward pass of one batch. flip: a distance from 0 for every use of a ReLU, in their order;
    inputs within it pass when negative and stop when positive.
    """

    def __init__(self, config, tensors, batch, dtype, flip=None):
        self.network = make_network(config, tensors, dtype).train()
        self.inputs = inputs = []  # of every use of a ReLU, in their order

        def relu(x):
            passing = (x > 0) if flip is None else (x > 0) ^ (x.abs() < flip[len(inputs)])
            inputs.append(x.detach())
            return x * passing

        for module in self.network.modules():
            if isinstance(module, nn.ReLU):
                module.forward = relu
        images, labels = batch
        loss = loss_of(self.network, config, pixels_to_input(images, config, dtype), torch.from_numpy(labels))
        loss.backward()
        self.loss = loss.item()

    def near_kink(self):
        """The share of ReLU inputs below 1e-3."""
        return np.mean([(x.abs() < 1e-3).double().mean().item() for x in self.inputs])

    def update(self, config, momentum=None):
        """One step of SGD. momentum: buffers by name, None before the first step."""
        optimizer, parameters = sgd(self.network, config), dict(self.network.named_parameters())
        for name, parameter in parameters.items():
            if momentum is not None:
                optimizer.state[parameter]["momentum_buffer"] = torch.from_numpy(momentum[name]).to(parameter.dtype)
        optimizer.step()
        buffers = {name: optimizer.state[parameter]["momentum_buffer"].numpy() for name, parameter in parameters.items()}
        return Outcome(self.loss, {name: value.numpy() for name, value in self.network.state_dict().items()}, buffers)


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
        last = "bn3" if ".".join([*parts[:-2], "bn3.bias"]) in tensors else "bn2"
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


def choose_lr(gradient, tensors, one_step):
    """
    For a single step: so large that storing the new values as float32 hides at most 2e-4 of any tensor's change. Where a second step
    follows, which must start smooth too: so small that half of the tensors change by less than 0.5 %.
    """
    shares = [np.linalg.norm(tensors[n]) / p.grad.norm().item() for n, p in gradient.network.named_parameters() if p.grad.norm() > 0]
    return float(f"{HALF_ULP * max(shares) / 2e-4 if one_step else 0.005 * np.median(shares):.2g}")


def statistics_errors(outcome, reference):
    return {n: relative(outcome.tensors[n] - value, value) for n, value in reference.tensors.items() if is_statistic(n)}


def compare_common(table, title, outcome, reference, loss_limit=LOSS_LIMIT, statistics_limit=STATISTICS_LIMIT):
    """Loss and running statistics."""
    error = abs(outcome.loss / reference.loss - 1)
    table.row(f"{title}: loss", error, loss_limit, right=error < loss_limit)
    errors = statistics_errors(outcome, reference)
    if errors:
        error, name = worst(errors)
        table.row("    running statistics", error, statistics_limit, name, right=error < statistics_limit, why=f"{title}, {name}")


def compare(table, title, what, mine, reference, limits, note=""):
    errors = {name: relative(mine[name] - value, value) for name, value in reference.items()}
    shares = {name: error / limits[name] if limits[name] > 0 else (np.inf if error > 0 else 0.0) for name, error in errors.items()}
    share, name = worst(shares)
    right = share <= 1
    table.row(f"    {what}", errors[name], limits[name], name, note, right=right, why=f"{title}, {name}")
    if not right:
        show_worst(errors, limits, reference)


def batch_of(step, config, data):
    """The images and labels of a step: the stored order, over and over."""
    _, images, labels, _ = data
    batch = config["train"]["global_batch"]
    order = [(step * batch + i) % len(images) for i in range(batch)]
    return images[order], labels[order]


def prepare(shop, settings, data):
    """The configuration, and the tensors as the program initialises them."""
    config = configuration(data__train=data[0], **{"train__global_batch": BATCH, **settings})
    weights = config["train"]["class_weights"]
    if weights is not None:
        config["train"]["class_weights"] = [weights[i % len(weights)] for i in range(data[3])]
    return config, shop.fresh(config)


def train(shop, config, before, steps):
    """Run the program from these tensors; returns the outcomes of its steps."""
    config["train"]["iterations"], config["model"]["init"] = steps, shop.write_model("start.h5", before)
    run = shop.train(config)
    files = [checkpoint_of(run, step + 1) for step in range(steps)]
    losses = losses_of(run)
    assert len(losses) == steps, f"{run}/metrics.jsonl has {len(losses)} losses of {steps} steps"
    return [Outcome(loss, read_group(file, "model"), read_group(file, "optimizer/momentum")) for loss, file in zip(losses, files)]


def storage(after, change):
    """The most that rounding to float32 can take from each change, as part of its norm; nothing from a tensor that does not move."""
    sizes = {name: np.linalg.norm(d) for name, d in change.items()}
    return {name: HALF_ULP * np.linalg.norm(after[name]) / size if size > 0 else 0.0 for name, size in sizes.items()}


def smooth(shop, table, title, settings, steps, data):
    config, before = prepare(shop, settings, data)
    before, momentum = smooth_start(before, np.random.default_rng(11)), None
    gradient = Gradient(config, before, batch_of(0, config, data), torch.float64)
    config["optimizer"]["lr"] = choose_lr(gradient, before, steps == 1)
    for step, mine in enumerate(train(shop, config, before, steps)):
        if step > 0:
            gradient = Gradient(config, before, batch_of(step, config, data), torch.float64)
        reference = gradient.update(config, momentum)
        case = title if steps == 1 else f"{title}, step {step + 1}"
        compare_common(table, case, mine, reference)
        change = changes(reference, before)
        stored = storage(reference.tensors, change)
        note = f"lr {config['optimizer']['lr']:g}, storage hides at most {worst(stored)[0]:.1e}, near the kink {gradient.near_kink():.1e}"
        compare(table, case, "change", changes(mine, before), change, {n: SMOOTH_LIMIT + hidden for n, hidden in stored.items()}, note)
        compare(table, case, "momentum", mine.momentum, reference.momentum, dict.fromkeys(reference.momentum, SMOOTH_LIMIT))
        # The next step starts from what the program has stored, so that its error is its own.
        before, momentum = mine.tensors, mine.momentum


def errors_of_kinds(change, reference, kinds):
    """{(kind, measure): error} of one step's changes."""
    found = {}
    for kind, names in kinds.items():
        errors = [relative(change[n] - reference[n], reference[n]) for n in names]
        found[kind, "median"], found[kind, "90 %"], found[kind, "largest"] = np.quantile(errors, [0.5, 0.9, 1])
    return found


def pytorch_steps(config, before, batch, gradient):
    """Steps that are as right as float32 can be, each with the values it started from. gradient: the float64 one."""
    first = Gradient(config, before, batch, torch.float32)
    # Three times the typical error of a ReLU's inputs: all masks that a float32 program can flip, about seven times those that one does.
    reach = [3 * (a - b).pow(2).mean().sqrt().item() for a, b in zip(first.inputs, gradient.inputs)]
    yield before, first.update(config)
    with torch.backends.mkldnn.flags(enabled=False):
        yield before, Gradient(config, before, batch, torch.float32).update(config)
    generator = np.random.default_rng(13)
    for _ in range(2):
        start = {name: value if is_statistic(name) else last_bit(value, generator) for name, value in before.items()}
        yield start, Gradient(config, start, batch, torch.float32).update(config)
    yield before, Gradient(config, before, batch, torch.float64, flip=reach).update(config)


def last_bit(value, generator):
    """float32 values, each moved up or down by its last bit or left alone."""
    return np.nextafter(value, value + generator.integers(-1, 2, value.shape).astype(np.float32))


def ordinary(shop, table, title, settings, data):
    config, before = prepare(shop, settings, data)
    batch = batch_of(0, config, data)
    gradient = Gradient(config, before, batch, torch.float64)
    config["optimizer"]["lr"] = choose_lr(gradient, before, True)
    mine, = train(shop, config, before, 1)
    reference = gradient.update(config)
    title += ", ordinary start"
    steps = list(pytorch_steps(config, before, batch, gradient))
    losses = [abs(step.loss / reference.loss - 1) for _, step in steps]
    statistics = [max(statistics_errors(step, reference).values(), default=0.0) for _, step in steps]
    compare_common(table, title, mine, reference, max(LOSS_LIMIT, 2 * max(losses)), max(STATISTICS_LIMIT, 2 * max(statistics)))
    change, my_change = changes(reference, before), changes(mine, before)
    # Behind output layers of zeros (en's initial values) gradients are zero, exactly.
    still = [name for name, d in change.items() if not d.any()]
    moving = [name for name in still if my_change[name].any()]
    table.row(f"    {len(still)} tensors without gradient: moved", str(len(moving)), "0", *moving[:1], right=not moving, why=title)
    live = [name for name in change if name not in still]
    kinds = {"ratios": [n for n in live if ".ratio." in n], "norms": [n for n in live if is_norm(n, before)]}
    kinds["convolutions"] = [n for n in live if n not in kinds["ratios"] + kinds["norms"]]
    kinds = {kind: names for kind, names in kinds.items() if names}
    theirs = [errors_of_kinds(changes(step, start), change, kinds) for start, step in steps]
    for (kind, measure), found in errors_of_kinds(my_change, change, kinds).items():
        own = [step[kind, measure] for step in theirs]
        limit = np.inf if measure == "largest" else 2 * max(own) + ORDINARY_FLOOR
        table.row(f"    {kind}: {measure}", found, "-" if measure == "largest" else limit, "",
                  f"PyTorch's own {min(own):.1e}..{max(own):.1e}", right=found <= limit, why=title)


if __name__ == "__main__":
    shop = Workshop("step")
    data = {backbone: shop.shards(backbone, IMAGES, *size, seed=5) for backbone, size in SIZES.items()}
    table = Report("case and what is compared", "error", "limit", "tensor", "")
    for title, settings, steps in SMOOTH:
        if chosen(title):
            smooth(shop, table, title, settings, steps, data[settings.get("model__backbone", "resnet18")])
    for title, settings in ORDINARY:
        if chosen(f"{title}, ordinary start"):
            ordinary(shop, table, title, settings, data[settings.get("model__backbone", "resnet18")])
    table.finish()
