"""
The reference checks itself, without the program: its normalisers against PyTorch's own, its gradients (autograd) against the formulas that
the engine's specification gives, its networks against torchvision's known parameter counts and strides, loss and SGD against plain sums.
"""
import itertools

from harness import Report, configuration  # first: ends the test as skipped where PyTorch is absent

import torch
import torch.nn as nn

from formulas import Formulas
from norms import make_norm
from reference import BLOCKS, Network, loss_of, sgd

DTYPE = torch.float64
LIMIT = 1e-10


def distance(a, b):
    """Largest difference relative to the largest value."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-300)).item()


def against_torch(report):
    c, x = 12, torch.randn(5, 12, 7, 5, dtype=DTYPE) * 3 + 2
    layers = {"bn": nn.BatchNorm2d(c), "in": nn.InstanceNorm2d(c, affine=True), "ln": nn.LayerNorm([c, 7, 5]), "gn": nn.GroupNorm(4, c)}
    for name, theirs in layers.items():
        ours, theirs = make_norm(c, {"type": name, "groups": 5}).to(DTYPE), theirs.to(DTYPE)
        gamma, beta = torch.randn(2, c, dtype=DTYPE)
        with torch.no_grad():
            ours.weight.copy_(gamma), ours.bias.copy_(beta)
            spread = (lambda t: t.view(c, 1, 1).expand(c, 7, 5)) if name == "ln" else (lambda t: t)
            theirs.weight.copy_(spread(gamma)), theirs.bias.copy_(spread(beta))
        pairs = [(ours(x), theirs(x))]
        if name == "bn":
            pairs += [(ours.running_mean, theirs.running_mean), (ours.running_var, theirs.running_var)]
            pairs += [(ours.eval()(x), theirs.eval()(x))]
        worst = max(distance(a, b) for a, b in pairs)
        report.row(f"{name} against torch.nn", worst, LIMIT, right=worst < LIMIT)


def initial_ratios(report):
    for k, methods in enumerate((["bn"], ["bn", "ln"], ["bn", "in", "ln"], ["bn", "in", "ln", "gn"]), 1):
        norm = make_norm(8, {"methods": methods}).to(DTYPE)
        x = torch.randn(5, 8, 7, 5, dtype=DTYPE)
        y = norm(x)
        mixture = sum(make_norm(8, {"type": method}).to(DTYPE)(x) for method in methods) / k
        worst = max((norm.last_ratios - 1 / k).abs().max().item(), distance(y, mixture))
        report.row(f"en of {','.join(methods)}: lambda = 1/K at first", worst, 1e-15, right=worst < 1e-14)


def gradients(report):
    """Autograd through the plain forward pass against the specification's formulas, for every kind of layer."""
    specs = [{"type": name} for name in ("bn", "in", "ln", "gn")]
    specs += [{"type": kind, "methods": list(m)} for kind in ("sn", "en") for count in (1, 2, 3, 4)
              for m in itertools.combinations(("bn", "in", "ln", "gn"), count)]
    four = {"type": "en", "methods": ["ln", "gn", "bn", "in"]}
    specs += [{**four, **ablation} for ablation in (
        {"activation": "relu"}, {"conv": False}, {"affine": "single"}, {"shift": "outside"}, {"pi": 3}, {"reduction": 2}, {"reduction": 1},
        {"affine": "single", "shift": "outside"}, {"conv": False, "activation": "relu"})]
    shapes = ((5, 8, 7, 5), (1, 3, 2, 3), (3, 6, 1, 1))
    for spec in specs:
        worst, where = 0.0, ""
        for shape in shapes:
            norm = make_norm(shape[1], {"groups": 3, "reduction": 4, **spec}).to(DTYPE)
            with torch.no_grad():
                for name, parameter in norm.named_parameters():
                    parameter.copy_(torch.randn_like(parameter) * (0.3 if "fc1" in name else 1) + (1 if name == "weight" else 0))
            x = (torch.randn(shape, dtype=DTYPE) * 2 + torch.randn(shape[0], shape[1], 1, 1, dtype=DTYPE)).requires_grad_()
            g = torch.randn(shape, dtype=DTYPE)
            y = norm(x)
            y.backward(g)
            formulas = Formulas(norm, x.detach())
            pairs = {"y": (formulas.forward(), y.detach())}
            by_formula = formulas.backward(g)
            autograd = {"x": x.grad, **{name: p.grad for name, p in norm.named_parameters()}}
            assert by_formula.keys() == autograd.keys(), by_formula.keys() ^ autograd.keys()
            # Gradients that are zero but for rounding (of x through `in` on a 1x1 map, of one method's ratio) are compared on the scale
            # of the layer's other gradients and of the terms that cancel in them.
            scale = 1e-3 * max(t.abs().max().item() for t in (*autograd.values(), formulas.first_term))
            for name, gradient in autograd.items():
                pairs[name] = by_formula[name], gradient
            for name, (a, b) in pairs.items():
                error = ((a - b).abs().max() / max(b.abs().max().item(), scale)).item()
                if not error <= worst:
                    worst, where = error, f"{name} of {shape}"
        title = " ".join(",".join(v) if isinstance(v, list) else v if isinstance(v, str) else f"{k}={v}" for k, v in spec.items())
        report.row(f"formulas, {title}", worst, LIMIT, right=worst < LIMIT, why=where)


def networks(report):
    counts = {"resnet18": 11176512, "resnet34": 21284672, "resnet50": 23508032, "resnet101": 42500160}  # torchvision's, less fc
    for name, count in counts.items():
        config = configuration(model__backbone=name, norm__type="bn", model__output_stride=32)
        found = sum(p.numel() for p in Network(config, 2).backbone.parameters())
        report.row(f"{name}: parameters", float(found), float(count), right=found == count)
    # The dilations of the 3x3 convolutions in layer3 and layer4, first block and second: torchvision's for resnet50.
    expected = {32: [1, 1, 1, 1], 16: [1, 1, 1, 2], 8: [1, 2, 2, 4]}
    for name, stride in itertools.product(("resnet18", "resnet50"), (8, 16, 32)):
        net = Network(configuration(model__backbone=name, norm__type="bn", model__output_stride=stride), 3).eval()
        found = [layer[index].conv2.dilation[0] for layer in (net.backbone.layer3, net.backbone.layer4) for index in (0, 1)]
        with torch.no_grad():
            logits = net(torch.randn(1, 3, 97, 65))[0]
        right = found == expected[stride] and logits.shape == (1, 3, -(-97 // stride), -(-65 // stride))
        right = right and (BLOCKS[name][0] or net.backbone.layer4[0].conv1.dilation[0] == expected[stride][2])
        report.row(f"{name}, stride {stride}: dilations and map", "", "", right=right, why=f"{found} {tuple(logits.shape)}")


def loss_and_step(report):
    config = configuration(model__aux_weight=0.4, train__class_weights=[1, 2, 0.5], optimizer__weight_decay=0.1, optimizer__lr=0.3,
                           optimizer__nesterov=True, optimizer__head_lr_multiplier=2)
    net = Network(config, 3).to(DTYPE)
    x, labels = torch.randn(2, 3, 33, 41, dtype=DTYPE), torch.randint(0, 3, (2, 33, 41))
    labels[:, :7] = 255
    loss = loss_of(net, config, x, labels)
    loss.backward()
    plain = 0.0
    for logits, weight in zip(net(x), (1, 0.4)):
        full = nn.Upsample((33, 41), mode="bilinear")(logits).log_softmax(1)
        class_weights = torch.tensor([1, 2, 0.5], dtype=DTYPE)
        for image, label in zip(full, labels):
            rows, columns = torch.nonzero(label != 255, as_tuple=True)
            truth = label[rows, columns]
            plain = plain - weight * (class_weights[truth] * image[truth, rows, columns]).sum().item() / (labels != 255).sum().item()
    error = abs(loss.item() / plain - 1)
    report.row("loss", error, LIMIT, right=error < LIMIT)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    sgd(net, config).step()
    worst, where = 0.0, ""
    for name, p in net.named_parameters():
        decay = 0.1 if name.endswith("weight") and p.dim() == 4 else 0.0
        lr = 0.6 if name.split(".")[0] in ("head", "aux") else 0.3
        error = distance(p.detach(), before[name] - lr * 1.9 * (p.grad + decay * before[name]))
        worst, where = max((worst, where), (error, name))
    report.row("first nesterov step", worst, LIMIT, right=worst < LIMIT, why=where)


if __name__ == "__main__":
    torch.manual_seed(1)
    table = Report("check", "found", "limit", "")
    against_torch(table)
    initial_ratios(table)
    gradients(table)
    networks(table)
    loss_and_step(table)
    table.finish()
